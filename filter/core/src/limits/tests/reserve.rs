//! `accounting: reserve`: never more than the limit however many run at once, and the truth afterwards, in the period of
//! the admission or nowhere.

use std::{cell::Cell, rc::Rc};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn reserving(limits: Vec<Limit>) -> (Limits, FakeSharedData) {
    let reserve = Some(Reserve { default_max_tokens: 10, cap: 50 });
    (Limits::new("chat", limits, Rules { reserve, ..Rules::default() }), FakeSharedData::default())
}

fn reserve(limits: &Limits, data: &FakeSharedData, now_ms: u64, output: u64) -> Admission {
    limits.admit(data, now_ms, &user("ann", &["g"]), spent(3, output)).admission
}

fn output(limits: &Limits, data: &FakeSharedData, now_ms: u64) -> u64 {
    let rows = limits.overview(data, now_ms, &user("ann", &["g"]));
    rows.iter().find(|row| row.counter.unit == Unit::OutputTokens).unwrap().used
}

fn words(most: u64) -> Vec<Limit> {
    vec![
        limit(LimitKey::EachUser, &[(Unit::OutputTokens, most)]),
        limit(group("g"), &[(Unit::OutputTokens, 10 * most)]),
    ]
}

#[test]
fn how_much() {
    let reserve = Reserve { default_max_tokens: 10, cap: 50 };
    for (max_tokens, choices, expected) in [
        (None, 1, 10),
        (None, 3, 30),
        (Some(7), 1, 7),
        (Some(7), 0, 7),
        (Some(0), 1, 0),
        (Some(60), 1, 50),
        (Some(20), 3, 50),
        (Some(u64::MAX), u64::MAX, 50),
    ] {
        assert_eq!(reserve.output(max_tokens, choices), expected, "{max_tokens:?} x {choices}");
    }
}

#[test]
fn what_is_reserved_counts_until_the_truth_is_known() {
    let (limits, data) = reserving(words(100));
    let charges: Vec<_> = (0..2).map(|_| admitted(reserve(&limits, &data, T0, 40))).collect();
    assert_eq!(charges[1].tokens.map(|t| t.remaining), Some(20), "the headers show what is left for the next one");
    let refusal = refused(reserve(&limits, &data, T0, 21));
    assert_eq!((refusal.used, refusal.needed), (80, 21));
    admitted(reserve(&limits, &data, T0, 20));
    assert_eq!(output(&limits, &data, T0), 100);
    settle(&limits, &data, T0 + 1, &charges[0], spent(3, 5));
    assert_eq!(output(&limits, &data, T0 + 1), 65, "35 of 40 are given back");
    settle(&limits, &data, T0 + 1, &charges[1], spent(3, 90));
    assert_eq!(output(&limits, &data, T0 + 1), 115, "an answer that is longer than was said counts as it is");
}

#[test]
fn nothing_used_gives_all_back() {
    let (limits, data) = reserving(words(100));
    let charge = admitted(reserve(&limits, &data, T0, 40));
    settle(&limits, &data, T0 + 1, &charge, Tokens::default());
    assert_eq!(output(&limits, &data, T0 + 1), 0);
    data.traffic();
    let exact = admitted(reserve(&limits, &data, T0 + 1, 40));
    assert_eq!(data.traffic(), (2, 2));
    settle(&limits, &data, T0 + 2, &exact, spent(0, 40));
    assert_eq!(data.traffic(), (0, 0), "what was right stays as it is");
}

/// `max_tokens: 0`, or a prompt that counts as nothing, is no way round a limit.
#[test]
fn what_reserved_nothing_counts_all_the_same() {
    let (limits, data) = reserving(words(100));
    let first = admitted(reserve(&limits, &data, T0, 0));
    settle(&limits, &data, T0 + 1, &first, spent(3, 7));
    assert_eq!(output(&limits, &data, T0 + 1), 7);
    let second = admitted(reserve(&limits, &data, T0 + 59_000, 0));
    settle(&limits, &data, T0 + 61_000, &second, spent(3, 20));
    assert_eq!(output(&limits, &data, T0 + 61_000), 27, "in the period in which the answer ends");
}

