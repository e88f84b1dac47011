//! The weighted split and the fallback: who is asked, in which order, what is recorded, and that nothing of one provider leaks.

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::envoy::version;
use weir_e2e::mock::DEFINED;
use weir_e2e::policy::{ALICE, secret};
use weir_e2e::process::free_port;
use weir_e2e::{Addresses, Call, Endpoint, Policy, Rig, Setup};

/// `a` takes all the traffic, `b` is its fallback.
fn a_then_b(at: &Addresses) -> Policy {
    Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100).entity(at, "b", 0).fallback())
}

fn call() -> Call {
    Call::chat(ALICE, &chat("chat", json!({})))
}

fn attempts(line: &Value) -> Vec<(String, Value)> {
    let attempts = line["detail"]["attempts"].as_array().into_iter().flatten();
    attempts
        .map(|a| (a["served_entity_name"].as_str().unwrap_or_default().to_owned(), a["status_code"].clone()))
        .collect()
}

#[tokio::test]
async fn ten_thousand_requests_split_as_they_should() {
    let policy =
        |at: &Addresses| Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 90).entity(at, "b", 10));
    let rig = Setup::new(&["a", "b"], policy).start().await;
    let tally = rig.load(10_000, 64, |_| call()).await;
    assert_eq!(tally.count(200), 10_000, "{:?}", tally.by_status);
    let (a, b) = (rig.mock("a").count().await, rig.mock("b").count().await);
    assert_eq!(a + b, 10_000);
    assert!((8_900..=9_100).contains(&a), "a: {a}, b: {b}");
    let named =
        |name| tally.answers.iter().filter(|answer| answer.header("served-model-name") == Some(name)).count() as u64;
    assert_eq!((named("a"), named("b")), (a, b));
}

/// 1,000 requests, 100 at a time, on a primary that fails in one way: the fallback answers all, and every record has both attempts.
async fn all_fall_back(rig: Rig, primary_status: Value) {
    let mut rig = rig;
    let tally = rig.load(1_000, 100, |_| call()).await;
    assert_eq!(tally.count(200), 1_000, "{:?}", tally.by_status);
    assert!(tally.answers.iter().all(|answer| answer.header("served-model-name") == Some("b")));
    let lines = rig.collector.usage(1_000).await;
    for line in &lines {
        let expected = [("a".to_owned(), primary_status.clone()), ("b".to_owned(), json!(200))];
        assert_eq!(attempts(line), expected, "{line}");
        assert_eq!(line["row"]["status_code"], 200);
    }
    rig.assert_healthy().await;
}

#[tokio::test]
async fn a_primary_that_answers_429() {
    all_fall_back(Setup::new(&["a", "b"], a_then_b).behave("a", "429").start().await, json!(429)).await;
}

#[tokio::test]
async fn a_primary_that_answers_503() {
    all_fall_back(Setup::new(&["a", "b"], a_then_b).behave("a", "503").start().await, json!(503)).await;
}

#[tokio::test]
async fn a_primary_that_refuses_our_credential() {
    all_fall_back(Setup::new(&["a", "b"], a_then_b).behave("a", "401").start().await, json!(401)).await;
}

#[tokio::test]
async fn a_primary_that_resets() {
    all_fall_back(Setup::new(&["a", "b"], a_then_b).behave("a", "reset").start().await, Value::Null).await;
}

#[tokio::test]
async fn a_primary_that_hangs() {
    let policy = |at: &Addresses| {
        let endpoint = Endpoint::new("chat").entity(at, "a", 100).entity(at, "b", 0).fallback();
        // Envoy has one timeout per try for a request: an endpoint's entities share theirs.
        let timeouts = json!({"first_byte_ms": 300});
        let endpoint = endpoint.set("/config/served_entities/0/timeouts", timeouts.clone());
        Policy::new(at).endpoint(endpoint.set("/config/served_entities/1/timeouts", timeouts))
    };
    all_fall_back(Setup::new(&["a", "b"], policy).behave("a", "hang").start().await, Value::Null).await;
}

#[tokio::test]
async fn a_primary_that_refuses_connections() {
    let nobody = format!("http://127.0.0.1:{}/v1", free_port());
    let policy = |at: &Addresses| {
        Policy::new(at).endpoint(Endpoint::new("chat").entity_at("a", 100, &nobody).entity(at, "b", 0).fallback())
    };
    all_fall_back(Setup::new(&["b"], policy).start().await, Value::Null).await;
}

