//! Reservations, shadows, money and a caller's own view through whole exchanges.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::drive::*;
use crate::metrics::Metric;

const LIMITS: &str = "/endpoints/0/ai_gateway/rate_limits";

/// A policy with these values at JSON pointers; `-` is behind the last item of a list.
fn rig(edits: &[(&str, Value)]) -> Rig {
    let mut policy = policy();
    policy["endpoints"][0]["ai_gateway"]["rate_limits"] = json!([]);
    for entity in policy["endpoints"][0]["config"]["served_entities"].as_array_mut().unwrap() {
        let dear = if entity["name"] == "a" { 1.0 } else { 2.0 };
        entity["price"] = json!({"input_per_million_usd": dear, "output_per_million_usd": 10.0 * dear});
    }
    for (pointer, value) in edits {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match policy.pointer_mut(parent).unwrap() {
            Value::Array(items) => items.push(value.clone()),
            object => object[key] = value.clone(),
        }
    }
    Rig::new(&policy)
}

fn call<'r>(rig: &'r Rig, key: &str, more: Value) -> Stream<'r> {
    let bearer = format!("Bearer {key}");
    rig.send(&[("authorization", &bearer)], &chat(more))
}

/// What `GET /weir/v1/limits` says: of each row, some members.
fn own<const N: usize>(rig: &Rig, key: &str, members: [&str; N]) -> Vec<[Value; N]> {
    let bearer = format!("Bearer {key}");
    let headers = [(":method", "GET"), (":path", "/weir/v1/limits"), ("authorization", &bearer)];
    let stream = rig.send(&headers, "");
    let seen = stream.reply();
    assert_eq!(seen.status, 200);
    let rows = seen.json()["data"].as_array().unwrap().clone();
    rows.iter().map(|row| members.map(|member| row[member].clone())).collect()
}

fn used(rig: &Rig) -> Vec<Value> {
    own(rig, "alice-key", ["used"]).into_iter().map(|[used]| used).collect()
}

