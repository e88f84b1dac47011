//! The unmodified SDKs, with nothing but a base URL and a key.

use serde_json::json;
use weir_e2e::policy::{ALICE, BOB};
use weir_e2e::scripts::client;
use weir_e2e::{Addresses, Endpoint, Policy, Rig, Setup};

async fn rig() -> Rig {
    let policy = |at: &Addresses| {
        let endpoint = Endpoint::new("chat").entity(at, "a", 100);
        Policy::new(at).endpoint(endpoint.limit(json!({"key": "user", "principal": "bob@example.com", "calls": 0})))
    };
    Setup::new(&["a"], policy).start().await
}

#[tokio::test]
async fn the_openai_sdk() {
    let rig = rig().await;
    let got = client("openai_chat.py", &format!("{}/v1", rig.base()), ALICE, rig.folder()).await;
    assert_eq!(got["chat"], got["streamed"], "{got}");
    assert!(got["chat"].as_str().is_some_and(|text| text.starts_with("Hello from a")), "{got}");
    assert_eq!(got["models"], json!(["chat"]));
    assert_eq!(got["usage"]["total_tokens"], got["streamed_usage"]["total_tokens"], "{got}");
    assert_eq!(got["chunks_without_choices"], 1, "the usage chunk, which this client asked for: {got}");
    assert_eq!(got["unknown_model"], json!({"type": "NotFoundError", "status": 404, "code": "model_not_found"}));
    rig.collector.usage(3).await;
}

#[tokio::test]
async fn the_openai_sdk_under_the_databricks_path() {
    let rig = rig().await;
    let got = client("openai_chat.py", &format!("{}/serving-endpoints", rig.base()), ALICE, rig.folder()).await;
    assert_eq!(got["chat"], got["streamed"], "{got}");
}

#[tokio::test]
async fn the_openai_sdk_meets_its_own_errors() {
    let rig = rig().await;
    for (key, error, code) in
        [(BOB, "RateLimitError", "rate_limit_exceeded"), ("no", "AuthenticationError", "invalid_api_key")]
    {
        let got = client("openai_error.py", &format!("{}/v1", rig.base()), key, rig.folder()).await;
        assert_eq!((&got["type"], &got["code"]), (&json!(error), &json!(code)), "{got}");
    }
}

#[tokio::test]
async fn the_databricks_sdk() {
    let rig = rig().await;
    let got = client("databricks_query.py", &rig.base(), ALICE, rig.folder()).await;
    assert!(got["content"].as_str().is_some_and(|text| text.starts_with("Hello from a")), "{got}");
    assert!(got["total_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{got}");
    let row = rig.collector.usage(1).await.remove(0);
    assert_eq!(row["row"]["client_request_id"], "from-the-sdk");
    assert_eq!(row["row"]["usage_context"], json!({"team": "weir"}));
}
