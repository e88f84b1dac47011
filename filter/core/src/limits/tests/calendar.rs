//! Days and months: they begin at midnight UTC, whatever their length, and count by the same formula.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{
    super::{period::Span, window::Window},
    *,
};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// Days since 1970-01-01, by counting.
fn days_of_months() -> Vec<u64> {
    let mut days = 0;
    let mut starts = vec![0];
    for year in 1970..2110 {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for length in [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            days += length;
            starts.push(days);
        }
    }
    starts
}

#[test]
fn months_are_as_long_as_they_are() {
    for pair in days_of_months().windows(2) {
        let (start, end) = (pair[0] * DAY, pair[1] * DAY);
        for at in [start, start + 1, start + 10 * DAY, end - 1] {
            assert_eq!((Span::Month.start(at), Span::Month.end(at)), (start, end), "{at}");
        }
        assert_eq!(Span::Month.length(start), end - start);
    }
}

#[test]
fn days_begin_at_midnight() {
    for at in [T0, T0 + 1, T0 + DAY - 1] {
        assert_eq!((Span::Day.start(at), Span::Day.end(at)), (T0, T0 + DAY));
    }
    for span in [Span::Day, Span::Month, Span::Floating(7)] {
        for at in [0, 1, T0, u64::MAX - 1, u64::MAX] {
            assert!(span.start(at) <= at && span.end(at) >= at && span.length(at) > 0, "{span:?} {at}");
        }
    }
}

#[test]
fn a_window_follows_the_calendar() {
    let noon = T0 + 12 * HOUR;
    let day = Window::default().charged(noon, Span::Day, 10);
    assert_eq!(day.start_ms, T0);
    let cases = [
        ("until midnight", T0 + DAY - 1, 10),
        ("from midnight on it fades", T0 + DAY, 10),
        ("over the day", T0 + DAY + 6 * HOUR, 8),
        ("rounded up", T0 + 2 * DAY - 1, 1),
        ("and is gone the day after", T0 + 2 * DAY, 0),
        ("the clock steps back", T0 - HOUR, 10),
    ];
    for (name, at, used) in cases {
        assert_eq!(day.used(at, Span::Day), used, "{name}");
    }
    // January has 31 days, February 28: what January used fades over February.
    let january = Window::default().charged(T0 + 3 * DAY, Span::Month, 28);
    assert_eq!((january.start_ms, january.used(T0 + 45 * DAY, Span::Month)), (T0, 14));
    assert_eq!(january.wait(T0 + 3 * DAY, Span::Month, 14), (31 + 14 - 3) * DAY);
}

#[test]
fn admits_exactly_the_limit_in_a_day_and_in_a_month() {
    for (period, length) in [(Period::Day, DAY), (Period::Month, 31 * DAY)] {
        let (limits, data) = configured(vec![per(period, LimitKey::EachUser, &[(Unit::Calls, 10)])]);
        let ann = user("ann", &[]);
        assert_eq!(count(&limits, &data, T0 + 5 * HOUR, &ann, 30), 10);
        assert_eq!(count(&limits, &data, T0 + length, &ann, 30), 0, "{period}: no double burst at midnight");
        assert_eq!(count(&limits, &data, T0 + length * 3, &ann, 30), 10);
        let refusal = refused(admit(&limits, &data, T0 + length * 3, &ann));
        let wait = refusal.retry_after_ms;
        refused(admit(&limits, &data, T0 + length * 3 + wait - 1, &ann));
        admitted(admit(&limits, &data, T0 + length * 3 + wait, &ann));
    }
}

#[test]
fn a_limit_of_zero_tells_the_length_of_its_period() {
    for (period, at, wait) in
        [(Period::Day, T0, DAY), (Period::Month, T0, 31 * DAY), (Period::Month, T0 + 40 * DAY, 28 * DAY)]
    {
        let (limits, data) = configured(vec![per(period, LimitKey::Endpoint, &[(Unit::Calls, 0)])]);
        assert_eq!(refused(admit(&limits, &data, at, &user("ann", &[]))).retry_after_ms, wait);
    }
}

#[test]
fn waits_exactly() {
    for seed in 0..5_000 {
        let mut random = Random(seed);
        let span = *random.pick(&[Span::Day, Span::Month]);
        let start_ms = span.start(T0 + random.below(800) * DAY);
        let most = *random.pick(&[1, 10, 1_000, 1 << 40, u64::MAX]);
        let window = Window { start_ms, current: random.next() % most, previous: random.next() % most };
        let now = start_ms - DAY + random.below(70 * DAY);
        let target = random.below(most);
        let wait = window.wait(now, span, target);
        assert!(window.used(now + wait, span) <= target, "seed {seed}: waited {wait}");
        assert!(wait == 0 || window.used(now + wait - 1, span) > target, "seed {seed}: {wait} is too long");
    }
}
