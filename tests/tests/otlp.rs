//! `logging.format: otlp` against a receiver that answers as an OpenTelemetry collector may.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::ALICE;
use weir_e2e::receiver::{Post, Receiver};
use weir_e2e::{Addresses, Call, Endpoint, Policy, Rig, Setup};

async fn rig(receiver: &Receiver) -> Rig {
    let url = json!(format!("http://127.0.0.1:{}/v1/logs", receiver.port));
    let policy = |at: &Addresses| {
        let table = json!({"enabled": true, "catalog_name": "main", "schema_name": "ai"});
        let endpoint = Endpoint::new("chat").entity(at, "a", 100).set("/ai_gateway/inference_table_config", table);
        Policy::new(at)
            .endpoint(endpoint)
            .set("/logging/url", url.clone())
            .set("/logging/format", json!("otlp"))
            // The secret of entity `a` serves as the token: it is the one that this Envoy has.
            .set("/logging/token", json!("{{secrets/e2e/a}}"))
    };
    Setup::new(&["a"], policy).workers(1).start().await
}

fn records(posts: &[Post]) -> Vec<Value> {
    let bodies =
        posts.iter().filter(|post| post.status == 200).map(|post| serde_json::from_str(&post.body).expect("JSON"));
    let records = |body: Value| body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().cloned();
    bodies.flat_map(|body| records(body).expect("log records")).collect()
}

fn named(records: &[Value], event: &str) -> Vec<Value> {
    records.iter().filter(|record| record["eventName"] == event).cloned().collect()
}

fn attribute(record: &Value, key: &str) -> Value {
    let attributes = record["attributes"].as_array().expect("attributes");
    let found = attributes.iter().find(|attribute| attribute["key"] == key);
    found.map(|attribute| attribute["value"].clone()).unwrap_or_default()
}

const OPERATION: &str = "gen_ai.client.inference.operation.details";

#[tokio::test]
async fn a_request_is_a_log_record_with_the_conventions_names() {
    let receiver = Receiver::start(|_, _| (200, None, r#"{"partialSuccess":{}}"#)).await;
    let mut rig = rig(&receiver).await;
    assert_eq!(rig.send(Call::chat(ALICE, &chat("chat", json!({})))).await.status, 200);
    let enough = |posts: &[Post]| {
        ["weir.payload", "weir.served_entity", OPERATION].iter().all(|event| !named(&records(posts), event).is_empty())
    };
    let posts = receiver.wait(enough).await;
    for post in &posts {
        assert_eq!((post.path.as_str(), post.header("content-type")), ("/v1/logs", Some("application/json")));
        assert_eq!(post.header("authorization"), Some("Bearer secret-of-a"));
        assert!(!post.body.contains("secret-of"), "{}", post.body);
    }
    let all = records(&posts);
    let record = &named(&all, OPERATION)[0];
    for (key, value) in [
        ("gen_ai.operation.name", json!({"stringValue": "chat"})),
        ("gen_ai.provider.name", json!({"stringValue": "openai"})),
        ("gen_ai.request.model", json!({"stringValue": "a-model"})),
        ("http.response.status_code", json!({"intValue": "200"})),
        ("user.name", json!({"stringValue": "alice@example.com"})),
        ("weir.endpoint_name", json!({"stringValue": "chat"})),
        ("weir.token_source", json!({"stringValue": "reported"})),
    ] {
        assert_eq!(attribute(record, key), value, "{key}");
    }
    assert!(attribute(record, "gen_ai.usage.input_tokens")["intValue"].is_string());
    let request = attribute(&named(&all, "weir.payload")[0], "weir.request");
    assert!(request["stringValue"].as_str().is_some_and(|text| text.contains("How deep")), "{request}");
    rig.assert_healthy().await;
}

/// 429 is waited for as long as the collector says, 503 too; what it threw away of a batch is not sent again.
#[tokio::test]
async fn retries_and_partial_success() {
    let partial = r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#;
    let receiver = Receiver::start(move |_, number| match number {
        0 => (429, Some("1"), ""),
        1 => (503, None, ""),
        2 => (200, None, partial),
        3 => (500, None, ""),
        _ => (200, None, "{}"),
    })
    .await;
    let rig = rig(&receiver).await;
    receiver.wait(|posts| posts.len() >= 3).await;
    assert_eq!(rig.envoy.wait_for_stat("weir.records_queued", 0, Duration::from_secs(10)).await, 0);
    assert_eq!((rig.envoy.stat("weir.records_sent").await, rig.envoy.stat("weir.records_dropped").await), (0, 1));
    assert_eq!(rig.envoy.stat("weir.records_resent").await, 2);
    // By OTLP's word a 500 is for good: usage and payload of this one are dropped.
    assert_eq!(rig.send(Call::chat(ALICE, &chat("chat", json!({})))).await.status, 200);
    receiver.wait(|posts| posts.len() >= 4).await;
    assert_eq!(rig.envoy.wait_for_stat("weir.records_dropped", 3, Duration::from_secs(10)).await, 3);
    assert_eq!(rig.send(Call::chat(ALICE, &chat("chat", json!({})))).await.status, 200);
    let posts = receiver.wait(|posts| posts.len() >= 5).await;
    assert_eq!(named(&records(&posts), OPERATION).len(), 1);
    assert_eq!(rig.envoy.wait_for_stat("weir.records_queued", 0, Duration::from_secs(10)).await, 0);
}
