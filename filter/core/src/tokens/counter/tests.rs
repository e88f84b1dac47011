//! Counts of single texts, and the bounds: what is cut, what is estimated, what stops early.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::tokens::{count, count_up_to};

/// What Python's tiktoken 0.14 counts.
const CASES: &[(&str, u64)] = &[
    ("", 0),
    ("a", 1),
    ("!!", 1),
    ("Hello, world!", 4),
    ("don't DON'T it'ſ", 5),
    ("12345678901", 4),
    ("  two  spaces \n\n\tand tabs\r\n", 8),
    ("naïve Übergrößenträger", 8),
    ("人工智能改变世界。", 5),
    ("東京都に住んでいます。", 7),
    ("안녕하세요 세계", 3),
    ("Привет, как дела?", 6),
    ("😀👨\u{200d}👩\u{200d}👧🇩🇪", 13),
    ("e\u{301}\u{301} \u{301}", 5),
    ("HTTPServerFooBar", 4),
    ("/usr/bin//\n\n", 3),
    ("<|endoftext|>", 7),
    ("\0\0a\0", 3),
];

#[test]
fn counts_are_tiktokens() {
    for (text, tokens) in CASES {
        assert_eq!(count(text.as_bytes()), Count { tokens: *tokens, is_exact: true }, "{text:?}");
    }
}

#[test]
fn texts_are_apart() {
    let mut counter = Counter::default();
    for (text, _) in CASES {
        counter.push(text.as_bytes());
        counter.end_text();
    }
    let tokens = CASES.iter().map(|(_, tokens)| tokens).sum();
    assert_eq!(counter.finish(), Count { tokens, is_exact: true });
}

#[test]
fn a_limit_ends_the_count() {
    let text = "one two three ".repeat(100_000);
    assert_eq!(count_up_to(text.as_bytes(), 1000), None);
    assert_eq!(count_up_to(b"one two three", 3), Some(Count { tokens: 3, is_exact: true }));
    assert_eq!(count_up_to(b"one two three", 2), None);
}

/// A megabyte of what costs a tokenizer most: not exact, but near to what such a text has.
#[test]
fn hostile_texts_are_estimated() {
    let noise = |range: std::ops::Range<u32>| {
        let mut state = 1u64;
        let mut text = String::new();
        while text.len() < 1 << 20 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.extend(char::from_u32(range.start + ((state >> 33) as u32) % (range.end - range.start)));
        }
        text
    };
    // (text, tokens of a megabyte by tiktoken's rate on the first part of it)
    let cases = [
        (" ".repeat(1 << 20), 8_192),
        ("a".repeat(1 << 20), 131_072),
        ("\n".repeat(1 << 20), 65_536),
        ("=".repeat(1 << 20), 16_384),
        (noise(0..0x11_0000), 1_023_000),
        (noise(0x4e00..0x9fff), 671_600),
        (noise(u32::from(b'a')..u32::from(b'z') + 1), 543_800),
    ];
    for (text, tokens) in cases {
        let counted = count(text.as_bytes());
        assert!(!counted.is_exact);
        let off = counted.tokens as f64 / f64::from(tokens) - 1.0;
        assert!(off.abs() < 0.1, "{:?}...: {} instead of {tokens}", text.chars().next(), counted.tokens);
    }
}

#[test]
fn any_bytes_are_counted() {
    for bytes in [&b"\xff\xfe\xfd"[..], b"a\xe4\xb8", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xc3"] {
        let counted = count(bytes);
        assert!((1..=bytes.len() as u64).contains(&counted.tokens), "{bytes:?}: {counted:?}");
    }
}
