//! Tags: pinned, since counts in shared data outlive builds, and distinct.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{super::tags, *};

#[test]
fn pinned() {
    // Made by another implementation of SipHash-1-3. A change here makes every count in every running Envoy unknown.
    let calls = |key| tags::of_counter("chat", &limit(key, &[]), Unit::Calls);
    let subject = |principal| Subject::of(&principal).spread();
    let found = [
        calls(LimitKey::Endpoint),
        calls(LimitKey::EachUser),
        calls(group("staff")),
        subject(Principal::User("alice@example.com".into())),
        subject(Principal::Anonymous),
    ];
    assert_eq!(found.map(|tag| format!("{tag:016x}")), PINNED);
}

const PINNED: [&str; 5] =
    ["a23f8afb5585f174", "938157a2907989a5", "abc00b6fbc96f3af", "a5027780a35d525f", "5401ef2d642c4155"];

#[test]
fn distinct_but_for_custom_users() {
    let mut seen = std::collections::BTreeMap::new();
    for endpoint in ["a", "ab", ""] {
        let groups = ["x", "b", "bx", ""].map(group);
        let others = [LimitKey::Endpoint, LimitKey::EachUser, robot("x"), LimitKey::EachMember("x".into())];
        for key in groups.into_iter().chain(others) {
            for unit in [Unit::Calls, Unit::Tokens, Unit::InputTokens, Unit::OutputTokens, Unit::CostUsd] {
                for period in [Period::Second, Period::Minute, Period::Hour, Period::Day, Period::Month] {
                    for weight in [0, 250_000, 1_000_000] {
                        let limit = Limit { cached_input_weight: Weight(weight), ..per(period, key.clone(), &[]) };
                        let weight = weight * u32::from(unit.has_input());
                        let tag = tags::of_counter(endpoint, &limit, unit);
                        let what = (endpoint, key.clone(), unit, period, weight);
                        assert_eq!(seen.insert(tag, what.clone()).unwrap_or(what.clone()), what);
                    }
                }
            }
        }
    }
    assert_eq!(seen.len(), 3 * 8 * 5 * (3 + 2 * 3), "each but for weights where no input is counted");
    let of = |key| tags::of_counter("a", &limit(key, &[]), Unit::Calls);
    assert_eq!(of(LimitKey::EachUser), of(custom("alice")), "a user keeps his count when he gets a limit of his own");
}

#[test]
fn users_spread_evenly() {
    let mut slots = vec![0u32; SLOTS];
    for n in 0..SLOTS * 10 {
        let subject = Subject::of(&Principal::User(format!("user-{n}@example.com")));
        slots[(subject.spread() % SLOTS as u64) as usize] += 1;
    }
    let (least, most) = (slots.iter().min().unwrap(), slots.iter().max().unwrap());
    assert!(*most <= 32, "10 on average, {most} at most: a fair hash gives at most 26 or so");
    assert!(*least <= 1, "and hardly any at least: {least}");
}
