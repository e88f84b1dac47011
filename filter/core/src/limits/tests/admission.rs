//! Admission and settlement on a quiet store: exact counts, untouched keys, waits that hold, and equality with the model.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[test]
fn admits_exactly_the_limit_in_a_period() {
    let (limits, data) = configured(vec![limit(LimitKey::Endpoint, &[(Unit::Calls, 100)])]);
    let who = user("a", &[]);
    assert_eq!(count(&limits, &data, T0, &who, 400), 100);
    assert_eq!(count(&limits, &data, T0 + MINUTE - 1, &who, 400), 0);
    assert_eq!(count(&limits, &data, T0 + MINUTE, &who, 400), 0, "no double burst at the border");
    assert_eq!(count(&limits, &data, T0 + MINUTE + MINUTE / 2, &who, 400), 50);
    assert_eq!(count(&limits, &data, T0 + 9 * MINUTE, &who, 400), 100);
}

#[test]
fn the_strictest_of_overlapping_limits_wins_and_a_refusal_charges_none() {
    let (limits, data) = configured(vec![
        limit(LimitKey::Endpoint, &[(Unit::Calls, 9)]),
        limit(LimitKey::EachUser, &[(Unit::Calls, 5)]),
        limit(group("g"), &[(Unit::Calls, 7)]),
    ]);
    assert_eq!(count(&limits, &data, T0, &user("a", &["g"]), 20), 5, "his own");
    assert_eq!(count(&limits, &data, T0, &user("b", &["g"]), 20), 2, "the group's rest");
    let before = data.contents();
    assert_eq!(refused(admit(&limits, &data, T0, &user("b", &["g"]))).limit, 2);
    assert_eq!(data.contents(), before);
    assert_eq!(
        count(&limits, &data, T0, &user("b", &[]), 20),
        2,
        "the endpoint's rest; the refused ones cost b nothing"
    );
}

#[test]
fn touches_no_more_keys_than_it_must() {
    let calls = |key| limit(key, &[(Unit::Calls, 99)]);
    let tokens = |key| limit(key, &[(Unit::Tokens, 99)]);
    // (loads, stores) of an admission and of its settlement
    let cases = [
        ("both keys", vec![calls(LimitKey::Endpoint), calls(LimitKey::EachUser)], (2, 2), (0, 0)),
        ("the endpoint's", vec![calls(LimitKey::Endpoint), calls(group("g"))], (1, 1), (0, 0)),
        ("the caller's", vec![calls(LimitKey::EachUser)], (1, 1), (0, 0)),
        ("tokens are only read", vec![tokens(LimitKey::Endpoint), tokens(LimitKey::EachUser)], (2, 0), (2, 2)),
        ("calls here, tokens there", vec![calls(LimitKey::Endpoint), tokens(LimitKey::EachUser)], (2, 1), (1, 1)),
    ];
    for (name, policy, admission, settlement) in cases {
        let (limits, data) = configured(policy);
        data.traffic();
        let charge = admitted(admit(&limits, &data, T0, &user("a", &["g"])));
        assert_eq!(data.traffic(), admission, "{name}: admission");
        settle(&limits, &data, T0, &charge, spent(1, 1));
        assert_eq!(data.traffic(), settlement, "{name}: settlement");
        settle(&limits, &data, T0, &charge, Tokens::default());
        assert_eq!(data.traffic(), (0, 0), "{name}: nothing used");
    }
}

#[test]
fn tokens_are_admitted_below_the_limit_and_charged_afterwards() {
    let (limits, data) = configured(vec![limit(
        LimitKey::EachUser,
        &[(Unit::Tokens, 100), (Unit::InputTokens, 80), (Unit::OutputTokens, 30)],
    )]);
    let alice = user("alice", &[]);
    let first = admitted(admit(&limits, &data, T0, &alice));
    let second = admitted(admit(&limits, &data, T0, &alice));
    settle(&limits, &data, T0 + 5_000, &first, spent(60, 29));
    assert_eq!(admitted(admit(&limits, &data, T0 + 5_000, &alice)).tokens.map(|t| t.remaining), Some(1));
    settle(&limits, &data, T0 + 5_000, &second, spent(1, 1_000));
    let refusal = refused(admit(&limits, &data, T0 + 5_000, &alice));
    assert_eq!((refusal.unit, refusal.maximum, refusal.used), (Unit::OutputTokens, 30, 1_029));
    assert_eq!(count(&limits, &data, T0 + 5_000, &user("bob", &[]), 1), 1);
    settle(&limits, &data, T0 + 6_000, &first, spent(u64::MAX, u64::MAX));
    assert_eq!(refused(admit(&limits, &data, T0 + 6_000, &alice)).used, u64::MAX, "saturating");
}

