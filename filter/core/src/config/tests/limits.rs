//! What a policy says of all limits, and what `weir check` warns of.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::{
    limits::{Conflict, LimitKey, Reserve, Rules, Unit, Weight},
    lint,
};

const LIMITS: &str = "/endpoints/0/ai_gateway/rate_limits";
const SOURCES: &str = "/identity/sources";

fn rules_of(edits: &[(&str, Value)]) -> Rules {
    let limits = (LIMITS, json!([{"calls": 1, "renewal_period": "day"}]));
    let edits: Vec<_> = edits.iter().cloned().chain([limits]).collect();
    compile(&edited(&edits)).unwrap_or_else(|error| panic!("{error}")).config.endpoints[0].limits.rules()
}

#[test]
fn rules() {
    assert_eq!(rules_of(&[]), Rules::default());
    assert_eq!(rules_of(&[("/reserve", json!({"cap": 5000}))]), Rules::default(), "nothing is reserved yet");
    let all = [
        ("/enforcement", json!("shadow")),
        ("/limit_conflict", json!("databricks")),
        ("/accounting", json!("reserve")),
        ("/reserve", json!({"default_max_tokens": 100, "cap": 200})),
    ];
    let reserve = Some(Reserve { default_max_tokens: 100, cap: 200 });
    assert_eq!(rules_of(&all), Rules { conflict: Conflict::Databricks, shadow: true, reserve });
    let reserve = rules_of(&[("/accounting", json!("reserve"))]).reserve;
    assert_eq!(reserve, Some(Reserve { default_max_tokens: 1_024, cap: 16_384 }));
}

#[test]
fn the_rest_of_a_limit() {
    let price = json!({"input_per_million_usd": 1, "output_per_million_usd": 2});
    let policy = edited(&[
        ("/endpoints/0/config/served_entities/0/price", price.clone()),
        ("/endpoints/0/config/served_entities/1/price", price.clone()),
        ("/endpoints/0/config/served_entities/2/price", price),
        (
            LIMITS,
            json!([
                {"cost_usd": 12.345678, "renewal_period": "month", "mode": "shadow"},
                {"key": "user_group", "principal": "g", "per": "member", "tokens": 9, "renewal_period": "day", "cached_input_weight": 0.25},
                {"key": "user_group", "principal": "g", "per": "group", "tokens": 9, "renewal_period": "day", "cached_input_weight": 0},
            ]),
        ),
    ]);
    let config = compile(&policy).unwrap_or_else(|error| panic!("{error}")).config;
    let limits = config.endpoints[0].limits.entries();
    assert_eq!((limits[0].units.as_slice(), limits[0].shadow), (&[(Unit::CostUsd, 12_345_678_000)][..], true));
    assert_eq!((&limits[1].key, limits[1].cached_input_weight), (&LimitKey::EachMember("g".into()), Weight(250_000)));
    assert_eq!((&limits[2].key, limits[2].cached_input_weight), (&LimitKey::UserGroup("g".into()), Weight(0)));
}

/// Alice is in research and staff, Bob in interns and staff, and there is nobody else.
fn known() -> (&'static str, Value) {
    let key = |byte: &str, owner: Value| {
        let mut key = json!({"sha256": byte.repeat(64)});
        key.as_object_mut().unwrap().extend(owner.as_object().unwrap().clone());
        key
    };
    let keys = [
        key("a", json!({"user": "alice", "groups": ["research", "staff"]})),
        key("b", json!({"user": "bob", "groups": ["interns", "staff"]})),
        key("c", json!({"service_principal": "job"})),
    ];
    (SOURCES, json!([{"api_keys": keys}]))
}

