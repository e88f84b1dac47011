//! What a caller is told.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[test]
fn durations_in_openais_form() {
    let cases = [
        (0, "0s"),
        (1, "1ms"),
        (350, "350ms"),
        (999, "999ms"),
        (1_000, "1s"),
        (1_200, "1.2s"),
        (1_020, "1.02s"),
        (8_640, "8.64s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (72_280, "1m12.28s"),
        (360_000, "6m0s"),
        (3_600_000, "1h0m0s"),
        (86_399_001, "23h59m59.001s"),
        (u64::MAX, "5124095576030h25m51.615s"),
    ];
    for (ms, text) in cases {
        assert_eq!(duration(ms), text, "{ms}");
    }
}

#[test]
fn whole_seconds_are_never_too_early() {
    let cases = [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_999, 60), (u64::MAX, u64::MAX / 1_000 + 1)];
    for (retry_after_ms, seconds) in cases {
        let refusal = Refusal {
            limit: 0,
            unit: Unit::Calls,
            period: Period::Minute,
            maximum: 1,
            used: 1,
            needed: 1,
            retry_after_ms,
            requests: None,
            tokens: None,
        };
        assert_eq!(refusal.retry_after_seconds(), seconds, "{retry_after_ms}");
    }
}

#[test]
fn the_tightest_is_the_least_remaining_share() {
    let (limits, data) = configured(vec![
        limit(LimitKey::Endpoint, &[(Unit::Calls, 100), (Unit::InputTokens, 1_000)]),
        limit(LimitKey::EachUser, &[(Unit::Calls, 4), (Unit::Tokens, 1_000)]),
        limit(group("g"), &[(Unit::Calls, 8), (Unit::OutputTokens, 10)]),
    ]);
    let alice = user("alice", &["g"]);
    let first = admitted(admit(&limits, &data, T0, &alice));
    assert_eq!(first.requests, Some(Standing { limit: 4, remaining: 3, reset_ms: 120_000 }));
    assert_eq!(first.tokens, Some(Standing { limit: 1_000, remaining: 1_000, reset_ms: 0 }), "the first on a tie");
    assert_eq!(first.tokens.unwrap().reset(), "0s");
    settle(&limits, &data, T0 + 500, &first, spent(600, 5));
    let second = admitted(admit(&limits, &data, T0 + 1_000, &alice));
    assert_eq!(second.requests, Some(Standing { limit: 4, remaining: 2, reset_ms: 119_000 }));
    assert_eq!(second.tokens.map(|t| (t.limit, t.remaining)), Some((1_000, 395)), "of three, tokens is the tightest");
    settle(&limits, &data, T0 + 1_500, &second, spent(0, 4));
    let third = admitted(admit(&limits, &data, T0 + 2_000, &alice));
    assert_eq!(third.tokens.map(|t| (t.limit, t.remaining)), Some((10, 1)));
}

#[test]
fn the_refusal_is_the_longest_wait() {
    let (limits, data) = configured(vec![
        per(Period::Second, LimitKey::Endpoint, &[(Unit::Calls, 2)]),
        per(Period::Hour, LimitKey::EachUser, &[(Unit::Calls, 2)]),
        limit(group("g"), &[(Unit::Calls, 2)]),
    ]);
    let alice = user("alice", &["g"]);
    assert_eq!(count(&limits, &data, T0, &alice, 3), 2);
    let refusal = refused(admit(&limits, &data, T0 + 10, &alice));
    // Two used, one of them must have faded: half the period after the one that counts it.
    let expected = (1, Unit::Calls, 2, 2, 3_600_000 + 1_800_000 - 10);
    let Refusal { limit, unit, maximum, used, retry_after_ms, .. } = refusal;
    assert_eq!((limit, unit, maximum, used, retry_after_ms), expected);
    assert_eq!(refusal.requests.map(|r| (r.limit, r.remaining)), Some((2, 0)));
}

#[test]
fn a_limit_of_zero_blocks_for_its_period() {
    let (limits, data) = configured(vec![
        per(Period::Hour, LimitKey::Endpoint, &[(Unit::Calls, 1), (Unit::Tokens, 10)]),
        limit(LimitKey::EachUser, &[(Unit::OutputTokens, 0)]),
    ]);
    let refusal = refused(admit(&limits, &data, T0, &user("alice", &[])));
    assert_eq!((refusal.limit, refusal.maximum, refusal.used), (1, 0, 0));
    assert_eq!((refusal.retry_after_ms, refusal.retry_after_seconds()), (60_000, 60));
    assert_eq!(refusal.tokens, Some(Standing { limit: 0, remaining: 0, reset_ms: 0 }));
    let charge = admitted(admit(&limits, &data, T0, &caller(Principal::ServicePrincipal("job".into()), &[])));
    assert_eq!(charge.requests.map(|r| r.remaining), Some(0), "the refusal charged nothing, this call did");
    let refusal = refused(admit(&limits, &data, T0, &user("alice", &[])));
    assert_eq!(refusal.limit, 1, "what never ends is longer than an hour");
}

#[test]
fn of_equal_waits_the_first_in_the_policy_refuses() {
    let (limits, data) = configured(vec![
        limit(LimitKey::Endpoint, &[(Unit::Calls, 9)]),
        limit(LimitKey::EachUser, &[(Unit::Calls, 2)]),
        limit(group("g"), &[(Unit::Calls, 2)]),
    ]);
    assert_eq!(count(&limits, &data, T0, &user("alice", &["g"]), 3), 2);
    assert_eq!(refused(admit(&limits, &data, T0, &user("alice", &["g"]))).limit, 1);
}
