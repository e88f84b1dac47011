//! What Weir does to an answer on its way to the client, where only a real Envoy can say whether it works.

use std::time::Duration;

use serde_json::json;
use weir_e2e::client::chat;
use weir_e2e::policy::{ALICE, secret};
use weir_e2e::process::poll;
use weir_e2e::raw::{Raw, chunk, chunked_head};
use weir_e2e::{Addresses, Call, Endpoint, Policy, Setup};

const DATABRICKS: &str = "/serving-endpoints/chat/invocations";

fn policy(at: &Addresses) -> Policy {
    Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100))
}

/// An operator's own access log may hold any header of the request.
#[tokio::test]
async fn no_credential_is_logged_for_a_client_that_went_away() {
    let mut rig = Setup::new(&["a"], policy)
        .edit(|bootstrap, _| {
            let log = &mut bootstrap.http_manager()["access_log"][0]["typed_config"]["log_format"]["json_format"];
            log["all"] = json!("%REQ(AUTHORIZATION)% %REQ(:PATH)% %REQ(:AUTHORITY)% end");
        })
        .start()
        .await;
    let body = chat("chat", json!({"mock": {"a": {"delay_ms": 3_000}}})).to_string();
    let mut raw = Raw::connect(rig.envoy.port).await;
    raw.write(chunked_head("/v1/chat/completions", ALICE).as_bytes()).await;
    raw.write(&chunk(body.as_bytes())).await;
    raw.write(b"0\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    raw.abort();
    let line = rig.collector.usage(1).await.remove(0);
    assert_eq!(line["row"]["status_code"], 499);
    let attempts = &line["detail"]["attempts"];
    assert_eq!((attempts.as_array().map(Vec::len), &attempts[0]["error"]), (Some(1), &json!("client_gone")), "{line}");
    let logged = poll(Duration::from_secs(12), async || rig.envoy.log().contains(" end\"").then_some(())).await;
    assert!(logged.is_some(), "Envoy logged nothing");
    let log = rig.envoy.log();
    assert!(!log.contains(&secret("a")), "the provider's credential stands in Envoy's log");
    assert!(log.contains("- /v1/chat/completions e2e end"), "the client's own request is not in Envoy's log");
    rig.assert_healthy().await;
}

#[tokio::test]
async fn a_refused_credential_is_502_with_and_without_a_body() {
    let mut rig = Setup::new(&["a"], policy).start().await;
    for orders in [
        json!({"status": 401}),
        json!({"status": 401, "raw": {"body": ""}}),
        json!({"status": 403, "raw": {"body": ""}}),
    ] {
        for path in ["/v1/chat/completions", DATABRICKS] {
            let body = chat("chat", json!({"mock": {"a": orders}})).to_string();
            let answer = rig.send(Call::post(path, body).key(ALICE)).await;
            assert_eq!(answer.status, 502, "{orders}: {}", answer.text());
            let code = if path == DATABRICKS { &answer.json()["error_code"] } else { &answer.json()["error"]["code"] };
            let expected = if path == DATABRICKS { "INTERNAL_ERROR" } else { "upstream_auth_failed" };
            assert_eq!(code, expected, "{orders}: {}", answer.text());
            assert!(answer.header("x-databricks-request-id").is_some());
        }
    }
    let lines = rig.collector.usage(6).await;
    assert!(
        lines
            .iter()
            .all(|line| line["row"]["status_code"] == 502 && line["detail"]["attempts"][0]["status_code"] != 502)
    );
    assert_eq!(rig.send(Call::chat(ALICE, &chat("chat", json!({})))).await.status, 200);
    rig.assert_healthy().await;
}

/// Held back by Envoy until it is whole, in pieces of one byte.
#[tokio::test]
async fn a_providers_error_comes_in_databricks_shape() {
    let mut rig = Setup::new(&["a"], policy).start().await;
    let raw = json!({"content_type": "application/json", "body": r#"{"error":{"message":"too long"}}"#});
    let long = json!({"content_type": "text/plain", "body": "x".repeat(150_000)});
    for (orders, message) in [
        (json!({"status": 400, "raw": raw, "chunk_bytes": 1, "chunk_delay_ms": 1}), "too long"),
        (json!({"status": 400, "raw": raw}), "too long"),
        (json!({"status": 422, "raw": long, "chunk_bytes": 10_000}), "xxx"),
    ] {
        let body = chat("chat", json!({"mock": {"a": orders}})).to_string();
        let answer = rig.send(Call::post(DATABRICKS, body).key(ALICE)).await;
        assert_eq!(answer.json()["error_code"], "BAD_REQUEST", "{}", answer.text());
        assert!(answer.json()["message"].as_str().is_some_and(|text| text.starts_with(message)), "{}", answer.text());
        assert!(answer.body.len() < 70_000);
    }
    rig.assert_healthy().await;
}
