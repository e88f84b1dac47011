//! Every provider's protocol takes every order: the same failures, each in the provider's own shape. What the providers' SDKs make
//! of the good answers is tested with them, in `tests/tests/mock_sdks.rs`.

use serde_json::{Value, json};

use crate::process::{End, PATIENCE, Weir};

/// A protocol with a streamed chat: where it is asked and how, and how its errors and its streams look.
struct Protocol {
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: fn() -> Value,
    /// Where an error's message stands.
    message: &'static str,
    /// What an event of the text holds, what the event that ends the stream holds, and what of usage any event has.
    text: &'static str,
    end: &'static str,
    usage: &'static str,
    /// What the event of a failure holds.
    failure: &'static str,
}

fn messages() -> Value {
    json!({"model": "x", "max_tokens": 100, "stream": true, "messages": [{"role": "user", "content": "hi"}]})
}

const BEARER: &[(&str, &str)] = &[("authorization", "Bearer k")];

/// Bedrock's binary stream is no text: its unit tests have it.
const PROTOCOLS: [Protocol; 6] = [
    Protocol {
        path: "/v1/chat/completions",
        headers: BEARER,
        body: || {
            let mut body = messages();
            body["stream_options"] = json!({"include_usage": true});
            body
        },
        message: "/error/message",
        text: r#""delta":{"content":"#,
        end: "data: [DONE]",
        usage: r#""prompt_tokens":"#,
        failure: r#"{"error":"#,
    },
    Protocol {
        path: "/v1/responses",
        headers: BEARER,
        body: || json!({"model": "x", "stream": true, "input": "hi"}),
        message: "/error/message",
        text: "event: response.output_text.delta",
        end: "event: response.completed",
        usage: r#""input_tokens":"#,
        failure: "event: error",
    },
    Protocol {
        path: "/v1/messages",
        headers: &[("x-api-key", "k"), ("anthropic-version", "2023-06-01")],
        body: messages,
        message: "/error/message",
        text: "event: content_block_delta",
        end: "event: message_stop",
        usage: r#""input_tokens":"#,
        failure: "event: error",
    },
    Protocol {
        path: "/v1beta/models/x:streamGenerateContent?alt=sse&key=k",
        headers: &[],
        body: || json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        message: "/error/message",
        text: r#""parts":[{"text":" "#,
        end: r#""finishReason":"STOP""#,
        usage: r#""promptTokenCount":"#,
        failure: r#""status":"UNAVAILABLE""#,
    },
    Protocol {
        path: "/v2/chat",
        headers: BEARER,
        body: messages,
        message: "/message",
        text: "event: content-delta",
        end: "event: message-end",
        usage: r#""billed_units":"#,
        failure: r#""finish_reason":"ERROR""#,
    },
    Protocol {
        path: "/serving-endpoints/x/invocations",
        headers: BEARER,
        body: messages,
        message: "/message",
        text: r#""delta":{"content":"#,
        end: "data: [DONE]",
        usage: r#""prompt_tokens":"#,
        failure: r#"{"error":"#,
    },
];

/// What a protocol's stream says under orders, and how it ends.
fn streamed(mock: &Weir, protocol: &Protocol, orders: Value) -> (String, End) {
    let mut body = (protocol.body)();
    body["mock"] = json!({"m": orders});
    let heard = mock.hear_with(protocol.path, protocol.headers, &body.to_string(), PATIENCE);
    assert!(heard.head.starts_with("HTTP/1.1 200"), "{}: {heard:?}", protocol.path);
    let text = heard.dechunked().0;
    (text, heard.end)
}

#[test]
fn every_stream_takes_every_fault() {
    let mock = Weir::mock(&[]);
    for protocol in &PROTOCOLS {
        let path = protocol.path;
        let (good, end) = streamed(&mock, protocol, json!({"content": "one two three"}));
        assert!(end == End::Closed && good.contains(protocol.end), "{path}: {good}");
        // Without the option, Databricks' answers have no usage, as OpenAI's.
        assert_eq!(good.contains(protocol.usage), !path.ends_with("/invocations"), "{path}: {good}");
        let one = streamed(&mock, protocol, json!({"content": "one two three", "chunks": 1})).0;
        assert!(one.matches(protocol.text).count() < good.matches(protocol.text).count(), "{path}: {one}");
        let no_done = streamed(&mock, protocol, json!({"no_done": true})).0;
        assert!(!no_done.contains(protocol.end) && no_done.ends_with('\n'), "{path}: {no_done}");
        let half = streamed(&mock, protocol, json!({"half_event": true})).0;
        assert!(!half.contains(protocol.end) && !half.ends_with('\n'), "{path}: {half}");
        let no_usage = streamed(&mock, protocol, json!({"no_usage": true})).0;
        assert!(!no_usage.contains(protocol.usage), "{path}: {no_usage}");
        let broken = streamed(&mock, protocol, json!({"broken_json": true})).0;
        let wrong = broken.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|line| *line != "[DONE]");
        assert_eq!(wrong.filter(|line| serde_json::from_str::<Value>(line).is_err()).count(), 1, "{path}: {broken}");
        let (failed, end) = streamed(&mock, protocol, json!({"stream_error": 2}));
        assert!(end == End::Closed && failed.contains(protocol.failure), "{path}: {failed}");
        assert_eq!(failed.matches("data: ").count(), 3, "{path}: {failed}");
        let (cut, end) = streamed(&mock, protocol, json!({"midreset": 2}));
        assert_eq!((end, cut.matches("data: ").count()), (End::Reset, 2), "{path}: {cut}");
    }
}

