//! The messages that real ones are made of, cut and broken at every byte.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

/// A message with headers of these keys, types and values.
fn message(headers: &[(&str, u8, &[u8])], payload: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    for (key, kind, value) in headers {
        written.push(key.len() as u8);
        written.extend(key.as_bytes());
        written.push(*kind);
        if matches!(kind, 6 | 7) {
            written.extend((value.len() as u16).to_be_bytes());
        }
        written.extend(*value);
    }
    let total = PRELUDE + written.len() + payload.len() + CHECKSUM;
    let mut bytes = [(total as u32).to_be_bytes(), (written.len() as u32).to_be_bytes()].concat();
    bytes.extend(crc32(&bytes).to_be_bytes());
    bytes.extend([&written, payload].concat());
    bytes.extend(crc32(&bytes).to_be_bytes());
    bytes
}

fn event(name: &str, payload: &[u8]) -> Vec<u8> {
    message(&[(":event-type", 7, name.as_bytes()), (":message-type", 7, b"event")], payload)
}

fn pushed(frames: &mut Frames, piece: &[u8]) -> (Vec<String>, Result<(), Broken>) {
    let mut found = Vec::new();
    let result = frames.push(piece, |frame| {
        let Frame { name, kind, payload } = frame;
        found.push(format!("{name} {kind:?} {}", String::from_utf8_lossy(payload)));
    });
    (found, result)
}

#[test]
fn the_checksum_of_the_standard() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(crc32(b""), 0);
}

#[test]
fn messages_are_the_same_wherever_they_are_cut() {
    let odd: &[(&str, u8, &[u8])] = &[
        ("t", 0, b""),
        ("f", 1, b""),
        ("1", 2, b"a"),
        ("2", 3, b"ab"),
        ("4", 4, b"abcd"),
        ("8", 5, b"abcdefgh"),
        ("b", 6, b"bytes"),
        ("d", 8, b"abcdefgh"),
        ("u", 9, b"abcdefghijklmnop"),
        (":exception-type", 7, b"throttlingException"),
        (":message-type", 7, b"exception"),
    ];
    let failed: &[(&str, u8, &[u8])] =
        &[(":message-type", 7, b"error"), (":error-code", 7, b"Oops"), (":error-message", 7, b"no")];
    let stream = [event("one", b"{}"), message(odd, b"{\"message\":\"x\"}"), message(failed, b""), event("", b"")];
    let expected =
        ["one Event {}", "throttlingException Exception {\"message\":\"x\"}", "Oops Error(\"no\") ", " Event "];
    let stream = stream.concat();
    for cut in 0..=stream.len() {
        let (one, two) = stream.split_at(cut);
        let mut frames = Frames::default();
        let (mut found, result) = pushed(&mut frames, one);
        let (more, other) = pushed(&mut frames, two);
        found.extend(more);
        assert_eq!((result, other), (Ok(()), Ok(())), "cut at {cut}");
        assert_eq!(found, expected, "cut at {cut}");
        assert!(frames.partial.is_empty());
    }
}

#[test]
fn a_changed_byte_is_seen() {
    let whole = event("one", b"{\"text\":\"two\"}");
    for at in 0..whole.len() {
        for bit in [1, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= bit;
            let mut frames = Frames::default();
            let (found, result) = pushed(&mut frames, &bytes);
            assert_eq!((found.len(), result), (0, Err(Broken::Corrupt)), "byte {at}");
            // Nothing is read on, and nothing is kept.
            assert_eq!(pushed(&mut frames, &whole), (Vec::new(), Ok(())));
            assert!(frames.partial.is_empty());
        }
    }
}

#[test]
fn lengths_that_cannot_be() {
    let prelude = |total: u32, headers: u32| {
        let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        bytes.extend(crc32(&bytes).to_be_bytes());
        bytes
    };
    for (total, headers, expected) in [
        (0, 0, Err(Broken::Corrupt)),
        (15, 0, Err(Broken::Corrupt)),
        (16, 1, Err(Broken::Corrupt)),
        (100, u32::MAX, Err(Broken::Corrupt)),
        (u32::MAX, 0, Err(Broken::TooLong)),
        (MAX_EVENT as u32 + 1, 0, Err(Broken::TooLong)),
        (MAX_EVENT as u32, 0, Ok(())),
    ] {
        assert_eq!(pushed(&mut Frames::default(), &prelude(total, headers)).1, expected, "{total} {headers}");
    }
    let odd: [&[(&str, u8, &[u8])]; 3] = [&[("k", 10, b"")], &[("k", 5, b"short")], &[(":message-type", 7, b"news")]];
    for headers in odd {
        assert_eq!(pushed(&mut Frames::default(), &message(headers, b"")).1, Err(Broken::Corrupt), "{headers:?}");
    }
}