/// On every way out the reservation goes and the truth stays: of 20 reserved, 5 output tokens used.
#[test]
fn a_reservation_is_trued_up_on_every_way_out() {
    type End = fn(&mut Stream<'_>);
    let ends: [(&str, End, Value); 8] = [
        ("whole", |stream| drop(stream.answered()), json!([7, 5])),
        ("refused by the provider", |stream| drop(stream.answer(&[(":status", "400")], &["no"])), json!([0, 0])),
        ("no model is reached", |stream| drop(stream.envoy_answers("503", "no_healthy_upstream")), json!([0, 0])),
        ("timeout", |stream| drop(stream.envoy_answers("504", "upstream_response_timeout")), json!([0, 0])),
        ("gone before the answer", |_| {}, json!([0, 0])),
        (
            "gone in the middle",
            |stream| {
                stream.answer_headers(&[(":status", "200"), ("content-type", "application/json")], false);
                stream.piece(&ANSWER[..30], false);
            },
            json!([8, 0]),
        ),
        (
            "no usage",
            |stream| {
                let headers = [(":status", "200"), ("content-type", "application/json")];
                stream.answer(&headers, &[r#"{"choices":[{"message":{"content":"hello, you"}}]}"#]);
            },
            json!([8, 3]),
        ),
        (
            "after a fallback",
            |stream| {
                stream.attempt(Outcome::Status(500));
                stream.answered();
            },
            json!([7, 5]),
        ),
    ];
    for (name, end, expected) in ends {
        let rig = rig(&[
            ("/accounting", json!("reserve")),
            (LIMITS, json!([{"key": "user", "input_tokens": 100, "output_tokens": 50, "renewal_period": "minute"}])),
        ]);
        let mut stream = call(&rig, "alice-key", json!({"max_tokens": 20}));
        assert!(stream.is_sent());
        end(&mut stream);
        stream.row();
        assert_eq!(json!(used(&rig)), expected, "{name}");
    }
}

#[test]
fn a_request_without_a_maximum_reserves_the_default() {
    let reserve = json!({"default_max_tokens": 30, "cap": 40});
    let limits = json!([{"key": "user", "output_tokens": 100, "renewal_period": "minute"}]);
    let rig = rig(&[("/accounting", json!("reserve")), ("/reserve", reserve), (LIMITS, limits)]);
    for (more, expected) in [
        (json!({}), 30),
        (json!({"max_tokens": null}), 30),
        (json!({"max_tokens": "many"}), 30),
        (json!({"max_tokens": 9, "max_output_tokens": 12}), 12),
        (json!({"max_tokens": 11.5}), 12),
        (json!({"max_tokens": 1e1}), 10),
        (json!({"max_tokens": -1}), 30),
        (json!({"max_tokens": 9, "n": 2}), 18),
        (json!({"max_tokens": 9, "n": 2, "best_of": 4}), 36),
        (json!({"max_tokens": 99_999}), 40),
    ] {
        let mut stream = call(&rig, "alice-key", more.clone());
        assert_eq!(used(&rig), [json!(expected)], "{more}");
        stream.answer(&[(":status", "400")], &["no"]);
        stream.row();
    }
}

/// Each prompt of a list gets answers of its own.
#[test]
fn a_list_of_prompts_reserves_for_each() {
    let limits = json!([{"key": "user", "output_tokens": 100, "renewal_period": "minute"}]);
    let rig = rig(&[
        ("/accounting", json!("reserve")),
        (LIMITS, limits),
        ("/endpoints/0/config/served_entities/0/external_model/task", json!("llm/v1/completions")),
        ("/endpoints/0/config/served_entities/1/external_model/task", json!("llm/v1/completions")),
        ("/endpoints/0/config/served_entities/2/external_model/task", json!("llm/v1/completions")),
    ]);
    let body = json!({"model": "chat", "prompt": ["a", "b", "c"], "max_tokens": 5, "n": 2});
    let sent = rig.chat("/v1/completions", &body.to_string());
    assert!(sent.is_sent());
    assert_eq!(used(&rig), [json!(30)]);
}

/// Nothing is ever charged for counting: nothing is reserved for it either.
#[test]
fn counting_tokens_reserves_nothing() {
    let limits = json!([{"key": "user", "tokens": 10, "calls": 5, "renewal_period": "minute"}]);
    let claude = json!({"provider": "anthropic", "name": "m", "task": "llm/v1/chat",
        "anthropic_config": {"anthropic_api_key": "{{env/KEY_A}}"}});
    let rig = rig(&[
        ("/accounting", json!("reserve")),
        (LIMITS, limits),
        ("/endpoints/0/config/served_entities/0/external_model", claude),
    ]);
    let sent = rig.chat("/v1/messages/count_tokens", &chat(json!({})));
    assert!(sent.is_sent());
    assert_eq!(used(&rig), [json!(1), json!(0)]);
}

#[test]
fn a_cache_that_is_dearer_to_write_is_reserved_for() {
    let price =
        json!({"input_per_million_usd": 1, "cache_write_input_per_million_usd": 5, "output_per_million_usd": 1});
    let rig = rig(&[
        ("/accounting", json!("reserve")),
        (LIMITS, json!([{"key": "user", "cost_usd": 1, "renewal_period": "day"}])),
        ("/endpoints/0/config/served_entities/0/price", price),
        ("/endpoints/0/ai_gateway/fallback_config/enabled", json!(false)),
    ]);
    assert!(call(&rig, "alice-key", json!({"max_tokens": 1})).is_sent());
    assert_eq!(used(&rig), [json!(0.000041)], "8 tokens at 5, 1 at 1");
}

#[test]
fn money_goes_by_the_entity_that_answered() {
    let limits = json!([{"key": "user", "cost_usd": 0.0002, "renewal_period": "day"}]);
    let rig = rig(&[(LIMITS, limits.clone())]);
    let mut first = call(&rig, "alice-key", json!({}));
    first.answered();
    assert_eq!(first.row()["detail"]["cost_usd"], json!(0.000057));
    assert_eq!(used(&rig), [json!(0.000057)]);
    let mut second = call(&rig, "alice-key", json!({}));
    second.attempt(Outcome::Status(500));
    second.begin_attempt();
    second.answered();
    second.row();
    assert_eq!(used(&rig), [json!(0.000171)]);
    let mut third = call(&rig, "alice-key", json!({}));
    third.answered();
    third.row();
    let fourth = call(&rig, "alice-key", json!({}));
    let seen = fourth.reply();
    assert_eq!((seen.status, seen.header("x-should-retry")), (429, Some("false")));
    assert_eq!(seen.json()["error"]["code"], "insufficient_quota");
    assert_eq!(seen.header("x-ratelimit-limit-tokens"), None);

    // Reserved is the dearest of the plan: 8 tokens in, 10 out at twice the price of the first.
    let rig = self::rig(&[("/accounting", json!("reserve")), (LIMITS, limits)]);
    assert_eq!(call(&rig, "alice-key", json!({"max_tokens": 10})).reply().status, 429, "216 of 200 millionths");
    assert!(call(&rig, "alice-key", json!({"max_tokens": 9})).is_sent());
    assert_eq!(used(&rig), [json!(0.000196)]);
}

#[test]
fn cached_input_is_weighed() {
    let limits = json!([{"key": "user", "input_tokens": 100, "renewal_period": "minute", "cached_input_weight": 0.1}]);
    let rig = rig(&[(LIMITS, limits)]);
    let mut stream = call(&rig, "alice-key", json!({}));
    let answer = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":50,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":41}}}"#;
    stream.answer(&[(":status", "200"), ("content-type", "application/json")], &[answer]);
    stream.row();
    assert_eq!(used(&rig), [json!(14)], "9, and 4.1 rounded up");
}

