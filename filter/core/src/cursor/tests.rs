//! Escapes of every kind, and JSON that is cut at every byte.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn said(inside: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    decode(inside, |part| out.extend_from_slice(part));
    out
}

#[test]
fn escapes_say_what_they_mean() {
    let cases: &[(&[u8], &str)] = &[
        (b"", ""),
        (br"plain", "plain"),
        (br#"a\nb\t\"\\\/\r\b\f"#, "a\nb\t\"\\/\r\u{8}\u{c}"),
        (br"\u00e9\u4E2D", "é中"),
        (br"\ud83d\ude00!", "😀!"),
        (br"\ud83d", "\u{fffd}"),
        (br"\ud83dx", "\u{fffd}x"),
        (br"\ud83d\n", "\u{fffd}\n"),
        (br"\ude00\ud83d", "\u{fffd}\u{fffd}"),
        (br"\ud83d\ud83d\ude00", "\u{fffd}😀"),
        (br"\u0000", "\0"),
        // No JSON, or cut.
        (br"\u12", "\u{fffd}12"),
        (br"\uzzzz", "\u{fffd}zzzz"),
        (br"\x", "\\x"),
        (b"a\\", "a\\"),
    ];
    for (inside, expected) in cases {
        assert_eq!(said(inside), expected.as_bytes(), "{}", String::from_utf8_lossy(inside));
    }
}

/// As serde_json reads them.
#[test]
fn every_code_units_escape_is_decoded() {
    for unit in (0..=0xffffu32).filter(|unit| !(0xd800..0xe000).contains(unit)) {
        let escape = format!("\\u{unit:04x}");
        let expected: String = serde_json::from_str(&format!("\"{escape}\"")).unwrap();
        assert_eq!(said(escape.as_bytes()), expected.as_bytes());
    }
}

const BODY: &str = r#" {"a" : [1, {"x":"}]"}, "t\"\\"], "m\u0065s" : "in\n side", "n": null, "o": {}, "z":[] } "#;

fn texts(json: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut add = |text: &[u8]| found.push(String::from_utf8_lossy(text).into_owned());
    Cursor::new(json).object(|cursor, key| match key {
        b"a" => cursor.list(|cursor| match cursor.kind() {
            Some(Kind::Text) => add(cursor.text()),
            Some(Kind::Object) => cursor.object(|cursor, _| add(cursor.text())),
            _ => {}
        }),
        b"mes" => add(cursor.text()),
        b"o" => add(cursor.raw()),
        _ => {}
    });
    found
}

#[test]
fn members_and_items_are_found() {
    assert_eq!(texts(BODY.as_bytes()), ["}]", r#"t\"\\"#, r"in\n side", "{}"]);
}

#[test]
fn what_is_cut_ends_the_walk() {
    let whole = texts(BODY.as_bytes());
    for end in 0..BODY.len() {
        let found = texts(&BODY.as_bytes()[..end]);
        assert!(found.len() <= whole.len());
        for (found, whole) in found.iter().zip(&whole) {
            assert!(whole.starts_with(found.as_str()), "cut at {end}: {found} of {whole}");
        }
    }
}

#[test]
fn depth_and_rubbish_are_no_matter() {
    for open in ["[", "{\"a\":", "[{\"a\":[", "\"", "\\", "}", "]", ",", ":", "1", "{", "{\"a\"", "\u{0}"] {
        let deep = open.repeat(100_000);
        for json in [deep.clone(), format!("{{\"a\":{deep}"), format!("{{\"a\":[{deep}")] {
            texts(json.as_bytes());
            Cursor::new(json.as_bytes()).skip();
        }
    }
}

#[test]
fn what_is_not_closed_is_not_whole() {
    let whole = |json: &[u8]| {
        let mut cursor = Cursor::new(json);
        cursor.object(|_, _| {});
        cursor.is_whole()
    };
    assert!(whole(BODY.as_bytes()) && whole(b"{}") && whole(b"7"));
    for end in 2..BODY.len() - 1 {
        assert!(!whole(&BODY.as_bytes()[..end]), "cut at {end}");
    }
    for json in [&b"{}{}"[..], b"{\"a\"}", b"{a}", b"{]", b"{\"a\":[}", b"\"", b"{\"a\":\"b}"] {
        assert!(!whole(json), "{}", String::from_utf8_lossy(json));
    }
}
