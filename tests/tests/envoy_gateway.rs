//! The rendered manifests applied to what Envoy Gateway makes, as recorded, in a real Envoy: requests, limits, fallback, streams,
//! identity, and what must not reach a provider.

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::envoy::version;
use weir_e2e::jwt::{self, SIGNING_KEY};
use weir_e2e::mock::DEFINED;
use weir_e2e::policy::ALICE;
use weir_e2e::{Addresses, Call, Endpoint, Policy, Setup, envoy_gateway};

/// `chat` falls back from `a` to `b`; `one` has `b` alone, and a limit.
fn policy(at: &Addresses) -> Policy {
    let one = Endpoint::new("one").entity(at, "b", 100).limit(json!({"key": "user", "calls": 2}));
    let chat = Endpoint::new("chat").entity(at, "a", 100).entity(at, "b", 0).fallback();
    let mut policy = Policy::new(at).endpoint(chat).endpoint(one);
    let source = json!({"jwt": {"user": "email", "issuer": "https://idp.example.com", "audiences": ["weir"],
        "jwks_file": "jwks.json"}});
    policy.0["identity"]["sources"].as_array_mut().expect("sources").push(source);
    policy
}

fn call(model: &str, more: Value) -> Call {
    Call::chat(ALICE, &chat(model, more))
}

#[tokio::test]
async fn requests_limits_fallback_streams_and_tokens() {
    if version().starts_with("1.36") {
        return println!("SKIPPED: manifests are for Envoy Gateway 1.9, whose Envoy is 1.39");
    }
    let setup = Setup::new(&["a", "b"], policy).file("jwks.json", jwt::keys().to_string());
    let mut rig = setup.render(envoy_gateway::gateway).start().await;

    let answer = rig.send(call("chat", json!({})).header("x-weir-cluster", "weir-one-b")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("served-model-name"), Some("a"));
    for name in rig.mock("a").last().await.header_names() {
        assert!(DEFINED.contains(&name), "{name} reached the provider");
    }
    for status in [200, 200, 429] {
        assert_eq!(rig.send(call("one", json!({}))).await.status, status);
    }
    let down = json!({"mock": {"a": {"status": 503}}});
    let tally = rig.load(60, 30, |_| call("chat", down.clone())).await;
    assert_eq!(tally.count(200), 60, "{:?}", tally.by_status);
    assert!(tally.answers.iter().all(|answer| answer.header("served-model-name") == Some("b")));

    let stream = json!({"stream": true, "mock": {"a": {"content_tokens": 100, "chunks": 50, "chunk_delay_ms": 2}}});
    let streamed = rig.stream(call("chat", stream)).await;
    assert_eq!((streamed.status, streamed.clean_end), (200, true));
    assert!(streamed.pieces.len() >= 20, "{} pieces: they were held back", streamed.pieces.len());
    let large = json!({"user": "x".repeat(3 << 20)});
    assert_eq!(rig.send(call("chat", large)).await.status, 200, "3 MiB, beyond Envoy's own bound");

    let token = |key| jwt::token(json!({"email": "dora@example.com"}), key);
    let body = chat("chat", json!({}));
    assert_eq!(rig.send(Call::chat(&token(SIGNING_KEY), &body)).await.status, 200);
    assert_eq!(rig.send(Call::chat(&token(b"another key, also at least 32 bytes"), &body)).await.status, 401);
    // No client can take the routes by which Envoy Gateway makes clusters.
    let outside = Call::post("/elsewhere", "{}").header("x-weir-cluster", "weir-one-b");
    assert_eq!(rig.send(outside).await.status, 404);
    assert_eq!(rig.collector.usage(68).await.len(), 68);
    rig.assert_healthy().await;
}
