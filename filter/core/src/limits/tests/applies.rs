//! Which limits apply, and that each subject has counters of his own.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn policy() -> Vec<Limit> {
    vec![
        limit(LimitKey::Endpoint, &[(Unit::Calls, 1_000)]),
        limit(LimitKey::EachUser, &[(Unit::Calls, 10), (Unit::Tokens, 20), (Unit::OutputTokens, 30)]),
        per(Period::Hour, LimitKey::EachUser, &[(Unit::Calls, 40)]),
        limit(custom("alice"), &[(Unit::Calls, 50), (Unit::OutputTokens, 60)]),
        limit(robot("job"), &[(Unit::Calls, 70)]),
        limit(group("staff"), &[(Unit::Calls, 80), (Unit::InputTokens, 90)]),
        limit(group("interns"), &[(Unit::Calls, 100)]),
    ]
}

#[test]
fn which_apply() {
    let each_user = [1_000, 10, 20, 30, 40];
    let cases: [(&str, Caller, &[u64]); 8] = [
        ("a user", user("bob", &[]), &each_user),
        ("anonymous", caller(Principal::Anonymous, &[]), &each_user),
        ("a custom limit ends the default for its units, of all periods", user("alice", &[]), &[1_000, 20, 50, 60]),
        ("a member", user("bob", &["staff"]), &[1_000, 10, 20, 30, 40, 80, 90]),
        ("of two, one named twice", user("alice", &["interns", "staff", "staff"]), &[1_000, 20, 50, 60, 80, 90, 100]),
        ("a service principal", caller(Principal::ServicePrincipal("job".into()), &[]), &[1_000, 70]),
        ("another, in a group", caller(Principal::ServicePrincipal("x".into()), &["staff"]), &[1_000, 80, 90]),
        ("one named like a user", caller(Principal::ServicePrincipal("alice".into()), &[]), &[1_000]),
    ];
    let counters = compile::counters("chat", &policy(), Rules::default());
    for (name, caller, expected) in cases {
        let applies = compile::applicable(&policy(), &counters, &caller, Tokens::default()).0;
        assert_eq!(applies.iter().map(|held| held.counter.maximum).collect::<Vec<_>>(), expected, "{name}");
    }
}

#[test]
fn each_has_his_own_counter_and_a_group_one_for_all() {
    let (limits, data) = configured(vec![
        limit(LimitKey::EachUser, &[(Unit::Calls, 3)]),
        limit(group("g"), &[(Unit::Calls, 5)]),
        limit(robot("job"), &[(Unit::Calls, 2)]),
    ]);
    assert_eq!(count(&limits, &data, T0, &user("a", &[]), 9), 3);
    assert_eq!(count(&limits, &data, T0, &user("b", &["g"]), 9), 3);
    assert_eq!(count(&limits, &data, T0, &user("c", &["g"]), 9), 2, "the group's 5 are shared");
    assert_eq!(count(&limits, &data, T0, &caller(Principal::Anonymous, &[]), 9), 3);
    assert_eq!(count(&limits, &data, T0, &user("", &[]), 9), 3, "an empty name is not anonymous");
    assert_eq!(count(&limits, &data, T0, &caller(Principal::ServicePrincipal("job".into()), &[]), 9), 2);
    assert_eq!(count(&limits, &data, T0, &caller(Principal::ServicePrincipal("a".into()), &[]), 9), 9, "no limit");
}

#[test]
fn endpoints_do_not_share_a_user() {
    let (chat, data) = configured(vec![limit(LimitKey::EachUser, &[(Unit::Calls, 3)])]);
    let other = Limits::new("other", chat.entries().to_vec(), Rules::default());
    assert_eq!(count(&chat, &data, T0, &user("a", &[]), 9), 3);
    assert_eq!(count(&other, &data, T0, &user("a", &[]), 9), 3);
}

#[test]
fn two_limits_on_one_counter_charge_it_once_and_the_lower_holds() {
    let units = |n| [(Unit::Calls, n), (Unit::Tokens, 10 * n)];
    let (limits, data) = configured(vec![limit(LimitKey::EachUser, &units(9)), limit(LimitKey::EachUser, &units(4))]);
    let alice = user("alice", &[]);
    let charge = admitted(admit(&limits, &data, T0, &alice));
    assert_eq!(charge.requests.map(|r| (r.limit, r.remaining)), Some((4, 3)));
    settle(&limits, &data, T0, &charge, spent(7, 0));
    assert_eq!(admitted(admit(&limits, &data, T0, &alice)).tokens.map(|t| (t.limit, t.remaining)), Some((40, 33)));
    assert_eq!(count(&limits, &data, T0, &alice, 9), 2);
}

#[test]
fn no_limit_touches_nothing() {
    let (limits, data) = configured(vec![limit(robot("job"), &[(Unit::Calls, 1)])]);
    data.traffic();
    let charge = admitted(admit(&limits, &data, T0, &user("a", &["g"])));
    settle(&limits, &data, T0, &charge, spent(1, 1));
    assert_eq!((charge, data.traffic()), (Charge::default(), (0, 0)));
    assert!(!limits.is_empty() && Limits::default().is_empty());
}
