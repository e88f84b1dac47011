//! Limits through whole exchanges: what is admitted, what an answer adds, on whatever way it ends.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::drive::*;
use crate::{host::Input, metrics::Metric};

fn rig(limits: Value) -> Rig {
    let mut policy = policy();
    policy["endpoints"][0]["ai_gateway"]["rate_limits"] = limits.clone();
    let mut other = endpoint("other", &["b"]);
    other["ai_gateway"]["rate_limits"] = limits;
    policy["endpoints"].as_array_mut().unwrap().push(other);
    Rig::new(&policy)
}

fn call<'r>(rig: &'r Rig, key: &str, endpoint: &str) -> Stream<'r> {
    let bearer = format!("Bearer {key}");
    rig.send(&[("authorization", &bearer)], &chat(json!({ "model": endpoint })))
}

/// Calls until one is refused.
fn admitted(rig: &Rig, key: &str, endpoint: &str) -> usize {
    (0..20).take_while(|_| call(rig, key, endpoint).is_sent()).count()
}

#[test]
fn every_limit_that_applies_must_have_room() {
    let limits = json!([
        {"calls": 6, "renewal_period": "minute"},
        {"key": "user", "calls": 4, "renewal_period": "minute"},
        {"key": "user_group", "principal": "research", "calls": 3, "renewal_period": "minute"},
        {"key": "service_principal", "principal": "batch", "calls": 1, "renewal_period": "minute"},
    ]);
    let rig = rig(limits);
    // Alice by her group, Bob by the endpoint after her three, and then there is nothing for anybody.
    assert_eq!(admitted(&rig, "alice-key", "chat"), 3);
    assert_eq!(admitted(&rig, "bob-key", "chat"), 3);
    assert_eq!(admitted(&rig, "batch-key", "chat"), 0);
    // Another endpoint counts on its own.
    assert_eq!(admitted(&rig, "batch-key", "other"), 1);
    assert_eq!(admitted(&rig, "bob-key", "other"), 4);
    rig.wait_ms(120_000);
    assert_eq!(admitted(&rig, "bob-key", "chat"), 4);
}

/// A mesh's workload is limited by its own account, and by its namespace as a group.
#[test]
fn workloads_are_limited_by_account_and_namespace() {
    let mut policy = policy();
    policy["identity"] = json!({"sources": [{"workload": {}}]});
    policy["endpoints"][0]["ai_gateway"]["rate_limits"] = json!([
        {"key": "service_principal", "principal": "ml/trainer", "calls": 2, "renewal_period": "minute"},
        {"key": "user_group", "principal": "ml", "calls": 3, "renewal_period": "minute"},
    ]);
    let rig = Rig::new(&policy);
    let is_sent = |account: &str| {
        let id = format!("spiffe://cluster.local/ns/{account}");
        let mut stream = rig.open_with(("connection/uri_san_peer_certificate", &id), &[], false);
        stream.body(&chat(json!({})), true);
        stream.is_sent()
    };
    assert_eq!(["ml/sa/trainer"; 3].map(is_sent), [true, true, false]);
    assert_eq!(["ml/sa/eval"; 2].map(is_sent), [true, false], "the namespace's own limit");
    assert!(is_sent("web/sa/trainer"), "another namespace");
}