#[test]
fn warnings() {
    let limit = |at: usize, what: &str| format!("endpoints[0].ai_gateway.rate_limits[{at}]: found {what}");
    let cases = [
        (
            "money where a model has no price",
            json!([{"cost_usd": 1, "renewal_period": "hour"}]),
            vec![limit(
                0,
                "a limit of `cost_usd`, expected a `price` on every served entity: `a` has none, and costs nothing",
            )],
        ),
        (
            "one that a wider one of the same period is never above",
            json!([
                {"calls": 50, "renewal_period": "minute"},
                {"key": "user", "calls": 60, "renewal_period": "minute"},
                {"key": "user_group", "principal": "staff", "calls": 40, "renewal_period": "minute"},
            ]),
            vec![limit(
                1,
                "60 calls per minute for each user, which can never bind, expected less, or no such limit: rate_limits[0] \
                 allows 50 calls per minute for all callers together",
            )],
        ),
        (
            "of a longer period: 61 minutes touch an hour",
            json!([
                {"calls": 10, "renewal_period": "minute"},
                {"key": "user", "calls": 609, "renewal_period": "hour"},
                {"key": "user_group", "principal": "staff", "calls": 610, "renewal_period": "hour"},
                {"key": "user", "calls": 11, "renewal_period": "second"},
            ]),
            vec![limit(
                2,
                "610 calls per hour for group staff, which can never bind, expected less, or no such limit: rate_limits[0] \
                 allows 10 calls per minute for all callers together",
            )],
        ),
        (
            "tokens bound each kind of them; a shadow bounds nothing",
            json!([
                {"tokens": 50, "renewal_period": "minute"},
                {"calls": 1, "renewal_period": "minute", "mode": "shadow"},
                {"key": "user", "calls": 9, "output_tokens": 50, "renewal_period": "minute"},
            ]),
            vec![limit(
                2,
                "50 output_tokens per minute for each user, which can never bind, expected less, or no such limit: \
                 rate_limits[0] allows 50 tokens per minute for all callers together",
            )],
        ),
        (
            "a group whose members have less each",
            json!([
                {"key": "user_group", "principal": "staff", "calls": 5, "renewal_period": "minute"},
                {"key": "user_group", "principal": "staff", "per": "member", "calls": 5, "renewal_period": "minute"},
            ]),
            vec![limit(
                1,
                "5 calls per minute for each member of group staff, which can never bind, expected less, or no such limit: \
                 rate_limits[0] allows 5 calls per minute for group staff",
            )],
        ),
        (
            "nobody",
            json!([
                {"key": "user_group", "principal": "ghosts", "calls": 5, "renewal_period": "minute"},
                {"key": "user", "principal": "carol", "calls": 5, "renewal_period": "minute"},
                {"key": "service_principal", "principal": "job", "calls": 5, "renewal_period": "minute"},
                {"key": "user_group", "principal": "static", "calls": 5, "renewal_period": "minute"},
            ]),
            vec![
                limit(
                    0,
                    "a limit for group ghosts, of whom there is none, expected a group that somebody is in: no API key and \
                     no `groups_of` names it, and no other source gives groups",
                ),
                limit(
                    1,
                    "a limit for user carol, of whom there is none, expected a caller who may come: no API key is his, and \
                     there is no other source",
                ),
            ],
        ),
        (
            "groups that overlap",
            json!([
                {"key": "user_group", "principal": "research", "calls": 5, "renewal_period": "minute"},
                {"key": "user_group", "principal": "interns", "calls": 6, "renewal_period": "minute"},
                {"key": "user_group", "principal": "staff", "calls": 5, "renewal_period": "minute"},
            ]),
            vec![limit(
                2,
                "another limit of calls per minute than group interns has (rate_limits[1]), expected that it is meant: 1 \
                 known callers are in interns and in staff, and the lower one stops who is in both (`limit_conflict: \
                 strictest`)",
            )],
        ),
        (
            "a weight without anything to weigh",
            json!([{"calls": 5, "renewal_period": "minute", "cached_input_weight": 0}]),
            vec![
                "endpoints[0].ai_gateway.rate_limits[0].cached_input_weight: found a weight of cached input, expected \
                 `tokens` or `input_tokens`: no other unit counts input tokens"
                    .to_owned(),
            ],
        ),
    ];
    for (name, limits, expected) in cases {
        let groups_of = ("/identity/groups_of", json!({"dave": ["static"]}));
        let compiled =
            compile(&edited(&[known(), groups_of, (LIMITS, limits)])).unwrap_or_else(|e| panic!("{name}: {e}"));
        let warnings = [compiled.warnings, lint::warnings(&compiled.config)].concat();
        assert_eq!(lines(&warnings), expected, "{name}");
    }
}

#[test]
fn who_may_come_from_elsewhere_is_not_warned_of() {
    let limits = json!([
        {"key": "user_group", "principal": "ghosts", "calls": 5, "renewal_period": "minute"},
        {"key": "user", "principal": "carol", "calls": 5, "renewal_period": "minute"},
    ]);
    let header = |groups: bool| {
        let mut header = json!({"user": "x-user", "trusted_from": ["10.0.0.0/8"]});
        if groups {
            header["groups"] = json!("x-groups");
        }
        json!([{"header": header}])
    };
    for (source, warned) in [(header(true), 0), (header(false), 1)] {
        let compiled = compile(&edited(&[(SOURCES, source), (LIMITS, limits.clone())])).unwrap();
        assert_eq!(lint::warnings(&compiled.config).len(), warned);
    }
}
