//! The providers' own SDKs pointed at `weir mock` directly: what they accept, a translation may be tested against.

use serde_json::{Value, json};
use weir_e2e::client::Call;
use weir_e2e::mock::Mock;
use weir_e2e::process::Folder;
use weir_e2e::scripts::client;

const KEY: &str = "sk-mock";
/// Characters that a signature's text must not stumble over.
const AWS_KEY: &str = "AKIDWEIR:se+cret/1";

/// What a client's script says about a mock that insists on the keys; and what the mock counted.
async fn asked(script: &str, key: &str) -> (Value, Value) {
    let folder = Folder::new("sdk");
    let aws = format!("{AWS_KEY}:us-east-1");
    let mut arguments = vec!["--key", KEY, "--aws-key", &aws];
    let account = folder.join("account.json");
    if script == "mock_google.py" {
        let json = client("google_account.py", "", "", folder.path()).await;
        std::fs::write(&account, json.to_string()).expect("a file in the test's folder");
        arguments.extend(["--service-account", account.to_str().expect("a path in UTF-8")]);
    }
    let mock = Mock::with("m", &arguments, folder.path()).await;
    let said = client(script, &format!("http://127.0.0.1:{}", mock.port), key, folder.path()).await;
    (said, mock.client().send(&Call::get("/_mock/count")).await.json())
}

fn greets(text: &Value) {
    assert!(text.as_str().is_some_and(|text| text.starts_with("Hello from m")), "{text}");
}

#[tokio::test]
async fn anthropic() {
    let (got, _) = asked("mock_anthropic.py", KEY).await;
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
    let (got, _) = asked("mock_openai.py", KEY).await;
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

#[tokio::test]
async fn google_genai() {
    let (got, counted) = asked("mock_google.py", KEY).await;
    greets(&got["whole"]);
    assert_eq!((&got["streamed"], &got["vertex"]), (&got["whole"], &json!([got["whole"], got["whole"]])));
    assert_eq!((&got["usage"]["total_token_count"], &got["streamed_usage"]), (&json!(24), &got["usage"]));
    assert_eq!((&got["calls"], &got["streamed_calls"]), (&json!([["depth", {"place": "weir"}]]), &got["calls"]));
    assert_eq!((&got["finish"], &got["after"]), (&json!("STOP"), &json!("Hello from m: the tools said seven metres")));
    assert_eq!((&got["formatted"], &got["likely"]), (&json!({"place": "weir"}), &json!([2, "Hello"])));
    assert_eq!((&got["embeddings"], &got["count"]), (&json!([[3, 3], [3, 3]]), &json!(5)));
    assert_eq!(got["thoughts"].as_array().map(Vec::len), Some(1));
    for (error, kind, status) in
        [("limited", "ClientError", 429), ("broken", "ServerError", 503), ("refused", "ClientError", 400)]
    {
        let error = &got["errors"][error];
        assert_eq!((&error["type"], &error["status"]), (&json!(kind), &json!(status)), "{error}");
    }
    let stranger = &got["errors"]["stranger"]["message"];
    assert!(stranger.as_str().is_some_and(|text| text.contains("invalid_grant")), "{stranger}");
    assert_eq!(counted["tokens"], 2, "one token for all of Vertex's requests, and the stranger's question");
}

#[tokio::test]
async fn boto3() {
    let (got, _) = asked("mock_bedrock.py", AWS_KEY).await;
    greets(&got["whole"]);
    let usage = json!({"inputTokens": 5, "outputTokens": 19, "totalTokens": 24, "cacheReadInputTokens": 0, "cacheWriteInputTokens": 0});
    assert_eq!((&got["streamed"], &got["usage"], &got["streamed_usage"]), (&got["whole"], &usage, &usage));
    assert_eq!(got["stop"], json!(["end_turn", "end_turn"]));
    assert_eq!(got["call"], json!(["tool_use", "depth", {"place": "weir"}]));
    assert_eq!(got["streamed_call"], r#"{"place":"weir"}"#);
    assert!(got["reasoned"].as_str().is_some_and(|text| text.starts_with("The caller asks")), "{got}");
    assert_eq!(
        (&got["after"], &got["titan"], &got["cohere"]),
        (&json!("Hello from m: the tools said seven metres"), &json!(3), &json!(2))
    );
    let errors = json!({"secret": ["InvalidSignatureException", 403], "region": ["InvalidSignatureException", 403],
        "limited": ["ThrottlingException", 429], "broken": ["modelStreamErrorException", null]});
    assert_eq!(got["errors"], errors);
}

#[tokio::test]
async fn cohere() {
    let (got, _) = asked("mock_cohere.py", KEY).await;
    greets(&got["whole"]);
    let usage = json!({"input_tokens": 5.0, "output_tokens": 19.0});
    assert_eq!((&got["streamed"], &got["usage"], &got["streamed_usage"]), (&got["whole"], &usage, &usage));
    assert_eq!(got["finish"], json!(["COMPLETE", "COMPLETE", "ERROR"]));
    let arguments = r#"{"place":"weir"}"#;
    assert_eq!((&got["call"], &got["streamed_call"]), (&json!(["depth", arguments]), &json!(arguments)));
    assert_eq!(got["types"].as_array().map(Vec::len), Some(9), "every type of event: {got}");
    assert_eq!(
        (&got["after"], &got["embeddings"]),
        (&json!("Hello from m: the tools said seven metres"), &json!([3, 3]))
    );
    assert_eq!(got["errors"]["limited"]["type"], "TooManyRequestsError");
    assert_eq!(got["errors"]["refused"]["type"], "UnauthorizedError");
}
