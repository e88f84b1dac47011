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

#[test]
fn inference_tables() {
    let policy = |table: Value| edited(&[("/endpoints/0/ai_gateway", json!({"inference_table_config": table}))]);
    let table = |more: Value| {
        let mut table = json!({"enabled": true, "catalog_name": "main", "schema_name": "ai"});
        table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        policy(table)
    };
    let read = |policy: Value| compile(&policy).unwrap().config.endpoints[0].inference_table.clone();
    assert_eq!(read(policy(json!({"enabled": false, "catalog_name": "", "sampling_fraction": 7}))), None);
    let found = read(table(json!({}))).unwrap();
    assert_eq!((found.catalog.as_str(), found.schema.as_str(), found.sampling_fraction), ("main", "ai", 1.0));
    assert_eq!(
        found.prefix,
        compile(&policy(json!({"enabled": false}))).unwrap().config.endpoints[0].name,
        "by default"
    );
    let found = read(table(json!({"table_name_prefix": "p-1_x", "sampling_fraction": 0.25}))).unwrap();
    assert_eq!((found.prefix.as_str(), found.sampling_fraction), ("p-1_x", 0.25));
    let at = "endpoints[0].ai_gateway.inference_table_config";
    let name = "expected 1 to 255 characters without `.`, `/`, spaces and control characters";
    for (policy, expected) in [
        (policy(json!({})), vec![format!("{at}.enabled: found nothing, expected `true` or `false`")]),
        (
            policy(json!({"enabled": true})),
            vec![
                format!("{at}.catalog_name: found nothing, expected the catalog's name"),
                format!("{at}.schema_name: found nothing, expected the schema's name"),
            ],
        ),
        (
            table(json!({"catalog_name": "a.b", "schema_name": "a b"})),
            vec![format!("{at}.catalog_name: found `a.b`, {name}"), format!("{at}.schema_name: found `a b`, {name}")],
        ),
        (
            table(json!({"table_name_prefix": "../x"})),
            vec![format!("{at}.table_name_prefix: found `../x`, expected 1 to 128 letters, digits, `_` or `-`")],
        ),
        (
            table(json!({"sampling_fraction": 1.5})),
            vec![format!("{at}.sampling_fraction: found `1.5`, expected a number from 0 to 1")],
        ),
    ] {
        assert_eq!(lines(&compile(&policy).unwrap_err().problems), expected);
    }
    let mut unlogged = table(json!({}));
    edit(&mut unlogged, "/logging", json!("()"));
    assert_eq!(
        lines(&compile(&unlogged).unwrap_err().problems),
        [format!(
            "{at}: found an inference table, expected `logging` in the policy: without it there is nothing that payloads go to"
        )]
    );
    let warnings = compile(&table(json!({"sampling_fraction": 0}))).unwrap().warnings;
    assert_eq!(
        lines(&warnings),
        [format!(
            "{at}.sampling_fraction: found `0`, expected a share above 0, or `enabled: false`: nothing is logged"
        )]
    );
}

#[test]
fn sampling_is_by_the_requests_id() {
    let table = |sampling_fraction| crate::config::InferenceTable {
        catalog: "c".into(),
        schema: "s".into(),
        prefix: "p".into(),
        sampling_fraction,
    };
    let ids: Vec<String> = (0..10_000).map(|at| crate::id::uuid(at, at * 7)).collect();
    let taken = |fraction| ids.iter().filter(|id| table(fraction).takes(id)).count();
    assert_eq!((taken(0.0), taken(1.0)), (0, 10_000));
    assert!((2_300..2_700).contains(&taken(0.25)), "{}", taken(0.25));
    assert!(ids.iter().all(|id| !table(0.25).takes(id) || table(0.5).takes(id)), "a larger share takes the same ones");
    // The rule is public: SHA-256 of the id, its first 64 bits as a fraction. 0x9f86d081... is 0.623.
    assert!(!table(0.62).takes("test") && table(0.63).takes("test"));
}

/// To a collector on this machine batches go plain.
#[test]
fn where_the_collector_is() {
    for (host, is_local) in [
        ("localhost", true),
        ("127.0.0.2", true),
        ("[::1]", true),
        ("10.0.0.1", false),
        ("localhost.example.com", false),
    ] {
        let policy = edited(&[("/logging", json!({"url": format!("http://{host}:9902/v1/records")}))]);
        assert_eq!(compile(&policy).unwrap().config.logging.unwrap().is_local, is_local, "{host}");
    }
    let otlp = |path: &str| {
        let url = format!("http://localhost:4318{path}");
        lines(&compile(&edited(&[("/logging", json!({"url": url, "format": "otlp"}))])).unwrap().warnings)
    };
    assert_eq!(otlp("/v1/logs"), [""; 0]);
    assert_eq!(otlp("/v1/records").len(), 1);
}
