//! What the two roles tell each other. Whole attempts are in `exchange/tests/fallback.rs`.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::{api::Api, provider::Call};

#[test]
fn a_handover_is_read_as_it_was_written() {
    for (entities, stream, is_whole, translates_first) in [
        (vec![0], false, false, false),
        (vec![2, 0, 1], true, false, false),
        (vec![1], false, false, true),
        (vec![1], true, false, true),
        (vec![1], false, true, false),
        (vec![1], true, true, true),
    ] {
        // The letter of completions is a `t` too.
        let call = Call { api: Api::Completions, stream };
        let config = "5e884898da280471".into();
        let (model_range, sent_at) = (9..18, 1_795_303_077_500_000_000);
        let handover =
            Handover { translates_first, is_whole, call, config, endpoint: 7, entities, model_range, sent_at };
        assert_eq!(Handover::is_first_ours(&handover.write()), translates_first || is_whole);
        assert!(String::from_utf8(handover.write()).unwrap().contains(IN_EVERY_PLAN));
        assert_eq!(Handover::read(&handover.write()), Some(handover));
    }
    let broken: [&[u8]; 9] = [
        b"",
        b"+",
        b"c",
        b"c hash 9 1",
        b"c hash 9 1 2",
        b"c hash 9 1 2 x",
        b"c hash 9 1 2 3 -4",
        b"\xff h 9 1 2 3 4",
        b"? hash 9 1 2 3 4",
    ];
    for state in broken {
        assert_eq!(Handover::read(state), None, "{}", String::from_utf8_lossy(state));
    }
}

#[test]
fn what_envoy_tells_of_a_first_attempt() {
    let rows: [(&[u8], bool, _); 8] = [
        (b"503 1204", false, Some((503, Failure::Status))),
        (b"429 0", true, Some((429, Failure::Status))),
        (b"- 1204", true, Some((0, Failure::Timeout))),
        (b"- 1204", false, Some((0, Failure::Reset))),
        (b"- 0", false, Some((0, Failure::Connect))),
        (b"- -", false, None),
        (b"", false, None),
        (b"\xff 0", false, None),
    ];
    for (header, is_late, expected) in rows {
        assert_eq!(notes::failed(header, is_late), expected, "{}", String::from_utf8_lossy(header));
    }
}

#[test]
fn notes_are_read_as_they_were_written() {
    let note = |status, failure, latency_ms| Note { status, failure, latency_ms };
    let notes = [
        note(503, Failure::Status, 1),
        note(0, Failure::Connect, 0),
        note(0, Failure::Reset, u32::MAX),
        note(0, Failure::Timeout, 60_000),
    ];
    let mut state = Vec::new();
    notes.iter().for_each(|note| note.write(&mut state));
    assert_eq!(read_notes(&state), notes);
    state.extend([1, 2, 3]);
    assert_eq!(read_notes(&state), notes, "half a note is none");
    assert_eq!(read_notes(&[0, 0, 0, 0, 0, 0, 9]), [], "an unknown failure");
}
