//! The packed value: its bytes, what it keeps, what it drops, and any bytes at all.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{
    super::{packed::*, window::Window},
    *,
};

const WIDE: Room = Room { most: 100_000, sizes: &[] };

fn charged(tags: &[(u64, Period, u64)]) -> Packed {
    let mut packed = Packed::default();
    for &(tag, period, at) in tags {
        packed.charge(tag, period, at, 1);
    }
    packed
}

#[test]
fn the_layout() {
    let mut packed = charged(&[(0x0102_0304_0506_0708, Period::Minute, T0)]);
    packed.charge(0x0102_0304_0506_0708, Period::Minute, T0 + 70_000, 0x2aa);
    let bytes = packed.write(T0 + 70_000, WIDE);
    let start = (T0 + MINUTE).to_le_bytes();
    assert_eq!(bytes.len(), 1 + ENTRY_BYTES + 3);
    assert_eq!(bytes[..3], [2, 2, 43], "a minute; last use: 10 of 60 seconds in 255ths, rounded up");
    assert_eq!(bytes[3..9], start[..6]);
    assert_eq!(bytes[9..], [8, 7, 6, 5, 4, 3, 2, 1, 0xaa, 0x05, 1]);
    let window = Packed::read(&bytes, T0 + 70_000).window(0x0102_0304_0506_0708);
    assert_eq!(window, Window { start_ms: T0 + MINUTE, current: 0x2aa, previous: 1 });
}

#[test]
fn a_value_is_filled_up_to_a_size() {
    let room = Room { most: 200, sizes: &[40, 200] };
    for (counters, size) in [(1, 40), (2, 40), (3, 200), (11, 200), (12, 200)] {
        let tags: Vec<_> = (0..counters).map(|tag| (tag, Period::Hour, T0)).collect();
        let bytes = charged(&tags).write(T0, WIDE);
        assert_eq!(bytes.len(), 1 + 18 * counters as usize);
        let filled = Packed::read(&bytes, T0).write(T0, room);
        assert_eq!(filled.len(), size, "{counters} counters");
        assert_eq!(Packed::read(&filled, T0).len(), counters.min(11) as usize);
    }
}

#[test]
fn numbers_of_any_width_come_back() {
    for (current, previous) in [(0, 1), (127, 128), (16_383, 16_384), (u64::MAX, 0), (u64::MAX, u64::MAX)] {
        let mut packed = charged(&[]);
        packed.charge(7, Period::Hour, T0, previous);
        packed.charge(7, Period::Hour, T0 + 3_600_000, current);
        let bytes = packed.write(T0 + 3_600_000, Room { most: 1, sizes: &[] });
        let read = Packed::read(&bytes, T0 + 3_600_000);
        assert_eq!(read.window(7), packed.window(7), "{current} {previous}");
    }
}

#[test]
fn unknown_entries_are_kept_until_nothing_of_them_counts() {
    let cases =
        [(Period::Second, 1_999, 2_000), (Period::Minute, 119_999, 120_000), (Period::Hour, 7_199_999, 7_200_000)];
    for (period, kept, dropped) in cases {
        let bytes = charged(&[(7, period, T0)]).write(T0, WIDE);
        for (after, len) in [(0, 2), (kept, 2), (dropped, 1)] {
            let mut packed = Packed::read(&bytes, T0 + after);
            packed.charge(8, Period::Second, T0 + after, 1);
            let written = packed.write(T0 + after, WIDE);
            assert_eq!(Packed::read(&written, T0 + after).len(), len, "{period}: {after} ms later");
        }
    }
}

#[test]
fn a_period_of_a_newer_build_is_kept_for_two_months() {
    let mut bytes = charged(&[(7, Period::Second, T0)]).write(T0, WIDE);
    bytes[1] = 200;
    let day = 24 * 3_600_000;
    assert_eq!(Packed::read(&bytes, T0 + 61 * day).write(T0 + 61 * day, WIDE), bytes);
    assert_eq!(Packed::read(&bytes, T0 + 62 * day).write(T0 + 62 * day, WIDE), [2]);
}

