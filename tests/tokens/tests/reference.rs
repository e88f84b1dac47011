//! All fuzz strings, and the classes of all characters: what takes too long for every run of the core's tests.

use std::path::Path;

use regex_syntax::hir::{Class as Set, HirKind};
use weir_core::tokens::{
    Count,
    classes::{self, Class},
    count,
};
use weir_tokens::{fuzz, texts};

#[test]
fn all_fuzz_strings_counts_are_tiktokens() {
    let expected = texts::expected("fuzz", Path::new(env!("CARGO_MANIFEST_DIR")));
    assert_eq!(expected.len(), fuzz::STRINGS);
    for (number, tokens) in expected.into_iter().enumerate() {
        let text = fuzz::string(number as u64);
        assert_eq!(count(text.as_bytes()), Count { tokens, is_exact: true }, "{text:?}");
    }
}

/// Of every code point, as the regular expression's own library has them.
#[test]
fn classes_are_the_reference_expressions() {
    let groups = [
        (Class::Upper, r"[\p{Lu}\p{Lt}]"),
        (Class::Lower, r"\p{Ll}"),
        (Class::Letter, r"[\p{Lm}\p{Lo}]"),
        (Class::Number, r"\p{N}"),
        (Class::Space, r"[\s--[\r\n]]"),
        (Class::Newline, r"[\r\n]"),
        (Class::Mark, r"\p{M}"),
        (Class::Other, r"[^\s\p{L}\p{N}\p{M}]"),
    ];
    let mut seen = 0;
    for (class, pattern) in groups {
        let hir = regex_syntax::parse(pattern).unwrap();
        let HirKind::Class(Set::Unicode(set)) = hir.kind() else { panic!("{pattern} is no class") };
        for range in set.iter() {
            for character in range.start()..=range.end() {
                assert_eq!(classes::of(character as u32), class, "{character:?}");
                let mut buffer = [0; 4];
                let bytes = character.encode_utf8(&mut buffer).as_bytes();
                assert_eq!(classes::at(bytes, 0), Some((class, bytes.len())), "{character:?}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 0x11_0000 - 0x800);
}