#[test]
fn a_shadow_is_recorded_and_refuses_nobody() {
    let limits = json!([
        {"key": "user", "calls": 1, "renewal_period": "minute", "mode": "shadow", "name": "trial"},
        {"key": "endpoint", "calls": 3, "renewal_period": "minute"},
    ]);
    let rig = rig(&[(LIMITS, limits)]);
    let would: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = call(&rig, "alice-key", json!({}));
            assert_eq!(stream.answered().header("x-ratelimit-limit-requests"), Some("3"));
            stream.row()["detail"]["would_limit"].clone()
        })
        .collect();
    assert_eq!(would, [Value::Null, json!("trial"), json!("trial")]);
    let refused = call(&rig, "alice-key", json!({}));
    assert_eq!((refused.reply().status, rig.counted(Metric::LimitsWouldRefuse)), (429, 2));
    let line = "shadow: endpoint chat: limit `trial` would have refused a request";
    assert_eq!(rig.host.lines.take(), [line], "one a second");
}

#[test]
fn a_policy_in_shadow_refuses_nobody() {
    let rig = rig(&[
        ("/enforcement", json!("shadow")),
        ("/endpoints/0/permissions", json!([{"user_name": "alice", "permission_level": "CAN_QUERY"}])),
        (LIMITS, json!([{"key": "user", "calls": 0, "renewal_period": "minute"}])),
    ]);
    for (key, would) in [("alice-key", "user per minute"), ("bob-key", "permissions")] {
        let mut stream = call(&rig, key, json!({}));
        assert_eq!(stream.answered().header("x-ratelimit-limit-requests"), None);
        assert_eq!(stream.row()["detail"]["would_limit"], would);
    }
    assert_eq!(rig.send(&[], &chat(json!({}))).reply().status, 401, "who calls is no matter of enforcement");
}

/// Alice is in research; what is Bob's she does not see.
#[test]
fn a_caller_sees_his_own_limits_alone() {
    let mut other = endpoint("secret", &["a"]);
    other["permissions"] = json!([{"user_name": "bob", "permission_level": "CAN_QUERY"}]);
    other["ai_gateway"]["rate_limits"] = json!([{"calls": 1, "renewal_period": "minute"}]);
    let rig = rig(&[
        (
            LIMITS,
            json!([
                {"calls": 9, "renewal_period": "minute"},
                {"key": "user", "calls": 4, "tokens": 100, "renewal_period": "hour", "name": "each"},
                {"key": "user", "principal": "bob", "calls": 2, "renewal_period": "minute"},
                {"key": "user_group", "principal": "research", "cost_usd": 1.5, "renewal_period": "day", "mode": "shadow"},
                {"key": "user_group", "principal": "interns", "calls": 7, "renewal_period": "minute"},
            ]),
        ),
        ("/endpoints/-", other),
    ]);
    for key in ["alice-key", "bob-key", "bob-key"] {
        let mut stream = call(&rig, key, json!({}));
        stream.answered();
        stream.row();
    }
    let members = ["key", "principal", "name", "unit", "limit", "used", "remaining", "mode"];
    let row = |values: [Value; 8]| values;
    let (none, enforce) = (Value::Null, json!("enforce"));
    assert_eq!(
        own(&rig, "alice-key", members),
        [
            row([
                json!("endpoint"),
                none.clone(),
                none.clone(),
                json!("calls"),
                json!(9),
                json!(3),
                json!(6),
                enforce.clone()
            ]),
            row([
                json!("user"),
                none.clone(),
                json!("each"),
                json!("calls"),
                json!(4),
                json!(1),
                json!(3),
                enforce.clone()
            ]),
            row([
                json!("user"),
                none.clone(),
                json!("each"),
                json!("tokens"),
                json!(100),
                json!(12),
                json!(88),
                enforce.clone()
            ]),
            row([
                json!("user_group"),
                json!("research"),
                none,
                json!("cost_usd"),
                json!(1.5),
                json!(0.000057),
                json!(1.499943),
                json!("shadow"),
            ]),
        ]
    );
    let bob = own(&rig, "bob-key", ["principal", "limit", "used", "reset_seconds", "reset_time"]);
    let minute = json!("2026-11-21T23:19:57.500000Z");
    assert_eq!(bob[2], [json!("bob"), json!(2), json!(2), json!(120), minute.clone()]);
    assert_eq!(bob[3], [json!("interns"), json!(7), json!(2), json!(120), minute]);
    assert_eq!(rig.send(&[(":method", "GET"), (":path", "/weir/v1/limits")], "").reply().status, 401);
    assert!(rig.rows().is_empty(), "none of it is recorded, but for the 401");
}