#[test]
fn every_error_has_its_providers_shape() {
    let mock = Weir::mock(&[]);
    let converse = || json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
    let bedrock = Protocol { path: "/model/x/converse", body: converse, message: "/message", ..PROTOCOLS[0] };
    for protocol in PROTOCOLS.iter().chain([&bedrock]) {
        for orders in [json!({"status": 503, "retry_after": 7}), json!({"status": 429, "retry_after": 7})] {
            let mut body = (protocol.body)();
            body["mock"] = json!({"*": orders});
            let answer = mock.post_with(protocol.path, protocol.headers, body.to_string()).unwrap();
            assert_eq!(
                (u64::from(answer.status), &answer.headers["retry-after"]),
                (orders["status"].as_u64().unwrap(), &7.into())
            );
            let json = answer.json();
            let message = json.pointer(protocol.message).and_then(Value::as_str);
            assert!(message.is_some_and(|text| text.contains("was told to answer")), "{}: {json}", protocol.path);
        }
    }
}

#[test]
fn credentials_are_insisted_on() {
    let mock = Weir::mock(&["--key", "right", "--aws-key", "AKID:secret"]);
    for protocol in &PROTOCOLS {
        let answer = mock.post_with(protocol.path, protocol.headers, (protocol.body)().to_string()).unwrap();
        assert!(matches!(answer.status, 400 | 401), "{}: {}", protocol.path, answer.text);
    }
    let signed = "AWS4-HMAC-SHA256 Credential=AKID/20240101/r/bedrock/aws4_request, SignedHeaders=host, Signature=0";
    for (headers, kind) in [
        (vec![], "MissingAuthenticationTokenException"),
        (vec![("authorization", signed)], "AccessDeniedException"),
        (vec![("authorization", "Bearer wrong")], "AccessDeniedException"),
    ] {
        let answer = mock.post_with("/model/x/converse", &headers, "{}").unwrap();
        assert_eq!((answer.status, answer.headers["x-amzn-errortype"].to_str().unwrap()), (403, kind));
    }
    assert_eq!(mock.post_with("/model/x/converse", &[("authorization", "Bearer right")], "{}").unwrap().status, 400);
}

#[test]
fn tokens_are_counted_and_end() {
    let mock = Weir::mock(&["--key", "secret", "--behave", "expires_in=1"]);
    let form = "grant_type=client_credentials&client_id=i&client_secret=secret&scope=s";
    let answer = mock.post("/tenant/oauth2/v2.0/token", form).json();
    assert_eq!((&answer["expires_in"], &mock.get("/_mock/count").json()["tokens"]), (&json!(1), &json!(1)));
    let bearer = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    let path = "/openai/deployments/d/chat/completions?api-version=2024-10-21";
    let ask = || mock.post_with(path, &[("authorization", &bearer)], messages().to_string()).unwrap().status;
    let begun = std::time::Instant::now();
    let ended = (0..400).find(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        ask() == 401
    });
    assert!(ended.is_some(), "the token still lives after {:?}", begun.elapsed());
    let failed = mock.post("/token", "grant_type=other").json();
    assert_eq!((&failed["error"], &mock.get("/_mock/count").json()["tokens"]), (&json!("invalid_grant"), &json!(2)));
}

#[test]
fn a_custom_models_predictions() {
    let mock = Weir::mock(&[]);
    let answer = mock.post("/serving-endpoints/x/invocations", r#"{"dataframe_records":[{"a":1},{"a":2}]}"#).json();
    assert_eq!(answer["predictions"].as_array().map(Vec::len), Some(2), "{answer}");
    let wrong = mock.post("/serving-endpoints/x/invocations", r#"{"rows":[]}"#);
    assert_eq!((wrong.status, &wrong.json()["error_code"]), (400, &json!("BAD_REQUEST")));
}