/// What came before a refusal is charged nowhere.
#[test]
fn refused_before_the_limits_costs_nothing() {
    let rig = rig(json!([{"calls": 1, "renewal_period": "minute"}]));
    let (no_prompt, wrong_path) = (r#"{"model":"chat"}"#, (":path", "/v1/embeddings"));
    let key = ("authorization", "Bearer alice-key");
    for (headers, body) in [(&[key][..], no_prompt), (&[key, wrong_path], r#"{"model":"chat","input":"x"}"#)] {
        assert_eq!(rig.send(headers, body).reply().status, 400);
    }
    assert_eq!(admitted(&rig, "alice-key", "chat"), 1);
}

/// How an exchange ends, and how many tokens that adds: of 7 + 5 reported, or the prompt's 8 counted.
#[test]
fn an_answer_adds_what_it_used_once() {
    type End = fn(&mut Stream<'_>);
    let ends: [(&str, End, u64); 8] = [
        ("whole", |stream| drop(stream.answered()), 12),
        ("refused by the provider", |stream| drop(stream.answer(&[(":status", "400")], &["no"])), 0),
        ("Envoy's own", |stream| drop(stream.envoy_answers("503", "no_healthy_upstream")), 0),
        ("gone before the answer", |_| {}, 0),
        (
            "gone in the middle",
            |stream| {
                stream.answer_headers(&[(":status", "200"), ("content-type", "application/json")], false);
                stream.piece(&ANSWER[..30], false);
            },
            8,
        ),
        (
            "no usage",
            |stream| {
                let headers = [(":status", "200"), ("content-type", "application/json")];
                stream.answer(&headers, &[r#"{"choices":[{"message":{"content":"hello, you"}}]}"#]);
            },
            11,
        ),
        (
            "after a fallback",
            |stream| {
                stream.attempt(Outcome::Status(500));
                stream.answered();
            },
            12,
        ),
        ("an empty answer", |stream| drop(stream.answer(&[(":status", "204")], &[])), 8),
    ];
    for (name, end, tokens) in ends {
        for closing in
            [&[Input::Log, Input::Done][..], &[Input::Done, Input::Log], &[Input::Done], &[Input::Log, Input::Log]]
        {
            let rig = rig(
                json!([{"tokens": 100, "renewal_period": "minute"}, {"key": "user", "tokens": 50, "renewal_period": "minute"}]),
            );
            let mut stream = call(&rig, "alice-key", "chat");
            end(&mut stream);
            for input in closing {
                stream.input(*input);
            }
            // After the end nothing moves any more.
            for input in [
                Input::ResponseBody { size: 3, end: true },
                Input::ResponseTrailers,
                Input::ResponseHeaders { end: true },
            ] {
                stream.input(input);
            }
            drop(stream);
            assert_eq!(rig.rows().len(), 1, "{name}: {closing:?}");
            let left = call(&rig, "alice-key", "chat").answered();
            let number = |name: &str| left.header(name).unwrap().parse::<u64>().unwrap();
            let used = number("x-ratelimit-limit-tokens") - number("x-ratelimit-remaining-tokens");
            assert_eq!(used, tokens, "{name}: {closing:?}");
        }
    }
}

#[test]
fn tokens_stop_the_next_call_not_this_one() {
    let rig = rig(json!([{"key": "user", "output_tokens": 9, "renewal_period": "minute", "name": "words"}]));
    for _ in 0..2 {
        let mut stream = call(&rig, "alice-key", "chat");
        stream.answered();
        stream.row();
    }
    let stream = call(&rig, "alice-key", "chat");
    let seen = stream.reply();
    assert_eq!((seen.status, &seen.json()["error"]["type"]), (429, &json!("tokens")));
    assert_eq!(seen.header("x-ratelimit-remaining-tokens"), Some("0"));
    assert_eq!(stream.row()["detail"]["limit"], "words");
    assert!(call(&rig, "bob-key", "chat").is_sent());
}

/// The record has the usage even where the counters could not take it.
#[test]
fn a_settlement_that_is_lost_is_counted() {
    let rig = rig(json!([{"tokens": 100, "renewal_period": "minute"}]));
    let mut stream = call(&rig, "alice-key", "chat");
    stream.answered();
    rig.host.failing_stores.set(u32::MAX);
    let row = stream.row();
    assert_eq!((&row["row"]["input_token_count"], rig.counted(Metric::LimitsContended)), (&json!(7), 1));
}

/// All anonymous callers are one user.
#[test]
fn strangers_share_a_limit() {
    let mut policy = policy();
    policy["identity"]["anonymous"] = json!("allow");
    policy["endpoints"][0]["ai_gateway"]["rate_limits"] =
        json!([{"key": "user", "calls": 1, "renewal_period": "minute"}]);
    let rig = Rig::new(&policy);
    let mut first = rig.send(&[], &chat(json!({})));
    first.answered();
    assert_eq!(first.row()["row"]["requester"], "anonymous");
    assert_eq!(rig.send(&[("x-user", "anonymous")], &chat(json!({}))).reply().status, 429);
    // Who is called so is somebody else.
    let named = [("x-user", "anonymous")];
    let mut named = rig.open_from("10.0.0.1:1", &named, false);
    named.body(&chat(json!({})), true);
    assert!(named.is_sent());
}