#[test]
fn malformed_values_are_empty() {
    let policy = vec![limit(LimitKey::Endpoint, &[(Unit::Calls, 3)]), limit(LimitKey::EachUser, &[(Unit::Calls, 2)])];
    for seed in 0..300 {
        let [alice, bob] = ["alice", "bob"].map(|name| user(name, &[]));
        let (limits, data) = configured(policy.clone());
        let mut random = Random(seed);
        let junk: Vec<u8> = (0..random.below(200)).map(|_| random.next() as u8).collect();
        let slot = slot(&alice);
        for key in [slot.as_str(), "weir.e.chat"] {
            data.put(key, &junk);
        }
        assert_eq!(count(&limits, &data, T0, &alice, 9), 2, "seed {seed}: {junk:?}");
        assert_eq!(count(&limits, &data, T0, &bob, 9), 1, "seed {seed}");
    }
}

#[test]
fn a_clock_set_right_does_not_block_for_as_long_as_it_was_wrong() {
    let (limits, data) = configured(vec![limit(LimitKey::EachUser, &[(Unit::Calls, 2)])]);
    let alice = user("alice", &[]);
    assert_eq!(count(&limits, &data, T0 + 600 * MINUTE, &alice, 9), 2);
    let refusal = refused(admit(&limits, &data, T0, &alice));
    assert_eq!(refusal.retry_after_ms, 90_000, "not a reset, but no ten hours either");
    assert_eq!(count(&limits, &data, T0 + 89_999, &alice, 9), 0);
    assert_eq!(count(&limits, &data, T0 + 90_000, &alice, 9), 1);
}

/// One of each kind, so that waits, periods and units mix.
fn mixed() -> Vec<Limit> {
    vec![
        per(Period::Hour, LimitKey::Endpoint, &[(Unit::Calls, 60), (Unit::Tokens, 9_000)]),
        limit(LimitKey::EachUser, &[(Unit::Calls, 6), (Unit::InputTokens, 700)]),
        per(Period::Second, LimitKey::EachUser, &[(Unit::Calls, 2)]),
        limit(group("g"), &[(Unit::Calls, 9), (Unit::OutputTokens, 400)]),
    ]
}

#[test]
fn equals_the_model() {
    let units = |who: usize, tokens: &Tokens| {
        let Tokens { input, output, .. } = *tokens;
        let user = |n: usize, amount: u64| if who % 2 == n { amount } else { 0 };
        let shared = [(60, 1, 3_600_000), (9_000, input + output, 3_600_000)];
        let zero = [(6, user(0, 1), MINUTE), (700, user(0, input), MINUTE), (2, user(0, 1), 1_000)];
        let one = [(6, user(1, 1), MINUTE), (700, user(1, input), MINUTE), (2, user(1, 1), 1_000)];
        let group = [(9, user(0, 1), MINUTE), (400, user(0, output), MINUTE)];
        shared.into_iter().chain(zero).chain(one).chain(group).collect::<Vec<_>>()
    };
    for seed in 0..60 {
        let callers = [user("a", &["g"]), user("b", &[])];
        let (limits, data) = configured(mixed());
        let mut models: Vec<_> = units(0, &Tokens::default()).iter().map(|unit| Model::new(unit.2)).collect();
        let (mut random, mut now) = (Random(seed), T0);
        for step in 0..400 {
            let pause = *random.pick(&[1, 100, 2_000, 30_000]);
            now += random.below(pause);
            let who = random.below(2) as usize;
            let used = spent(random.below(200), random.below(100));
            let probe = units(who, &spent(1, 1));
            let open = models.iter().zip(&probe).all(|(m, (max, mine, _))| *mine == 0 || m.used(now) < *max);
            match admit(&limits, &data, now, &callers[who]) {
                Admission::Admitted(charge) => {
                    assert!(open, "seed {seed} step {step}: admitted");
                    settle(&limits, &data, now, &charge, used);
                    for (model, (_, amount, _)) in models.iter_mut().zip(units(who, &used)) {
                        if amount > 0 {
                            model.charge(now, amount);
                        }
                    }
                }
                other => assert!(!open, "seed {seed} step {step}: {other:?}"),
            }
        }
    }
}

#[test]
fn waiting_as_told_admits_and_a_millisecond_less_does_not() {
    let mut refusals = 0;
    for seed in 0..300 {
        let callers = [user("a", &["g"]), user("b", &[]), user("c", &["g"])];
        let (limits, data) = configured(mixed());
        let (mut random, mut now) = (Random(seed), T0);
        for _ in 0..60 {
            let pause = *random.pick(&[1, 100, 2_000, 30_000]);
            now = now + random.below(pause) - random.below(2) * 500;
            let who = random.pick(&callers);
            let used = spent(random.below(500), random.below(300));
            match admit(&limits, &data, now, who) {
                Admission::Admitted(charge) => settle(&limits, &data, now, &charge, used),
                other => {
                    let wait = refused(other).retry_after_ms;
                    assert!(wait > 0);
                    refused(admit(&limits, &data, now + wait - 1, who));
                    let before = [slot(who), "weir.e.chat".into()].map(|key| (data.contents_of(&key), key));
                    admitted(admit(&limits, &data, now + wait, who));
                    before.iter().for_each(|(value, key)| data.put(key, value));
                    refusals += 1;
                }
            }
        }
    }
    assert!(refusals > 1_000, "{refusals}");
}