#[tokio::test]
async fn at_most_two_fallbacks_in_the_entities_order() {
    let policy = |at: &Addresses| {
        let entities = [("a", 0), ("b", 0), ("c", 100), ("d", 0)];
        let endpoint =
            entities.iter().fold(Endpoint::new("chat"), |endpoint, (name, share)| endpoint.entity(at, name, *share));
        Policy::new(at).endpoint(endpoint.fallback())
    };
    let mut setup = Setup::new(&["a", "b", "c", "d"], policy);
    for (name, status) in [("a", "500"), ("b", "503"), ("c", "429"), ("d", "200")] {
        setup = setup.behave(name, status);
    }
    let rig = setup.start().await;
    let answer = rig.send(call()).await;
    // The last error is what the caller gets; `d` would have been a third fallback.
    assert_eq!(answer.status, 503, "{}", answer.text());
    let line = &rig.collector.usage(1).await[0];
    let expected = [("c", 429), ("a", 500), ("b", 503)].map(|(name, status)| (name.to_owned(), json!(status)));
    assert_eq!(attempts(line), expected);
    assert_eq!(rig.mock("d").count().await, 0);
}

#[tokio::test]
async fn without_fallback_the_first_error_is_the_answer() {
    let policy =
        |at: &Addresses| Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100).entity(at, "b", 0));
    let rig = Setup::new(&["a", "b"], policy).behave("a", "503").start().await;
    assert_eq!(rig.send(call()).await.status, 503);
    assert_eq!((rig.mock("a").count().await, rig.mock("b").count().await), (1, 0));
}

#[tokio::test]
async fn what_is_the_callers_fault_is_not_retried() {
    let rig = Setup::new(&["a", "b"], a_then_b).behave("a", "422").start().await;
    assert_eq!(rig.send(call()).await.status, 422);
    assert_eq!(rig.mock("b").count().await, 0);
}

#[tokio::test]
async fn dead_ends_have_weirs_own_answers() {
    let nobody = format!("http://127.0.0.1:{}/v1", free_port());
    let policy = |at: &Addresses| {
        let slow = Endpoint::new("slow").entity(at, "a", 100);
        Policy::new(at)
            .endpoint(Endpoint::new("dead").entity_at("dead", 100, &nobody))
            .endpoint(slow.set("/config/served_entities/0/timeouts", json!({"first_byte_ms": 200})))
            .endpoint(Endpoint::new("locked").entity(at, "b", 100))
    };
    let rig = Setup::new(&["a", "b"], policy).behave("a", "hang").behave("b", "401").start().await;
    for (model, status, code) in
        [("dead", 502, "upstream_error"), ("slow", 504, "upstream_error"), ("locked", 502, "upstream_auth_failed")]
    {
        let answer = rig.send(Call::chat(ALICE, &chat(model, json!({})))).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (status, &json!(code)),
            "{model}: {}",
            answer.text()
        );
    }
    rig.collector.usage(3).await;
}

