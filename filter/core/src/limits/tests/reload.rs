//! A new configuration keeps the counts of the old one, also while both are in force.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn calls(key: LimitKey, maximum: u64) -> Limit {
    limit(key, &[(Unit::Calls, maximum)])
}

#[test]
fn counts_outlive_a_change_of_the_limits() {
    let old = || vec![calls(LimitKey::Endpoint, 100), calls(LimitKey::EachUser, 10), calls(group("g"), 20)];
    let named = |mut limit: Limit| {
        limit.name = Some("budget".to_string());
        limit
    };
    // Alice has used 6 of the old limits; how many more has she under the new ones?
    let cases: [(&str, Vec<Limit>, usize); 9] = [
        ("the same", old(), 4),
        ("raised", vec![calls(LimitKey::EachUser, 50)], 44),
        ("lowered, not yet reached", vec![calls(LimitKey::EachUser, 8)], 2),
        ("lowered below what is used", vec![calls(LimitKey::EachUser, 5)], 0),
        ("reordered", old().into_iter().rev().collect(), 4),
        ("one more in front", [vec![calls(robot("x"), 1)], old()].concat(), 4),
        ("named", old().into_iter().map(named).collect(), 4),
        ("a custom limit in the default's place", [old(), vec![calls(custom("alice"), 16)]].concat(), 10),
        ("a unit more in front", vec![limit(LimitKey::EachUser, &[(Unit::Tokens, 9), (Unit::Calls, 7)])], 1),
    ];
    for (name, new, left) in cases {
        let (limits, data) = configured(old());
        let alice = user("alice", &["g"]);
        assert_eq!(count(&limits, &data, T0, &alice, 6), 6);
        let reloaded = compiled(new);
        assert_eq!(count(&reloaded, &data, T0, &alice, 99), left, "{name}");
    }
}

#[test]
fn old_and_new_configurations_count_together() {
    let (old, data) = configured(vec![calls(LimitKey::Endpoint, 10), calls(group("g"), 7)]);
    let new = compiled(vec![calls(robot("x"), 1), calls(LimitKey::Endpoint, 10)]);
    let alice = user("alice", &["g"]);
    let mut admitted = 0;
    for _ in 0..9 {
        admitted += count(&old, &data, T0, &alice, 1) + count(&new, &data, T0, &alice, 1);
    }
    assert_eq!(admitted, 10);
    assert_eq!(count(&compiled(vec![calls(group("g"), 7)]), &data, T0, &alice, 9), 2, "the group's are kept");
}