#[test]
fn the_truth_goes_to_the_period_of_the_admission() {
    // (settled so long after, output tokens that count then of 40 reserved and 10 used)
    for (after, expected) in [(59_999, 10), (60_000, 10), (90_000, 5), (119_999, 1), (120_000, 0), (600_000, 0)] {
        let (limits, data) = reserving(words(100));
        let charge = admitted(reserve(&limits, &data, T0, 40));
        settle(&limits, &data, T0 + after, &charge, spent(3, 10));
        assert_eq!(output(&limits, &data, T0 + after), expected, "{after} ms later");
    }
}

#[test]
fn others_in_the_next_period_keep_theirs() {
    let (limits, data) = reserving(words(100));
    let charge = admitted(reserve(&limits, &data, T0, 40));
    admitted(reserve(&limits, &data, T0 + 70_000, 30));
    settle(&limits, &data, T0 + 90_000, &charge, spent(0, 0));
    assert_eq!(output(&limits, &data, T0 + 90_000), 30);
    settle(&limits, &data, T0 + 400_000, &charge, spent(0, 99));
    assert_eq!(output(&limits, &data, T0 + 400_000), 0, "too late: nowhere");
}

#[test]
fn an_orphan_counts_until_its_period_has_passed() {
    let (limits, data) = reserving(words(50));
    admitted(reserve(&limits, &data, T0, 50));
    refused(reserve(&limits, &data, T0 + 60_000, 1));
    let wait = refused(reserve(&limits, &data, T0, 50)).retry_after_ms;
    assert_eq!(wait, 120_000);
    admitted(reserve(&limits, &data, T0 + wait, 50));
}

#[test]
fn more_than_the_limit_allows_at_all_never_has_room() {
    let (limits, data) = reserving(words(30));
    let refusal = refused(reserve(&limits, &data, T0, 31));
    assert_eq!((refusal.needed, refusal.maximum, refusal.retry_after_ms), (31, 30, 60_000));
    assert_eq!(
        limits.message("chat", &refusal),
        "the request may use 31 output_tokens, more than the limit of 30 output_tokens per minute for each user on \
         endpoint chat ever allows: send a smaller `max_tokens` or a shorter prompt"
    );
    assert!(data.contents().is_empty());
}

#[test]
fn a_refusal_at_the_endpoint_gives_the_callers_reservation_back() {
    let (limits, data) = reserving(vec![
        limit(LimitKey::EachUser, &[(Unit::Calls, 9), (Unit::Tokens, 1_000)]),
        limit(group("g"), &[(Unit::OutputTokens, 50)]),
    ]);
    let (limits, once) = (Rc::new(limits), Cell::new(true));
    let other = limits.clone();
    data.compete(move |data, key| {
        if key == "weir.e.chat" && once.take() {
            admitted(other.admit(data, T0, &user("bob", &["g"]), spent(0, 50)).admission);
        }
    });
    refused(reserve(&limits, &data, T0, 20));
    let mine: Vec<_> = limits.overview(&data, T0, &user("ann", &["g"])).iter().map(|row| row.used).collect();
    assert_eq!(mine, [0, 0, 50]);
}

/// Whatever interleaves, used plus reserved never passes the limit, and in the end what was used is what counts.
#[test]
fn never_passed() {
    for seed in 0..50 {
        let most = 500;
        let (limits, data) = reserving(words(most));
        let (mut random, mut now) = (Random(seed), T0);
        let (mut open, mut total) = (Vec::new(), 0);
        for _ in 0..400 {
            now += random.below(20);
            if random.below(2) == 0 {
                let output = 1 + random.below(49);
                if let Admission::Admitted(charge) = reserve(&limits, &data, now, output) {
                    open.push((charge, output));
                }
            } else if !open.is_empty() {
                let (charge, reserved) = open.swap_remove(random.below(open.len() as u64) as usize);
                let actual = random.below(reserved + 1);
                total += actual;
                settle(&limits, &data, now, &charge, spent(3, actual));
            }
            assert!(output(&limits, &data, now) <= most, "seed {seed}");
        }
        let pending: u64 = open.iter().map(|(_, reserved)| reserved).sum();
        assert_eq!(output(&limits, &data, now), total + pending, "seed {seed}: all within one minute");
    }
}
