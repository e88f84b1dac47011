//! The counter beside OpenAI's tiktoken, whose counts are checked in: all of the corpus, all characters, a part of the fuzz
//! strings (`make tokens` runs all of them, and has tiktoken count anew).
#![cfg(not(target_arch = "wasm32"))]
// The texts' own modules are shared with programs, where a panic is how a mistake is told.
#![allow(dead_code, clippy::panic, clippy::unwrap_used)]

#[path = "../../../tests/tokens/src/fuzz.rs"]
mod fuzz;
#[path = "../../../tests/tokens/src/texts.rs"]
mod texts;

use std::path::PathBuf;

use weir_core::tokens::{Count, Counter, count};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/tokens")
}

fn check(text: &str, expected: u64) {
    assert_eq!(count(text.as_bytes()), Count { tokens: expected, is_exact: true }, "{text:?}");
}

#[test]
fn corpus_counts_are_tiktokens() {
    let (texts, expected) = (texts::of_kind("corpus", &folder()), texts::expected("corpus", &folder()));
    assert_eq!(texts.len(), expected.len());
    assert!(texts.len() > 5_000);
    texts.iter().zip(expected).for_each(|(text, expected)| check(text, expected));
}

#[test]
fn every_characters_counts_are_tiktokens() {
    let (texts, expected) = (texts::of_kind("characters", &folder()), texts::expected("characters", &folder()));
    assert_eq!(texts.len(), expected.len());
    texts.iter().zip(expected).for_each(|(text, expected)| check(text, expected));
}

#[test]
fn a_part_of_the_fuzz_strings_counts_are_tiktokens() {
    let expected = texts::expected("fuzz", &folder());
    assert_eq!(expected.len(), fuzz::STRINGS);
    for (number, expected) in expected.iter().enumerate().step_by(10) {
        check(&fuzz::string(number as u64), *expected);
    }
}

/// Cut anywhere, a text has the same tokens.
#[test]
fn cut_texts_count_the_same() {
    let expected = texts::expected("fuzz", &folder());
    let mut random = fuzz::Random(1);
    for (number, expected) in expected.iter().enumerate().step_by(37) {
        let text = fuzz::string(number as u64);
        let mut counter = Counter::default();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(random.below(12).min(rest.len() as u64) as usize);
            counter.push(part);
            rest = behind;
        }
        assert_eq!(counter.finish(), Count { tokens: *expected, is_exact: true }, "{text:?}");
    }
}
