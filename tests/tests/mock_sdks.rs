//! The providers' own SDKs pointed at `weir mock` directly: what they accept, a translation may be tested against.

use serde_json::{Value, json};
use weir_e2e::mock::Mock;
use weir_e2e::process::Folder;
use weir_e2e::scripts::client;

const KEY: &str = "sk-mock";

/// What a client's script says about a mock that was started with `arguments`.
async fn asked(script: &str, arguments: &[&str]) -> Value {
    let folder = Folder::new("sdk");
    let mock = Mock::with("m", arguments, folder.path()).await;
    client(script, &format!("http://127.0.0.1:{}", mock.port), KEY, folder.path()).await
}

fn greets(text: &Value) {
    assert!(text.as_str().is_some_and(|text| text.starts_with("Hello from m")), "{text}");
}

#[tokio::test]
async fn anthropic() {
    let got = asked("mock_anthropic.py", &["--key", KEY]).await;
    greets(&got["whole"]["content"][0]["text"]);
    assert_eq!(got["whole"]["content"], got["streamed"]["content"], "{got}");
    assert_eq!(got["whole"]["usage"], got["streamed"]["usage"], "{got}");
    assert_eq!(got["streamed_text"], got["whole"]["content"][0]["text"]);
    assert_eq!(
        (&got["call"]["stop_reason"], &got["call"]["content"][0]["type"]),
        (&json!("tool_use"), &json!("tool_use"))
    );
    assert_eq!(got["call"]["content"][0]["input"], got["streamed_input"]);
    assert_eq!(got["streamed_call"], json!(["thinking", "tool_use"]));
    let raw = ["content_block_delta", "content_block_start", "content_block_stop", "message_delta", "message_start"];
    assert!(raw.iter().all(|event| got["raw"].as_array().unwrap().contains(&json!(event))), "{got}");
    for event in ["thinking", "signature", "input_json", "message_stop"] {
        assert!(got["events"].as_array().unwrap().contains(&json!(event)), "{event}: {got}");
    }
    assert_eq!(got["after"], "Hello from m: the tools said seven metres");
    assert_eq!((&got["count"], &got["models"]), (&json!(5), &json!(["m"])));
    assert_eq!(
        (&got["cached"]["input_tokens"], &got["cached"]["cache_read_input_tokens"]),
        (&json!(2), &json!(2)),
        "{got}"
    );
    for (error, kind, status) in [
        ("overloaded", "OverloadedError", 529),
        ("broken", "APIStatusError", 200),
        ("wrong", "BadRequestError", 400),
        ("refused", "AuthenticationError", 401),
    ] {
        let error = &got["errors"][error];
        assert_eq!((&error["type"], &error["status"]), (&json!(kind), &json!(status)), "{error}");
    }
}

#[tokio::test]
async fn openai() {
    let got = asked("mock_openai.py", &["--key", KEY]).await;
    greets(&got["chat"]);
    assert_eq!(got["azure"], json!(["depth", got["chat"]]), "the deployment is the model");
    for text in [&got["streamed"], &got["completion"], &got["likely"], &got["response"][0]] {
        assert_eq!(*text, got["chat"], "{got}");
    }
    let arguments = r#"{"place":"weir"}"#;
    assert_eq!(got["calls"], json!([["depth", arguments], ["width", arguments]]));
    assert_eq!(got["streamed_calls"], got["calls"]);
    assert_eq!(got["after"], "Hello from m: the tools said depth is 7 width is 7");
    assert_eq!((&got["choices"], &got["embeddings"]), (&json!(2), &json!([3, 3])));
    assert_eq!((&got["formatted"], &got["reasoned"]), (&json!({"place": "weir"}), &json!(["so so", 2])));
    assert_eq!((&got["response"][1], &got["called"]), (&json!(24), &json!(["reasoning", "function_call", arguments])));
    assert!(got["kinds"].as_array().unwrap().contains(&json!("response.completed")), "{got}");
    for (error, kind, status) in [
        ("limited", "RateLimitError", json!(429)),
        ("azure", "RateLimitError", json!(429)),
        ("broken", "APIError", Value::Null),
        ("refused", "AuthenticationError", json!(401)),
    ] {
        let error = &got["errors"][error];
        assert_eq!((&error["type"], &error["status"]), (&json!(kind), &status), "{error}");
    }
}