#[tokio::test]
async fn nothing_of_one_provider_reaches_the_next_the_client_or_a_log() {
    let policy = |at: &Addresses| {
        let elsewhere = format!("http://localhost:{}/deep/prefix/v1", at.mock("b"));
        Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100).entity_at("b", 0, &elsewhere).fallback())
    };
    let rig = Setup::new(&["a", "b"], policy).behave("a", "503").start().await;
    let call = call()
        .header("cookie", "session=1")
        .header("x-forwarded-for", "10.1.1.1")
        .header("x-user-email", "eve@example.com");
    let answer = rig.send(call).await;
    assert_eq!(answer.status, 200);

    let (a, b) = (rig.mock("a").last().await, rig.mock("b").last().await);
    assert_eq!((a.path(), b.path()), ("/v1/chat/completions", "/deep/prefix/v1/chat/completions"));
    assert_eq!(a.header("authorization"), [format!("Bearer {}", secret("a"))]);
    assert_eq!(b.header("authorization"), [format!("Bearer {}", secret("b"))]);
    assert_eq!(a.header("host"), [format!("127.0.0.1:{}", rig.at.mock("a"))]);
    assert_eq!(b.header("host"), [format!("localhost:{}", rig.at.mock("b"))]);
    assert_eq!((&a.json()["model"], &b.json()["model"]), (&json!("a-model"), &json!("b-model")));
    for received in [&a, &b] {
        let names = received.header_names();
        let strange: Vec<_> = names.iter().filter(|name| !DEFINED.contains(name)).collect();
        assert!(strange.is_empty(), "these reached a provider: {strange:?}");
        assert!(!received.0.to_string().contains(ALICE), "the caller's key reached a provider");
    }
    let to_client = format!("{:?}{}", answer.headers, answer.text());
    let hidden =
        [secret("a"), secret("b"), format!(":{}", rig.at.mock("a")), "/deep/prefix".to_owned(), "a-model".to_owned()];
    for hidden in &hidden {
        assert!(!to_client.contains(hidden), "{hidden} reached the client: {to_client}");
    }
    rig.collector.usage(1).await;
    let (log, dump) = (rig.envoy.log(), rig.envoy.config_dump().await.to_string());
    for secret in [secret("a"), secret("b"), ALICE.to_owned()] {
        assert!(!log.contains(&secret), "{secret} stands in Envoy's log");
        assert!(!dump.contains(&secret), "{secret} stands in /config_dump");
    }
}

/// Clusters of the operator's that are not there, and a name that does not resolve: such an entity is answered for in words or
/// followed by the next one, and its request, with its credential, reaches nobody else.
#[tokio::test]
async fn a_cluster_that_does_not_exist() {
    let gone = |at: &str, endpoint: Endpoint| {
        endpoint.set(&format!("/config/served_entities/{at}/cluster"), json!("not-there"))
    };
    let policy = |at: &Addresses| {
        let three =
            |name: &str| Endpoint::new(name).entity(at, "a", 100).entity(at, "b", 0).entity(at, "c", 0).fallback();
        let nameless = Endpoint::new("nameless").entity_at("a", 100, "http://no.such.invalid:8080/v1");
        Policy::new(at)
            .endpoint(gone("0", Endpoint::new("alone").entity(at, "a", 100)))
            .endpoint(gone("0", three("first")))
            .endpoint(gone("1", three("second")))
            .endpoint(gone("2", three("third")))
            .endpoint(nameless.entity(at, "b", 0).fallback())
            .endpoint(three("well"))
    };
    let mut rig = Setup::new(&["a", "b", "c"], policy).start().await;
    // Envoy 1.37 to 1.39 end a request whose attempt finds no host; others go on to the next.
    let goes_on = !["1.37", "1.38", "1.39"].iter().any(|minor| version().starts_with(minor));
    let (down, all_but_c) = (json!({"status": 503}), json!({"a": {"status": 503}, "b": {"status": 503}}));
    let rows = [
        ("alone", json!({}), None),
        ("first", json!({}), goes_on.then_some("b")),
        ("first", json!({"b": down.clone()}), goes_on.then_some("c")),
        ("second", json!({}), Some("a")),
        ("second", json!({"a": down}), goes_on.then_some("c")),
        ("third", all_but_c.clone(), None),
        ("nameless", json!({}), goes_on.then_some("b")),
        ("well", all_but_c, Some("c")),
    ];
    for (endpoint, orders, served) in &rows {
        let answer = rig.send(Call::chat(ALICE, &chat(endpoint, json!({"mock": orders})))).await;
        let what = format!("{endpoint} {orders}: {}", answer.text());
        assert_eq!(answer.header("served-model-name"), *served, "{what}");
        match served {
            Some(_) => assert_eq!(answer.status, 200, "{what}"),
            None => assert!(matches!(answer.status, 502 | 503) && answer.text().contains("error"), "{what}"),
        }
    }
    for name in ["a", "b", "c"] {
        for request in rig.mock(name).received().await {
            // On Envoy 1.36 whoever is asked out of turn is asked for nothing.
            if request.body().is_empty() && version().starts_with("1.36") {
                assert!(request.header("authorization").is_empty());
                continue;
            }
            assert_eq!(request.header("authorization"), [format!("Bearer {}", secret(name))]);
            assert_eq!(request.json()["model"], format!("{name}-model"));
        }
    }
    assert_eq!(rig.collector.usage(rows.len()).await.len(), rows.len());
    rig.assert_healthy().await;
}
