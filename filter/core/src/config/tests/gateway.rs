//! `ai_gateway`: limits, fallback, records.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::limits::{Limit, LimitKey, Period, Unit, Weight};

const LIMITS: &str = "/endpoints/0/ai_gateway/rate_limits";

#[test]
fn every_kind_of_limit() {
    let config = compiled(&[(
        LIMITS,
        json!([
            {"calls": 0, "renewal_period": "second"},
            {"key": "endpoint", "tokens": 5.0, "output_tokens": 7, "renewal_period": "hour", "name": "cap"},
            {"key": "user", "input_tokens": 1, "renewal_period": "minute", "mode": "enforce", "cached_input_weight": 1},
            {"key": "user", "principal": "alice", "input_tokens": 2, "renewal_period": "minute"},
            {"key": "service_principal", "principal": "job", "calls": 3, "renewal_period": "minute"},
            {"key": "user_group", "principal": "g", "calls": 4, "renewal_period": "minute"},
        ]),
    )]);
    let limit = |key, units: &[(Unit, u64)], period, name: Option<&str>| Limit {
        key,
        units: units.to_vec(),
        period,
        name: name.map(str::to_owned),
        cached_input_weight: Weight::FULL,
        shadow: false,
    };
    let name = str::to_owned;
    assert_eq!(
        config.endpoints[0].limits.entries(),
        [
            limit(LimitKey::Endpoint, &[(Unit::Calls, 0)], Period::Second, None),
            limit(LimitKey::Endpoint, &[(Unit::Tokens, 5), (Unit::OutputTokens, 7)], Period::Hour, Some("cap")),
            limit(LimitKey::EachUser, &[(Unit::InputTokens, 1)], Period::Minute, None),
            limit(LimitKey::User(name("alice")), &[(Unit::InputTokens, 2)], Period::Minute, None),
            limit(LimitKey::ServicePrincipal(name("job")), &[(Unit::Calls, 3)], Period::Minute, None),
            limit(LimitKey::UserGroup(name("g")), &[(Unit::Calls, 4)], Period::Minute, None),
        ]
    );
}

/// The path of the first limit, and what is said of it.
fn first(what: &str) -> String {
    format!("endpoints[0].ai_gateway.rate_limits[0]{what}")
}

#[test]
fn wrong_limits() {
    for (limit, expected) in [
        (json!({"calls": -5, "renewal_period": "minute"}), ".calls: found `-5`, expected a whole number of at least 0"),
        (
            json!({"calls": 0.5, "renewal_period": "minute"}),
            ".calls: found `0.5`, expected a whole number of at least 0",
        ),
        (
            json!({"tokens": "9", "renewal_period": "minute"}),
            ".tokens: found `9`, expected a whole number of at least 0",
        ),
        (
            json!({"renewal_period": "minute"}),
            ": found a limit without any unit, expected `calls`, `tokens`, `input_tokens`, `output_tokens`, `cost_usd` or \
             several of them",
        ),
        (json!({"calls": 1}), ".renewal_period: found nothing, expected `second`, `minute`, `hour`, `day` or `month`"),
        (
            json!({"calls": 1, "renewal_period": "week"}),
            ".renewal_period: found `week`, expected one of `second`, `minute`, `hour`, `day`, `month`",
        ),
        (json!({"cost_usd": -1, "renewal_period": "hour"}), ".cost_usd: found `-1`, expected a number of at least 0"),
        (
            json!({"calls": 1, "renewal_period": "hour", "mode": "off"}),
            ".mode: found `off`, expected one of `enforce`, `shadow`",
        ),
        (
            json!({"calls": 1, "renewal_period": "hour", "per": "member"}),
            ".per: found `member`, expected no such key: only a limit of a `user_group` has members",
        ),
        (
            json!({"key": "user_group", "principal": "g", "calls": 1, "renewal_period": "hour", "per": "user"}),
            ".per: found `user`, expected one of `group`, `member`",
        ),
        (
            json!({"tokens": 1, "renewal_period": "hour", "cached_input_weight": 1.5}),
            ".cached_input_weight: found `1.5`, expected a number from 0 to 1",
        ),
        (
            json!({"key": "user_group", "calls": 1, "renewal_period": "hour"}),
            ".principal: found nothing, expected the name of whom the limit is for",
        ),
        (
            json!({"key": "service_principal", "calls": 1, "renewal_period": "hour"}),
            ".principal: found nothing, expected the name of whom the limit is for",
        ),
        (
            json!({"principal": "a", "calls": 1, "renewal_period": "hour"}),
            ".principal: found `a`, expected no principal: the `key` is `endpoint`, which is the default",
        ),
        (
            json!({"key": "group", "principal": "a", "calls": 1, "renewal_period": "hour"}),
            ".key: found `group`, expected one of `endpoint`, `user`, `service_principal`, `user_group`",
        ),
        (
            json!({"calls": 1, "renewal_perod": "hour", "renewal_period": "hour"}),
            ".renewal_perod: found an unknown key, expected a known one: did you mean `renewal_period`?",
        ),
    ] {
        check_errors(&[(&[(LIMITS, json!([limit]))], &[&first(expected)])]);
    }
}

