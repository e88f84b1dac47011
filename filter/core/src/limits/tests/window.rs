//! The arithmetic: tables, and equality with the model.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{super::window::Window, *};

const fn window(start_ms: u64, current: u64, previous: u64) -> Window {
    Window { start_ms, current, previous }
}

#[test]
fn moves_on() {
    let cases = [
        ("never used", window(0, 0, 0), T0, window(T0, 0, 0)),
        ("within the period", window(T0, 3, 4), T0 + 59_999, window(T0, 3, 4)),
        ("the next period follows back to back", window(T0, 3, 4), T0 + 60_000, window(T0 + 60_000, 0, 3)),
        ("its last millisecond", window(T0, 3, 4), T0 + 119_999, window(T0 + 60_000, 0, 3)),
        ("a whole period without a charge ends the chain", window(T0, 3, 4), T0 + 120_000, window(T0 + 120_000, 0, 0)),
        ("nothing charged in the current period", window(T0, 0, 4), T0 + 60_000, window(T0 + 60_000, 0, 0)),
        ("all given back", window(T0, 0, 0), T0 + 10, window(T0 + 10, 0, 0)),
        ("the clock steps back", window(T0, 3, 4), T0 - 50_000, window(T0, 3, 4)),
        ("the clock is at 0", window(T0, 3, 4), 0, window(T0, 3, 4)),
        ("the end of time", window(T0, 3, 4), u64::MAX, window(u64::MAX, 0, 0)),
        ("a start at the end of time", window(u64::MAX, 3, 4), u64::MAX, window(u64::MAX, 3, 4)),
    ];
    for (name, before, now, after) in cases {
        assert_eq!(before.at(now, MINUTE), after, "{name}");
    }
}

#[test]
fn uses_and_waits() {
    // (name, window, milliseconds since T0, used, target, wait)
    let cases = [
        ("nothing", window(0, 0, 0), 0, 0, 9, 0),
        ("all of the current period", window(T0, 10, 0), 0, 10, 9, 66_000),
        ("the wait shrinks with time", window(T0, 10, 0), 59_999, 10, 9, 6_001),
        ("rounded up", window(T0, 0, 10), 1, 10, 9, 5_999),
        ("room at this very millisecond", window(T0, 0, 10), 6_000, 9, 9, 0),
        ("previous and current", window(T0, 5, 10), 30_000, 10, 9, 6_000),
        ("no room for any of the previous", window(T0, 9, 10), 30_000, 14, 9, 30_000),
        ("far over the limit", window(T0, 1_000, 0), 0, 1_000, 9, 60_000 + 59_460),
        ("to nothing", window(T0, 1, 0), 15_000, 1, 0, 105_000),
        ("of the previous to nothing", window(T0, 0, 1), 15_000, 1, 0, 45_000),
        ("saturating", window(T0, u64::MAX, u64::MAX), 0, u64::MAX, 9, 120_000),
    ];
    for (name, window, after, used, target, wait) in cases {
        assert_eq!(window.used(T0 + after, MINUTE), used, "{name}: used");
        assert_eq!(window.wait(T0 + after, MINUTE, target), wait, "{name}: wait");
    }
}

#[test]
fn a_clock_that_steps_back_resets_nothing() {
    let before = window(T0, 10, 7);
    let charged = before.charged(T0 - 30_000, MINUTE, 1);
    assert_eq!(charged, window(T0, 11, 7));
    assert_eq!(charged.used(T0 - 30_000, MINUTE), 18);
    assert_eq!(before.wait(T0 - 30_000, MINUTE, 9), 30_000 + 66_000);
    assert_eq!(before.rebased(T0 - 60_000, MINUTE), before, "a period ahead may be");
    assert_eq!(before.rebased(T0 - 60_001, MINUTE), window(T0 - 60_001, 10, 7), "more may not block for so long");
}

