//! Tags: pinned, since counts in shared data outlive builds, and distinct.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{super::tags, *};

#[test]
fn pinned() {
    // Made by another implementation of SipHash-1-3. A change here makes every count in every running Envoy unknown.
    let calls = |key| tags::of_counter("chat", &key, Unit::Calls, Period::Minute);
    let subject = |principal| Subject::of(&principal).unwrap().spread();
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
        for key in [LimitKey::Endpoint, LimitKey::EachUser, robot("x"), group("x"), group("b"), group("bx"), group("")]
        {
            for unit in [Unit::Calls, Unit::Tokens, Unit::InputTokens, Unit::OutputTokens] {
                for period in [Period::Second, Period::Minute, Period::Hour] {
                    let tag = tags::of_counter(endpoint, &key, unit, period);
                    assert_eq!(seen.insert(tag, (endpoint, key.clone(), unit, period)), None);
                }
            }
        }
    }
    let of = |key| tags::of_counter("a", &key, Unit::Calls, Period::Second);
    assert_eq!(of(LimitKey::EachUser), of(custom("alice")), "a user keeps his count when he gets a limit of his own");
}

#[test]
fn users_spread_evenly() {
    let mut slots = vec![0u32; SLOTS];
    for n in 0..SLOTS * 10 {
        let subject = Subject::of(&Principal::User(format!("user-{n}@example.com"))).unwrap();
        slots[(subject.spread() % SLOTS as u64) as usize] += 1;
    }
    let (least, most) = (slots.iter().min().unwrap(), slots.iter().max().unwrap());
    assert!(*most <= 32, "10 on average, {most} at most: a fair hash gives at most 26 or so");
    assert!(*least <= 1, "and hardly any at least: {least}");
}
