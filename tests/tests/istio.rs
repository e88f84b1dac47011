//! The rendered manifests in Istio's own control plane, which feeds a real Envoy: requests, limits, fallback, streams, identity,
//! and what must not reach a provider. Skipped where pilot-discovery cannot be had.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::istiod::Form;
use weir_e2e::jwt::{self, SIGNING_KEY};
use weir_e2e::mock::DEFINED;
use weir_e2e::policy::{ALICE, BOB};
use weir_e2e::process::poll;
use weir_e2e::{Addresses, Call, Endpoint, Istiod, Policy, Rig, Setup};

/// A bound for waits, not a measure.
const SOON: Duration = Duration::from_secs(20);

/// `chat` falls back from `a` to `b`; `one` has `b` alone, and a limit.
fn policy(at: &Addresses) -> Policy {
    let one = Endpoint::new("one").entity(at, "b", 100).limit(json!({"key": "user", "calls": 2}));
    Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100).entity(at, "b", 0).fallback()).endpoint(one)
}

/// Starts a gateway that istiod feeds, and waits until it is Weir that answers.
async fn start<'a>(istiod: &'a Istiod, form: Form, setup: Setup<'a>) -> Rig {
    let rig = setup.render(move |launch, port, admin| istiod.gateway(launch, port, admin, form)).start().await;
    let answers = async || (rig.send(Call::get("/health")).await.status == 200).then_some(());
    poll(SOON, answers).await.unwrap_or_else(|| panic!("Weir does not answer\n{}", istiod.tail()));
    rig
}

fn call(model: &str, more: Value) -> Call {
    Call::chat(ALICE, &chat(model, more))
}

#[tokio::test]
async fn requests_limits_fallback_and_streams() {
    serves(Form::File).await;
}

/// istiod writes the policy anew, and the two roles come by different ways: they must yet be in one VM.
#[tokio::test]
async fn a_wasm_plugin_serves_the_same() {
    serves(Form::Plugin).await;
}

async fn serves(form: Form) {
    let Some(istiod) = Istiod::new() else { return };
    let mut rig = start(&istiod, form, Setup::new(&["a", "b"], policy)).await;

    let answer = rig.send(call("chat", json!({})).header("x-weir-cluster", "outbound|1||elsewhere")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("served-model-name"), Some("a"));
    let received = rig.mock("a").last().await;
    assert_eq!(received.header("authorization"), ["Bearer secret-of-a"]);
    for name in received.header_names() {
        assert!(DEFINED.contains(&name), "{name} reached the provider");
    }

    // One entity alone, and its limit.
    for status in [200, 200, 429] {
        let answer = rig.send(call("one", json!({}))).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }

    // As many at once as Istio's own default for retries would not carry.
    let down = json!({"mock": {"a": {"status": 503}}});
    let tally = rig.load(60, 30, |_| call("chat", down.clone())).await;
    assert_eq!(tally.count(200), 60, "{:?}", tally.by_status);
    assert!(tally.answers.iter().all(|answer| answer.header("served-model-name") == Some("b")));
    assert!(rig.mock("b").last().await.header_names().iter().all(|name| DEFINED.contains(name)));

    let stream = json!({"stream": true, "mock": {"a": {"content_tokens": 100, "chunks": 50, "chunk_delay_ms": 2}}});
    let streamed = rig.stream(call("chat", stream)).await;
    assert_eq!((streamed.status, streamed.clean_end), (200, true));
    assert!(streamed.events().last().is_some_and(|event| event == "[DONE]"), "{}", streamed.text());
    assert!(streamed.pieces.len() >= 20, "{} pieces: they were held back", streamed.pieces.len());

    let large = json!({"user": "x".repeat(3 << 20)});
    assert_eq!(rig.send(call("chat", large)).await.status, 200, "3 MiB, beyond Envoy's own bound");
    assert_eq!(rig.send(Call::chat("no-such-key", &chat("chat", json!({})))).await.status, 401);
    assert_eq!(rig.send(Call::get("/elsewhere")).await.status, 404);
    // 1 + 3 + 60 + 1 + 1 + 1; what is outside the scope is none.
    assert_eq!(rig.collector.usage(67).await.len(), 67);
    rig.assert_healthy().await;
}

#[tokio::test]
async fn a_request_authentication_feeds_the_identity() {
    let Some(istiod) = Istiod::new() else { return };
    let source = json!({"jwt": {"user": "email", "groups": "realm.roles", "issuer": "https://idp.example.com",
        "audiences": ["weir"], "jwks_file": "jwks.json"}});
    let policy = |at: &Addresses| {
        let mut policy = policy(at);
        policy.0["identity"]["sources"].as_array_mut().expect("sources").push(source.clone());
        policy
    };
    let setup = Setup::new(&["a", "b"], policy).file("jwks.json", jwt::keys().to_string());
    let rig = start(&istiod, Form::File, setup).await;
    let claims = json!({"email": "dora@example.com", "realm": {"roles": ["staff"]}});
    let late = json!({"email": "dora@example.com", "exp": 1_000_000_000});
    let body = chat("chat", json!({}));
    let (dora, bob) = (json!("dora@example.com"), json!("bob@example.com"));
    let rows = [
        ("a token", jwt::token(claims.clone(), SIGNING_KEY), 200, dora),
        ("an API key, which is no token", BOB.to_owned(), 200, bob),
        ("a token of somebody else's", jwt::token(claims, b"another key, also at least 32 bytes"), 401, Value::Null),
        ("an expired token", jwt::token(late, SIGNING_KEY), 401, Value::Null),
        ("nonsense", "nonsense".to_owned(), 401, Value::Null),
    ];
    for (number, (name, credential, status, requester)) in rows.into_iter().enumerate() {
        let answer = rig.send(Call::chat(&credential, &body)).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        let lines = rig.collector.usage(number + 1).await;
        let row = &lines[lines.len() - 1]["row"];
        assert_eq!((&row["status_code"], &row["requester"]), (&json!(status), &requester), "{name}");
    }
    assert!(rig.mock("a").last().await.header("authorization") == ["Bearer secret-of-a"]);
}

/// Both roles come by discovery, as they do where Istio's agent fetches the filter; the attempt role is then there for each request.
#[tokio::test]
async fn a_filter_that_is_fetched() {
    let Some(istiod) = Istiod::new() else { return };
    let mut rig = start(&istiod, Form::Fetched, Setup::new(&["a", "b"], policy)).await;
    assert_eq!(rig.send(call("chat", json!({}))).await.header("served-model-name"), Some("a"));
    assert_eq!(rig.send(call("one", json!({}))).await.status, 200, "without a plan");
    let down = json!({"mock": {"a": {"status": 503}}});
    let tally = rig.load(20, 10, |_| call("chat", down.clone())).await;
    assert_eq!(tally.count(200), 20, "{:?}", tally.by_status);
    assert!(tally.answers.iter().all(|answer| answer.header("served-model-name") == Some("b")));
    assert_eq!(rig.collector.usage(22).await.len(), 22);
    rig.assert_healthy().await;
}
