//! The packed value: its bytes, what it keeps, what it drops, and any bytes at all.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{
    super::{packed::*, window::Window},
    *,
};

fn charged(tags: &[(u64, Period, u64)]) -> Packed {
    let mut packed = Packed::default();
    for &(tag, period, at) in tags {
        packed.charge(tag, period, at, 1, 1_000);
    }
    packed
}

#[test]
fn the_layout() {
    let mut packed = charged(&[(0x0102_0304_0506_0708, Period::Minute, T0)]);
    packed.charge(0x0102_0304_0506_0708, Period::Minute, T0 + 70_000, 0x2a, 9);
    let bytes = packed.write(T0 + 70_000);
    let start = (T0 + MINUTE).to_le_bytes();
    assert_eq!(bytes.len(), 1 + ENTRY_BYTES);
    assert_eq!(bytes[..9], [1, 8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(bytes[9..15], start[..6]);
    assert_eq!(bytes[15..17], [43, 2], "last use: 10 of 60 seconds in 255ths, rounded up; a minute");
    assert_eq!(bytes[17..], [0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let window = Packed::read(&bytes, T0 + 70_000).window(0x0102_0304_0506_0708);
    assert_eq!(window, Window { start_ms: T0 + MINUTE, current: 0x2a, previous: 1 });
}

#[test]
fn unknown_entries_are_kept_until_nothing_of_them_counts() {
    let cases =
        [(Period::Second, 1_999, 2_000), (Period::Minute, 119_999, 120_000), (Period::Hour, 7_199_999, 7_200_000)];
    for (period, kept, dropped) in cases {
        let bytes = charged(&[(7, period, T0)]).write(T0);
        for (after, len) in [(0, 2), (kept, 2), (dropped, 1)] {
            let mut packed = Packed::read(&bytes, T0 + after);
            packed.charge(8, Period::Second, T0 + after, 1, 1_000);
            let written = packed.write(T0 + after);
            assert_eq!(Packed::read(&written, T0 + after).len(), len, "{period}: {after} ms later");
        }
    }
}

#[test]
fn a_period_of_a_newer_build_is_kept_for_two_months() {
    let mut bytes = charged(&[(7, Period::Second, T0)]).write(T0);
    bytes[16] = 200;
    let day = 24 * 3_600_000;
    assert_eq!(Packed::read(&bytes, T0 + 61 * day).write(T0 + 61 * day), bytes);
    assert_eq!(Packed::read(&bytes, T0 + 62 * day).write(T0 + 62 * day), [1]);
}

#[test]
fn when_full_the_expired_go_first_then_the_one_idle_longest() {
    let full = [
        (1, Period::Minute, T0),
        (2, Period::Hour, T0 + 1_000),
        (3, Period::Minute, T0 + 2_000),
        (2, Period::Hour, T0 + 100_000),
    ];
    let left = |now: u64, capacity: usize| {
        let mut packed = charged(&full);
        packed.charge(9, Period::Minute, now, 1, capacity);
        [1, 2, 3, 9].into_iter().filter(|tag| packed.window(*tag) != Window::default()).collect::<Vec<_>>()
    };
    assert_eq!(left(T0 + 110_000, 4), [1, 2, 3, 9], "not full");
    assert_eq!(left(T0 + 110_000, 3), [2, 3, 9], "1 is idle longest; 2 began early but was used lately");
    assert_eq!(left(T0 + 110_000, 2), [2, 9]);
    assert_eq!(left(T0 + 120_000, 3), [2, 3, 9], "1 has expired");
    assert_eq!(left(T0 + 121_000, 1), [9]);
    assert_eq!(left(T0 + 110_000, 0), [9], "what is charged is always held");
}

#[test]
fn an_expired_one_goes_before_one_that_counts_and_is_idle_longer() {
    let mut packed = charged(&[(1, Period::Hour, T0), (2, Period::Second, T0 + 50_000)]);
    packed.charge(9, Period::Minute, T0 + 60_000, 1, 2);
    assert_eq!([1, 2, 9].map(|tag| packed.window(tag).current), [1, 0, 1]);
}

#[test]
fn any_bytes_are_read_and_what_is_malformed_is_empty() {
    let good = charged(&[(7, Period::Hour, T0), (8, Period::Hour, T0)]).write(T0);
    for cut in 0..good.len() {
        let expected = if cut == 1 + ENTRY_BYTES { 1 } else { 0 };
        assert_eq!(Packed::read(&good[..cut], T0).len(), expected, "cut at {cut}");
    }
    for version in [0, 2, 255] {
        let bytes = [&[version], &good[1..]].concat();
        assert_eq!(Packed::read(&bytes, T0), Packed::default(), "layout {version}");
    }
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let mut bytes = vec![1];
        bytes.extend((0..random.below(9) * 8).flat_map(|_| random.next().to_le_bytes()));
        let now = *random.pick(&[0, T0, u64::MAX]);
        let mut packed = Packed::read(&bytes, now);
        packed.charge(random.next(), Period::Minute, now, random.next(), 3);
        packed.true_up(7, Period::Minute, now, 1, 0);
        let written = packed.write(now);
        assert_eq!((written.len() - 1) % ENTRY_BYTES, 0);
    }
}

#[test]
fn a_window_in_the_far_future_begins_now() {
    let bytes = charged(&[(7, Period::Minute, T0 + 10 * MINUTE), (8, Period::Minute, T0 + MINUTE)]).write(T0);
    let packed = Packed::read(&bytes, T0);
    assert!(packed.mended());
    assert_eq!(packed.window(7), Window { start_ms: T0, current: 1, previous: 0 });
    assert_eq!(packed.window(8).start_ms, T0 + MINUTE);
    assert!(!Packed::read(&packed.write(T0), T0).mended());
}