#[test]
fn gives_back_to_its_own_period() {
    let cases = [
        ("the current one", window(T0, 5, 4), window(T0, 3, 4)),
        ("the one before", window(T0 + MINUTE, 5, 4), window(T0 + MINUTE, 5, 2)),
        ("long gone", window(T0 + 5 * MINUTE, 5, 4), window(T0 + 5 * MINUTE, 5, 4)),
        ("never below zero", window(T0, 1, 4), window(T0, 0, 4)),
    ];
    for (name, before, after) in cases {
        assert_eq!(before.trued_up(T0, MINUTE, 2, 0), after, "{name}");
    }
}

#[test]
fn equals_the_model() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let length = *random.pick(&[1, 7, 1_000, MINUTE]);
        let (mut now, mut window, mut model) = (T0, Window::default(), Model::new(length));
        for step in 0..200 {
            let pause = *random.pick(&[0, 1, length / 3, length - 1, length, length + 1, 2 * length, 3 * length]);
            now += random.below(pause + 1);
            assert_eq!(window.used(now, length), model.used(now), "seed {seed} step {step}");
            if random.below(3) > 0 {
                let amount = 1 + random.below(50);
                window = window.charged(now, length, amount);
                model.charge(now, amount);
            }
        }
    }
}

#[test]
fn waits_exactly() {
    for seed in 0..20_000 {
        let mut random = Random(seed);
        let length = *random.pick(&[1, 7, 1_000, MINUTE, 3_600_000]);
        let most = *random.pick(&[1, 10, 1_000, 1 << 40, u64::MAX]);
        let window = window(T0, random.next() % most, random.next() % most);
        let now = (T0 - length) + random.below(3 * length + 1);
        let target = random.below(most);
        let wait = window.wait(now, length, target);
        assert!(window.used(now + wait, length) <= target, "seed {seed}: waited {wait}");
        assert!(wait == 0 || window.used(now + wait - 1, length) > target, "seed {seed}: {wait} is too long");
        assert!(wait <= 3 * length, "seed {seed}: {wait}");
    }
}

#[test]
fn no_period_holds_more_than_the_limit_and_no_border_a_double_burst() {
    let limit = 100;
    let mut window = Window::default();
    let mut at = Vec::new();
    // Everything that is admitted is taken, every millisecond, with a few long pauses.
    let mut now = T0;
    while now < T0 + 12 * MINUTE {
        while window.used(now, MINUTE) < limit {
            window = window.charged(now, MINUTE, 1);
            at.push((now, window.start_ms));
        }
        now += if now == T0 + 4 * MINUTE { 3 * MINUTE } else { 1 };
    }
    for &(_, start) in &at {
        assert!(at.iter().filter(|(_, s)| *s == start).count() <= 100, "period {start}");
    }
    // The full burst just before a border leaves nothing just behind it.
    let border = at.iter().filter(|(now, _)| (T0 + MINUTE - 10..T0 + MINUTE + 10).contains(now)).count();
    assert_eq!(border, 0, "the period's 100 went at its start");
    let late = (0..100).fold(Window::default().charged(T0, MINUTE, 1), |w, _| w.charged(T0 + MINUTE - 1, MINUTE, 1));
    assert_eq!(late.used(T0 + MINUTE, MINUTE), 101);
}

#[test]
fn nothing_panics_at_the_edges() {
    let edges = [0, 1, 999, MINUTE, T0, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    for (&start, &current) in edges.iter().flat_map(|a| edges.iter().map(move |b| (a, b))) {
        for (&previous, &now) in edges.iter().flat_map(|a| edges.iter().map(move |b| (a, b))) {
            for length in [1, MINUTE, u64::MAX] {
                let window = window(start, current, previous).rebased(now, length);
                assert!(window.used(now, length) >= window.at(now, length).current);
                window.wait(now, length, previous);
                window.charged(now, length, current).trued_up(now, length, previous, current);
            }
        }
    }
}
