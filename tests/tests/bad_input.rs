//! What is wrong with a request or an answer gets the answer of DESIGN.md section 2, is recorded once, and stops no worker.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::ALICE;
use weir_e2e::raw::{Raw, chunk, chunked_head};
use weir_e2e::{Addresses, Call, Endpoint, Policy, Rig, Setup};

const OPENAI: &str = "/v1/chat/completions";
const DATABRICKS: &str = "/serving-endpoints/chat/invocations";

fn policy(at: &Addresses) -> Policy {
    Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100)).set("/max_request_bytes", json!(100_000))
}

async fn rig() -> Rig {
    Setup::new(&["a"], policy).start().await
}

fn good() -> Call {
    Call::chat(ALICE, &chat("chat", json!({})))
}

#[tokio::test]
async fn wrong_requests_have_their_answers_and_one_record_each() {
    let mut rig = rig().await;
    let long = chat("chat", json!({"padding": "x".repeat(100_000)})).to_string();
    let context = |value: Value| chat("chat", json!({ "usage_context": value })).to_string();
    let post = |path: &str, body: &str| Call::post(path, body.to_owned()).key(ALICE);
    let model = r#""model":"chat""#;
    let rows = [
        ("not JSON", post(OPENAI, "hello"), 400, "invalid_request_error"),
        ("half a JSON", post(OPENAI, "{\"model\":\"chat\",\"messages\":["), 400, "invalid_request_error"),
        ("JSON, but a list", post(OPENAI, "[1,2]"), 400, "invalid_request_error"),
        ("JSON, but a text", post(OPENAI, "\"chat\""), 400, "invalid_request_error"),
        ("no model", post(OPENAI, r#"{"messages":[{"role":"user","content":"x"}]}"#), 400, "invalid_request_error"),
        ("a number for a model", post(OPENAI, r#"{"model":5,"messages":[]}"#), 400, "invalid_request_error"),
        (
            "messages that are no list",
            post(OPENAI, &format!(r#"{{{model},"messages":"x"}}"#)),
            400,
            "invalid_request_error",
        ),
        ("not UTF-8", Call::post(OPENAI, &b"{\"model\":\"\xff\"}"[..]).key(ALICE), 400, "invalid_request_error"),
        ("an empty body", post(OPENAI, ""), 400, "invalid_request_error"),
        ("usage_context of numbers", post(OPENAI, &context(json!({"a": 1}))), 400, "invalid_request_error"),
        (
            "usage_context too long",
            post(OPENAI, &context(json!({"a": "x".repeat(10_241)}))),
            400,
            "invalid_request_error",
        ),
        ("an unknown model", post(OPENAI, &chat("no-such", json!({})).to_string()), 404, "model_not_found"),
        ("GET where POST belongs", Call::get(OPENAI).key(ALICE), 405, "method_not_allowed"),
        ("a body over the limit", post(OPENAI, &long), 413, "request_too_large"),
        ("nobody", Call::post(OPENAI, chat("chat", json!({})).to_string()), 401, "invalid_api_key"),
    ];
    let expected = rows.len();
    for (name, call, status, code) in rows {
        let answer = rig.send(call).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (status, &json!(code)),
            "{name}: {}",
            answer.text()
        );
        assert!(answer.json()["error"]["message"].as_str().is_some_and(|message| message.len() > 10), "{name}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{name}");
    }
    assert_eq!(rig.mock("a").count().await, 0, "none of them reached the provider");
    assert_eq!(rig.send(good()).await.status, 200);
    let lines = rig.collector.usage(expected + 1).await;
    let zero = lines.iter().filter(|line| line["row"]["input_token_count"] == 0).count();
    assert_eq!(zero, expected, "refused requests have zero tokens");
    rig.assert_healthy().await;
}

#[tokio::test]
async fn the_databricks_path_has_errors_of_its_own_shape() {
    let rig = rig().await;
    let rows = [
        ("not JSON", Call::post(DATABRICKS, "hello").key(ALICE), 400, "BAD_REQUEST"),
        ("nobody", Call::post(DATABRICKS, "{}"), 401, "UNAUTHENTICATED"),
        ("unknown", Call::post("/serving-endpoints/no/invocations", "{}").key(ALICE), 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", Call::get(DATABRICKS).key(ALICE), 405, "BAD_REQUEST"),
    ];
    for (name, call, status, code) in rows {
        let answer = rig.send(call).await;
        assert_eq!((answer.status, &answer.json()["error_code"]), (status, &json!(code)), "{name}: {}", answer.text());
        assert!(answer.json()["message"].is_string(), "{name}");
    }
}

#[tokio::test]
async fn a_body_in_one_byte_chunks_is_a_body() {
    let rig = rig().await;
    let body = chat("chat", json!({})).to_string();
    let mut raw = Raw::connect(rig.envoy.port).await;
    raw.write(chunked_head(OPENAI, ALICE).as_bytes()).await;
    for byte in body.as_bytes() {
        raw.write(&chunk(&[*byte])).await;
    }
    raw.write(b"0\r\n\r\n").await;
    let answer = raw.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(rig.mock("a").last().await.json()["messages"], chat("chat", json!({}))["messages"]);
    rig.collector.usage(1).await;
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_413() {
    let rig = rig().await;
    let mut raw = Raw::connect(rig.envoy.port).await;
    raw.write(chunked_head(OPENAI, ALICE).as_bytes()).await;
    for _ in 0..11 {
        raw.write(&chunk(&[b' '; 10_000])).await;
    }
    let answer = raw.read_until(|text| text.contains("request_too_large")).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    rig.collector.usage(1).await;
    assert_eq!(rig.mock("a").count().await, 0);
}

#[tokio::test]
async fn a_client_that_goes_away_stops_nobody() {
    let mut rig = rig().await;
    // In the middle of its headers, of its body, and before the answer.
    for sent in [
        "POST /v1/chat/completions HTTP/1.1\r\nhost: e2e\r\n".to_owned(),
        chunked_head(OPENAI, ALICE) + "5\r\n{\"mod\r\n",
        chunked_head(OPENAI, ALICE) + &waiting_request(),
    ] {
        let mut raw = Raw::connect(rig.envoy.port).await;
        raw.write(sent.as_bytes()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        raw.abort();
    }
    assert_eq!(rig.send(good()).await.status, 200);
    // The one in mid-headers was no request yet; each other one is recorded once.
    let lines = rig.collector.usage(3).await;
    assert_eq!(lines.iter().filter(|line| line["row"]["status_code"] == 200).count(), 1, "{lines:?}");
    rig.assert_healthy().await;
}

/// A whole chunked body whose answer takes a second.
fn waiting_request() -> String {
    let body = chat("chat", json!({"mock": {"a": {"delay_ms": 1_000}}})).to_string();
    format!("{}0\r\n\r\n", String::from_utf8_lossy(&chunk(body.as_bytes())))
}

#[tokio::test]
async fn wrong_answers_of_a_provider_pass_as_they_came() {
    let mut rig = rig().await;
    let orders = [
        json!({"broken_json": true}),
        json!({"raw": {"content_type": "text/html", "body": "<h1>Bad gateway</h1>"}}),
        json!({"empty": true}),
        json!({"status": 418}),
        json!({"raw": {"content_type": "application/json", "body_base64": "/////w=="}}),
    ];
    for orders in &orders {
        let body = chat("chat", json!({"mock": {"a": orders}}));
        let answer = rig.send(Call::chat(ALICE, &body)).await;
        let mut as_sent = body;
        as_sent["model"] = json!("a-model");
        let direct = rig.mock("a").client().send(&Call::chat(ALICE, &as_sent)).await;
        assert_eq!((answer.status, &answer.body), (direct.status, &direct.body), "{orders}");
    }
    // Fewer bytes than announced: the client cannot be told otherwise than by a broken connection.
    let body = chat("chat", json!({"mock": {"a": {"wrong_content_length": true}}}));
    assert!(rig.client.try_send(&Call::chat(ALICE, &body)).await.is_err());
    assert_eq!(rig.send(good()).await.status, 200);
    rig.collector.usage(orders.len() + 2).await;
    rig.assert_healthy().await;
}
