//! Random strings, cut at random, counted by Weir and by bpe-openai, which has its own tables and algorithm and uses the
//! expression itself: they must agree. And bytes that are no text, which must be counted without a panic.
//!
//! Usage: fuzz SECONDS [SEED]

use std::time::{Duration, Instant};

use weir_core::tokens::{Counter, count, count_request};
use weir_tokens::fuzz::{Random, string};

fn main() {
    let mut arguments =
        std::env::args().skip(1).map(|number| number.parse::<u64>().expect("usage: fuzz SECONDS [SEED]"));
    let seconds = arguments.next().expect("usage: fuzz SECONDS [SEED]");
    let seed = arguments.next().unwrap_or_else(|| std::process::id().into());
    let mut random = Random(seed);
    let begin = Instant::now();
    let mut strings = 0u64;
    while begin.elapsed() < Duration::from_secs(seconds) {
        let number = random.next();
        let text = string(number);
        let expected = bpe_openai::o200k_base().count(text.as_str()) as u64;
        assert_eq!(count(text.as_bytes()).tokens, expected, "string {number}: {text:?}");
        assert_eq!(in_parts(text.as_bytes(), &mut random), expected, "string {number} in parts: {text:?}");
        let mut bytes = text.into_bytes();
        for _ in 0..random.below(8) {
            let at = random.below(bytes.len().max(1) as u64) as usize;
            bytes.splice(at..at, [random.next() as u8]);
        }
        assert!(count(&bytes).tokens <= bytes.len() as u64, "string {number}, broken");
        let body = [br#"{"messages":[{"role":"user","content":""#, bytes.as_slice(), br#""}]}"#].concat();
        count_request(&body);
        strings += 1;
    }
    println!("{strings} strings from seed {seed}: all agree");
}

fn in_parts(text: &[u8], random: &mut Random) -> u64 {
    let mut counter = Counter::default();
    let mut rest = text;
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(random.below(20).min(rest.len() as u64) as usize);
        counter.push(part);
        rest = behind;
    }
    counter.finish().tokens
}
