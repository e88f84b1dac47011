//! The gateway role that cannot pause on headers: providers, the client and the record see no difference.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::{drive::*, route};
use crate::host::{Input, Verdict};

const CLIENTS: &[(&str, &str)] = &[
    (":path", OPENAI),
    ("authorization", "Bearer alice-key"),
    ("cookie", "session=1"),
    ("user-agent", "me"),
    ("x-request-id", "r-1"),
    ("x-forwarded-for", "10.1.1.1"),
    ("x-forwarded-proto", "https"),
    ("x-envoy-retry-on", "5xx"),
    ("x-weir-plan", "b"),
    ("openai-beta", "yes"),
    ("accept", "*/*"),
    ("accept-encoding", "gzip"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("transfer-encoding", "chunked"),
];

fn rig(policy: &Value, is_unpaused: bool) -> Rig {
    Rig { is_unpaused, ..Rig::new(policy) }
}

/// In no order: the two ways set them in another one.
fn sorted(mut received: Received) -> Received {
    received.headers.sort();
    received.headers.retain(|(name, _)| !name.starts_with("x-envoy-"));
    received
}

#[test]
fn every_attempt_is_the_same_as_where_it_pauses() {
    let mut one = policy();
    one["endpoints"] = json!([endpoint("chat", &["a"])]);
    for (policy, outcomes) in [(policy(), &[Outcome::Status(503), Outcome::Connect][..]), (one, &[])] {
        for more in [json!({}), json!({"stream": true, "client_request_id": "c-1", "usage_context": {"team": "x"}})] {
            let run = |is_unpaused| {
                let rig = rig(&policy, is_unpaused);
                let mut stream = rig.send(CLIENTS, &chat(more.clone()));
                let mut received: Vec<_> = outcomes.iter().map(|outcome| stream.attempt(*outcome)).collect();
                // Without a plan the attempt role is skipped.
                received.push(stream.begin_attempt().1);
                let cluster = route::cluster(&rig.host);
                let seen = stream.answered();
                let mut row = stream.row();
                row["row"]["databricks_request_id"] = Value::Null;
                (received.into_iter().map(sorted).collect::<Vec<_>>(), cluster, seen.status, seen.body, row)
            };
            assert_eq!(run(true), run(false));
        }
    }
}

#[test]
fn what_a_client_alone_may_see_goes_no_further_than_the_door() {
    let rig = rig(&policy(), true);
    let mut stream = rig.open(CLIENTS, false);
    assert_eq!(stream.verdict, Verdict::Continue);
    let headers = rig.host.request_headers.borrow().clone();
    for gone in ["authorization", "cookie", "x-forwarded-for", "x-envoy-retry-on", "x-weir-plan", "transfer-encoding"] {
        assert_eq!(headers.value(gone), None, "{gone}");
    }
    assert_eq!((headers.text("user-agent"), headers.text("openai-beta")), (Some("me"), Some("yes")));
    rig.host.calls.borrow_mut().clear();
    stream.body(&chat(json!({"client_request_id": "c"})), true);
    assert!(stream.is_sent());
    let calls = rig.host.calls.take();
    assert_eq!((calls.get("set_request_header"), calls.get("remove_request_header")), (None, None), "too late");
    assert_eq!(calls.get("forget_route"), Some(&1));
    assert_eq!(*rig.host.request_headers.borrow(), headers);
    let length = rig.host.request_body.borrow().len().to_string();
    for (key, value) in [("weir.cluster", "weir-chat-a.chain"), ("weir.retries", "2"), ("weir.length", &length)] {
        let state = rig.host.properties.borrow().get(key).cloned().unwrap();
        assert!(state.starts_with(value.as_bytes()), "{key}: {}", String::from_utf8_lossy(&state));
    }
}

#[test]
fn an_attempt_puts_back_what_access_logs_read() {
    let rig = rig(&policy(), true);
    let mut stream = rig.send(CLIENTS, &chat(json!({})));
    for outcome in [Outcome::Status(503), Outcome::Reset(5), Outcome::Status(200)] {
        let received = stream.attempt(outcome);
        assert_eq!((received.header("user-agent"), received.header("x-request-id")), (None, None));
        let headers = rig.host.request_headers.borrow();
        let back = ["authorization", "openai-organization", ":path", ":authority", "user-agent", "x-request-id"];
        let expected = [None, None, Some(OPENAI), Some("ai.example.com"), Some("me"), Some("r-1")];
        assert_eq!(back.map(|name| headers.text(name)), expected, "{outcome:?}");
    }
}

#[test]
fn refusals_and_what_passes() {
    let mut passing = policy();
    passing["unmatched"] = json!("pass");
    passing["unmatched_cluster"] = json!("rest");
    let rig = rig(&passing, true);
    // Refused by its headers, and by its body.
    assert_eq!(rig.open(&[(":path", OPENAI), ("authorization", "Bearer nobody")], false).reply().status, 401);
    assert_eq!(rig.chat(OPENAI, "[]").reply().status, 400);
    // An unknown model passes as it came.
    let mut stream = rig.open(CLIENTS, false);
    stream.body(&chat(json!({})).replace("\"chat\"", "\"other\""), true);
    assert!(stream.is_sent());
    let headers = rig.host.request_headers.borrow().clone();
    assert_eq!((headers.text("authorization"), headers.text("cookie")), (Some("Bearer alice-key"), Some("session=1")));
    assert_eq!((headers.value("x-envoy-retry-on"), headers.value("x-weir-plan")), (None, None));
    let properties = rig.host.properties.borrow().clone();
    assert_eq!(properties.get("weir.cluster").map(Vec::as_slice), Some(&b"rest"[..]));
    assert!(!properties.contains_key("weir.plan"));
    stream.input(Input::Log);
    drop(stream);
    // One that the path names: its headers are still there to be written.
    let stream =
        rig.open(&[(":path", "/serving-endpoints/other/invocations"), ("authorization", "Bearer alice-key")], false);
    assert_eq!(stream.verdict, Verdict::Continue);
    assert_eq!(rig.host.request_headers.borrow().text("x-weir-cluster"), Some("rest"));
}

#[test]
fn a_client_that_goes_away_in_an_attempt_leaves_no_credential_for_a_log() {
    let rig = rig(&policy(), true);
    let mut stream = rig.send(CLIENTS, &chat(json!({})));
    let (_attempt, received) = stream.begin_attempt();
    assert_eq!(received.header("authorization"), Some("Bearer secret-a"));
    stream.input(Input::Log);
    let headers = rig.host.request_headers.borrow();
    assert_eq!((headers.text("authorization"), headers.text(":authority")), (None, Some("ai.example.com")));
    assert_eq!((headers.text(":path"), headers.text("user-agent")), (Some(OPENAI), Some("me")));
}
