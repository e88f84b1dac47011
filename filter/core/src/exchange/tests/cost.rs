//! What an ordinary request costs in host calls, as a table: whoever makes it dearer changes a number here.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use serde_json::json;

use super::drive::*;

/// A chat of 1 KB with limits on endpoint, user and group, fallback armed, answered by the primary: reads and effects of
/// the gateway role; the attempt role is not there.
#[test]
fn an_ordinary_request() {
    let mut policy = policy();
    policy["endpoints"][0]["ai_gateway"]["rate_limits"] = json!([
        {"calls": 100, "tokens": 10_000, "renewal_period": "minute"},
        {"key": "user", "calls": 100, "tokens": 10_000, "renewal_period": "minute"},
        {"key": "user_group", "principal": "research", "tokens": 10_000, "renewal_period": "minute"},
    ]);
    let rig = Rig::new(&policy);
    let body = chat(json!({"messages": [{"role": "user", "content": "x".repeat(950)}]}));
    let length = body.len().to_string();
    let headers = [
        ("accept", "application/json"),
        ("authorization", "Bearer alice-key"),
        ("content-type", "application/json"),
        ("content-length", &length),
        ("user-agent", "OpenAI/Python 2.8.0"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "r-1"),
    ];
    // The worker's first requests load what later ones remember.
    for _ in 0..4 {
        let mut stream = rig.send(&headers, &body);
        stream.attempt(Outcome::Status(200));
        stream.answered();
        stream.row();
    }
    rig.host.calls.take();
    let mut stream = rig.send(&headers, &body);
    let mut calls = rig.host.calls.take();
    stream.attempt(Outcome::Status(200));
    let attempt: BTreeMap<_, _> = rig.host.calls.take().into_iter().collect();
    stream.answered();
    stream.row();
    for (name, count) in rig.host.calls.take() {
        *calls.entry(name).or_default() += count;
    }
    let gateway: BTreeMap<_, _> = calls.into_iter().collect();
    let expected = [
        ("now", 6),
        ("property", 1),
        ("remove_request_header", 5),
        ("replace_request_body", 1),
        ("request_body", 1),
        ("request_headers", 1),
        ("response_chunk", 2),
        ("response_headers", 1),
        ("set_request_header", 13),
        ("set_response_header", 8),
        ("set_state", 2),
        ("store", 4),
    ];
    assert_eq!(gateway, BTreeMap::from(expected));
    assert_eq!(attempt, BTreeMap::new(), "Envoy skips it");
}