#[test]
fn when_full_the_expired_go_first_then_the_one_idle_longest() {
    let full = [
        (1, Period::Minute, T0),
        (2, Period::Hour, T0 + 1_000),
        (3, Period::Minute, T0 + 2_000),
        (2, Period::Hour, T0 + 100_000),
    ];
    let left = |now: u64, counters: usize| {
        let mut packed = Packed::read(&charged(&full).write(T0 + 100_000, WIDE), T0 + 100_000);
        packed.charge(9, Period::Minute, now, 1);
        packed.write(now, Room { most: 1 + 18 * counters, sizes: &[] });
        [1, 2, 3, 9].into_iter().filter(|tag| packed.window(*tag) != Window::default()).collect::<Vec<_>>()
    };
    assert_eq!(left(T0 + 110_000, 4), [1, 2, 3, 9], "not full");
    assert_eq!(left(T0 + 110_000, 3), [2, 3, 9], "1 is idle longest; 2 began early but was used lately");
    assert_eq!(left(T0 + 110_000, 2), [2, 9]);
    assert_eq!(left(T0 + 120_000, 3), [2, 3, 9], "1 has expired");
    assert_eq!(left(T0 + 121_000, 1), [9]);
    assert_eq!(left(T0 + 110_000, 0), [9], "what is charged is always held");
}

/// A counter that has just been charged is not idle, but in a long period it may count as no less idle than others.
#[test]
fn what_a_request_charges_does_not_go_for_what_it_charges_too() {
    let bytes = charged(&[(1, Period::Month, T0), (2, Period::Month, T0)]).write(T0, WIDE);
    let mut packed = Packed::read(&bytes, T0 + 1);
    packed.charge(1, Period::Month, T0 + 1, 1);
    packed.charge(3, Period::Month, T0 + 1, 1);
    packed.write(T0 + 1, Room { most: 1 + 18 * 2, sizes: &[] });
    assert_eq!([1, 2, 3].map(|tag| packed.window(tag).current), [2, 0, 1]);
    assert_eq!(packed.evicted(), 1);
}

#[test]
fn an_expired_one_goes_before_one_that_counts_and_is_idle_longer() {
    let bytes = charged(&[(1, Period::Hour, T0), (2, Period::Second, T0 + 50_000)]).write(T0 + 50_000, WIDE);
    let mut packed = Packed::read(&bytes, T0 + 60_000);
    packed.charge(9, Period::Minute, T0 + 60_000, 1);
    packed.write(T0 + 60_000, Room { most: 1 + 18 * 2, sizes: &[] });
    assert_eq!([1, 2, 9].map(|tag| packed.window(tag).current), [1, 0, 1]);
}

#[test]
fn any_bytes_are_read_and_what_is_malformed_is_empty() {
    let good = charged(&[(7, Period::Hour, T0), (8, Period::Hour, T0)]).write(T0, WIDE);
    for cut in 0..good.len() {
        let expected = if cut == 1 + ENTRY_BYTES + 2 { 1 } else { 0 };
        assert_eq!(Packed::read(&good[..cut], T0).len(), expected, "cut at {cut}");
    }
    for version in [0, 1, 255] {
        let bytes = [&[version], &good[1..]].concat();
        assert_eq!(Packed::read(&bytes, T0), Packed::default(), "layout {version}");
    }
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let mut bytes = vec![2];
        bytes.extend((0..random.below(9) * 8).flat_map(|_| random.next().to_le_bytes()));
        let now = *random.pick(&[0, T0, u64::MAX]);
        let mut packed = Packed::read(&bytes, now);
        packed.charge(random.next(), Period::Minute, now, random.next());
        packed.true_up(7, Period::Minute, now, 1, 0);
        let written = packed.write(now, Room { most: 60, sizes: &[9, 50] });
        assert_eq!(Packed::read(&written, now).len(), packed.len());
    }
}

#[test]
fn a_window_in_the_far_future_begins_now() {
    let bytes = charged(&[(7, Period::Minute, T0 + 10 * MINUTE), (8, Period::Minute, T0 + MINUTE)]).write(T0, WIDE);
    let mut packed = Packed::read(&bytes, T0);
    assert!(packed.mended());
    assert_eq!(packed.window(7), Window { start_ms: T0, current: 1, previous: 0 });
    assert_eq!(packed.window(8).start_ms, T0 + MINUTE);
    assert!(!Packed::read(&packed.write(T0, WIDE), T0).mended());
}
