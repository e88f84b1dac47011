//! Money, weights of cached input, members, and shadows: what each counter is charged, and who is refused for it.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn used(limits: &Limits, data: &FakeSharedData, who: &Caller) -> Vec<u64> {
    limits.overview(data, T0, who).iter().map(|row| row.used).collect()
}

#[test]
fn amounts() {
    let all = Tokens { input: 100, cached_input: 40, output: 7, cost: 9 };
    let odd = Tokens { cached_input: u64::MAX, ..all };
    for (tokens, unit, weight, expected) in [
        (all, Unit::Calls, 1_000_000, 0),
        (all, Unit::Tokens, 1_000_000, 107),
        (all, Unit::InputTokens, 1_000_000, 100),
        (all, Unit::InputTokens, 0, 60),
        (all, Unit::InputTokens, 250_000, 70),
        (all, Unit::Tokens, 100_001, 60 + 5 + 7),
        (all, Unit::OutputTokens, 0, 7),
        (all, Unit::CostUsd, 0, 9),
        (odd, Unit::InputTokens, 0, 0),
        (odd, Unit::InputTokens, 1_000_000, 100),
        (spent(u64::MAX, u64::MAX), Unit::Tokens, 1_000_000, u64::MAX),
    ] {
        assert_eq!(tokens.amount(unit, Weight(weight)), expected, "{tokens:?} {unit} {weight}");
    }
}

#[test]
fn money() {
    for (usd, nanos) in [(0.0, 0), (1e-9, 1), (2.5, 2_500_000_000), (0.1 + 0.2, 300_000_000), (1e30, u64::MAX)] {
        assert_eq!(nano_usd(usd), nanos);
    }
    assert_eq!((Unit::CostUsd.amount(250_000_000), Unit::Calls.amount(3)), ("0.25 USD".into(), "3 calls".into()));
    let (limits, data) = configured(vec![per(Period::Month, LimitKey::EachUser, &[(Unit::CostUsd, nano_usd(1.0))])]);
    let ann = user("ann", &[]);
    let mut calls = 0;
    while let Admission::Admitted(charge) = admit(&limits, &data, T0, &ann) {
        assert_eq!((charge.requests, charge.tokens), (None, None), "money is in no header");
        settle(&limits, &data, T0, &charge, Tokens { cost: nano_usd(0.3), ..spent(9, 9) });
        calls += 1;
    }
    assert_eq!(calls, 4, "the one that crosses the limit is served");
    let refusal = refused(admit(&limits, &data, T0, &ann));
    assert_eq!(
        limits.message("chat", &refusal),
        "the limit of 1 USD per month for each user on endpoint chat is reached (1.2 USD used): send the request again in \
         856h0m1s"
    );
}

#[test]
fn a_weight_has_a_count_of_its_own() {
    let weighing =
        |weight| Limit { cached_input_weight: Weight(weight), ..limit(group("g"), &[(Unit::InputTokens, 99)]) };
    let (limits, data) =
        configured(vec![weighing(0), weighing(500_000), limit(group("g"), &[(Unit::InputTokens, 99)])]);
    let ann = user("ann", &["g"]);
    let charge = admitted(admit(&limits, &data, T0, &ann));
    settle(&limits, &data, T0, &charge, Tokens { cached_input: 8, ..spent(10, 0) });
    assert_eq!(used(&limits, &data, &ann), [2, 6, 10]);
}

#[test]
fn each_member_has_his_own() {
    let (limits, data) = configured(vec![
        limit(LimitKey::EachMember("g".into()), &[(Unit::Calls, 3)]),
        limit(LimitKey::EachMember("h".into()), &[(Unit::Calls, 4)]),
    ]);
    let robot = caller(Principal::ServicePrincipal("ann".into()), &["g"]);
    for (who, calls) in [
        (user("ann", &["g"]), 3),
        (user("bob", &["g", "h"]), 3),
        (user("cy", &["h"]), 4),
        (robot, 3),
        (caller(Principal::Anonymous, &["g"]), 3),
        (user("dan", &[]), 9),
    ] {
        assert_eq!(count(&limits, &data, T0, &who, 9), calls, "{who:?}");
    }
}

#[test]
fn a_shadow_counts_and_refuses_nobody() {
    let shadow = |limit: Limit| Limit { shadow: true, ..limit };
    let (limits, data) = configured(vec![
        shadow(limit(LimitKey::EachUser, &[(Unit::Calls, 2), (Unit::Tokens, 10)])),
        limit(LimitKey::Endpoint, &[(Unit::Calls, 5)]),
    ]);
    let ann = user("ann", &[]);
    let would: Vec<_> = (0..5)
        .map(|_| {
            let charge = admitted(admit(&limits, &data, T0, &ann));
            assert_eq!(charge.requests.map(|r| r.limit), Some(5), "a shadow is in no header");
            assert_eq!(charge.tokens, None);
            charge.would_limit
        })
        .collect();
    assert_eq!(would, [None, None, Some(0), Some(0), Some(0)]);
    assert_eq!(used(&limits, &data, &ann), [5, 0, 5]);
    assert_eq!(refused(admit(&limits, &data, T0, &ann)).limit, 1, "what is enforced refuses");
    assert_eq!(used(&limits, &data, &ann), [5, 0, 5], "and charges no shadow");
}

#[test]
fn a_policy_in_shadow_refuses_nobody_also_under_contention() {
    let calls = vec![limit(LimitKey::EachUser, &[(Unit::Calls, 1)]), limit(LimitKey::Endpoint, &[(Unit::Calls, 0)])];
    let limits = Limits::new("chat", calls, Rules { shadow: true, ..Rules::default() });
    let (data, ann) = (FakeSharedData::default(), user("ann", &[]));
    assert_eq!(admitted(admit(&limits, &data, T0, &ann)).would_limit, Some(1));
    data.lose(MAX_TRIES, "weir.u");
    assert_eq!(admit(&limits, &data, T0, &ann), Admission::Admitted(Charge::default()), "uncounted");
    assert_eq!(used(&limits, &data, &ann), [1, 1]);
}

#[test]
fn a_shadow_is_logged_once_a_second() {
    let limits = compiled(vec![limit(group("g"), &[(Unit::Calls, 1)])]);
    let lines: Vec<_> = [0, 1, 999, 1_000, 1_500, 9_000].map(|at| limits.shadow_line("chat", 0, T0 + at)).into();
    let line = |more: &str| {
        Some(format!("shadow: endpoint chat: limit `user_group g per minute` would have refused a request{more}"))
    };
    let two = line(", and 2 more since the last such line");
    let one = line(", and 1 more since the last such line");
    assert_eq!(lines, [line(""), None, None, two, None, one]);
}
