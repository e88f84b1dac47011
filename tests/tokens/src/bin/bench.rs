//! One round of native speeds, for `bench.py`: Weir's counter, the crates tiktoken and bpe-openai, and Weir's estimator, in
//! turn on the same texts. All of them have counted one half of the corpus before; the other half, which they have not seen,
//! is timed, once at first sight and once again. Time is the processor's, so that other load counts less.
//!
//! Usage: bench ROTATION. Prints `way file bytes tokens nanoseconds-first nanoseconds-again`, and `way load nanoseconds`.

use std::{hint::black_box, path::Path, time::Duration};

use weir_core::tokens::estimate::Estimator;
use weir_tokens::texts;

type Count = fn(&str) -> u64;

const WAYS: [(&str, Count); 4] = [
    ("weir", |text| weir_core::tokens::count(text.as_bytes()).tokens),
    ("tiktoken", |text| tiktoken::get_encoding("o200k_base").map_or(0, |encoding| encoding.count(text) as u64)),
    ("bpe-openai", |text| bpe_openai::o200k_base().count(text) as u64),
    ("estimator", |text| {
        let mut estimator = Estimator::default();
        estimator.push(text.as_bytes());
        estimator.tokens() as u64
    }),
];

fn main() {
    let rotation: usize =
        std::env::args().nth(1).and_then(|number| number.parse().ok()).expect("usage: bench ROTATION");
    let mut ways = WAYS;
    ways.rotate_left(rotation % WAYS.len());
    for (way, count) in ways {
        let (_, took) = timed(&["load".to_owned()], count);
        println!("{way} load {}", took.as_nanos());
    }
    let mut files = texts::halves(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"));
    for (_, known, _) in files.iter().cycle().take(3 * files.len()) {
        ways.iter().for_each(|(_, count)| {
            timed(known, *count);
        });
    }
    let length = files.len();
    files.rotate_left(rotation % length);
    for (file, known, unseen) in &files {
        let bytes: usize = unseen.iter().map(String::len).sum();
        for (way, count) in ways {
            // So that none pays for what the others have put in the processor's caches.
            timed(known, count);
            let (tokens, first) = timed(unseen, count);
            let (_, again) = timed(unseen, count);
            println!("{way} {file} {bytes} {tokens} {} {}", first.as_nanos(), again.as_nanos());
        }
    }
}

fn timed(texts: &[String], count: Count) -> (u64, Duration) {
    let begin = used();
    let tokens = texts.iter().map(|text| black_box(count(text))).sum();
    (tokens, used() - begin)
}

/// What this thread has used of the processor.
fn used() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that the call may write to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
