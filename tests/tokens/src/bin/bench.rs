//! Weir's counter beside the crates tiktoken and bpe-openai, natively, in turn on the same texts: MB/s of each file of the
//! corpus, of the first pass and of the best of several, and what the estimator does in one pass. Time is the processor's,
//! so that other load counts less.
//!
//! Usage: bench

use std::{hint::black_box, path::Path, time::Duration};

use weir_core::tokens::estimate::Estimator;
use weir_tokens::texts;

const ROUNDS: usize = 9;

type Count = fn(&str) -> u64;

fn main() {
    let ways: [(&str, Count); 4] = [
        ("Weir", |text| weir_core::tokens::count(text.as_bytes()).tokens),
        ("tiktoken 4", |text| tiktoken::get_encoding("o200k_base").map_or(0, |encoding| encoding.count(text) as u64)),
        ("bpe-openai", |text| bpe_openai::o200k_base().count(text) as u64),
        ("estimator", |text| {
            let mut estimator = Estimator::default();
            estimator.push(text.as_bytes());
            estimator.tokens() as u64
        }),
    ];
    for (name, count) in ways {
        let begin = used();
        black_box(count("load"));
        println!("{name}: loaded in {:.1} ms", (used() - begin).as_secs_f64() * 1e3);
    }
    println!("\n| MB/s, first pass / best of {ROUNDS} | {} |", ways.map(|(name, _)| name).join(" | "));
    println!("|---|{}", "---|".repeat(ways.len()));
    for (file, texts) in texts::corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")) {
        let bytes: usize = texts.iter().map(String::len).sum();
        let mut speeds = [const { Vec::new() }; 4];
        for _ in 0..ROUNDS {
            for ((_, count), speeds) in ways.iter().zip(&mut speeds) {
                let begin = used();
                texts.iter().for_each(|text| {
                    black_box(count(text));
                });
                speeds.push(bytes as f64 / 1e6 / (used() - begin).as_secs_f64());
            }
        }
        let cells =
            speeds.map(|speeds| format!("{:.0} / {:.0}", speeds[0], speeds.iter().copied().fold(0.0, f64::max)));
        println!("| {file} | {} |", cells.join(" | "));
    }
}

/// What this thread has used of the processor.
fn used() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that the call may write to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