#[test]
fn too_many_limits() {
    let users = |count: usize| -> Vec<Value> {
        let user = |n| json!({"key": "user", "principal": format!("u{n}"), "calls": 1, "renewal_period": "minute"});
        (0..count).map(user).collect()
    };
    let groups = |count: usize| -> Vec<Value> {
        let group =
            |n| json!({"key": "user_group", "principal": format!("g{n}"), "calls": 1, "renewal_period": "minute"});
        (0..count).map(group).collect()
    };
    check_errors(&[
        (&[(LIMITS, json!(users(20)))], &[]),
        (&[(LIMITS, json!(groups(5)))], &[]),
        (
            &[(LIMITS, json!(users(21)))],
            &["endpoints[0].ai_gateway.rate_limits: found 21 limits, expected at most 20 for an endpoint"],
        ),
        (
            &[(LIMITS, json!(groups(6)))],
            &["endpoints[0].ai_gateway.rate_limits: found 6 limits for groups, expected at most 5 for an endpoint"],
        ),
    ]);
}

#[test]
fn the_same_limit_twice() {
    let limits = |limits: Value| [(LIMITS, limits)];
    check_errors(&[
        (
            &limits(json!([
                {"calls": 1, "renewal_period": "minute"},
                {"key": "endpoint", "calls": 2, "tokens": 5, "renewal_period": "minute"},
            ])),
            &["endpoints[0].ai_gateway.rate_limits[1]: found a second limit of calls for the same subject a minute, \
                 expected one: rate_limits[0] is it already"],
        ),
        (
            &limits(json!([
                {"calls": 1, "renewal_period": "minute"},
                {"tokens": 1, "renewal_period": "minute"},
                {"calls": 9, "renewal_period": "hour"},
                {"key": "user", "calls": 1, "renewal_period": "minute"},
                {"key": "user", "principal": "a", "calls": 1, "renewal_period": "minute"},
                {"key": "user_group", "principal": "a", "calls": 1, "renewal_period": "minute"},
            ])),
            &[],
        ),
    ]);
}

#[test]
fn fallback_and_records() {
    let gateway = |key: &str, value: Value| edited(&[("/endpoints/0/ai_gateway", json!({key: value}))]);
    let error = |policy: Value| lines(&compile(&policy).unwrap_err().problems);
    assert_eq!(
        error(gateway("fallback_config", json!({}))),
        ["endpoints[0].ai_gateway.fallback_config.enabled: found nothing, expected `true` or `false`"]
    );
    let table = "endpoints[0].ai_gateway.inference_table_config.enabled: found";
    let not_built = "expected `false`: inference tables are not built yet";
    let named = json!({"enabled": false, "catalog_name": "main", "schema_name": "ai", "table_name_prefix": "chat"});
    assert!(compile(&gateway("inference_table_config", named)).is_ok());
    assert_eq!(
        error(gateway("inference_table_config", json!({"enabled": true}))),
        [format!("{table} `true`, {not_built}")]
    );
    assert_eq!(error(gateway("inference_table_config", json!({}))), [format!("{table} nothing, {not_built}")]);
    assert_eq!(
        error(gateway("guardrails", json!({"input": {"safety": true}}))),
        [
            "endpoints[0].ai_gateway.guardrails: found an object, expected no such key: support of guardrails is not built yet"
        ]
    );
    let off = compile(&gateway("usage_tracking_config", json!({"enabled": false}))).unwrap();
    assert!(!off.config.endpoints[0].usage_tracking);
    let mut unlogged = gateway("usage_tracking_config", json!({"enabled": true}));
    edit(&mut unlogged, "/logging", json!("()"));
    assert_eq!(
        lines(&compile(&unlogged).unwrap().warnings),
        ["endpoints[0].ai_gateway.usage_tracking_config.enabled: found `true`, expected `logging` in the policy: \
             without it usage is recorded nowhere"]
    );
}
