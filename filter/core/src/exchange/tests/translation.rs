//! Callers of one API, providers of another: what each provider receives, and what the caller gets.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::drive::*;
use crate::{
    attempt::Attempt,
    headers::Headers,
    host::{Effect, Input, Verdict},
};

const MESSAGES: &str = "/v1/messages";
const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"cache_read_input_tokens":2,"cache_creation_input_tokens":1,"output_tokens":5}}"#;

/// Endpoint `chat` whose entities are those: `c` and `d` are Anthropic's.
fn policy_of(entities: &[&str]) -> Value {
    let mut policy = policy();
    policy["endpoints"] = json!([endpoint("chat", entities)]);
    for entity in policy["endpoints"][0]["config"]["served_entities"].as_array_mut().unwrap() {
        let name = entity["name"].as_str().unwrap().to_owned();
        if matches!(&*name, "c" | "d") {
            let config = json!({
                "anthropic_api_base": format!("https://{name}.example.com/{name}"),
                "anthropic_api_key": format!("{{{{env/KEY_{}}}}}", name.to_uppercase()),
            });
            entity["external_model"] = json!({
                "provider": "anthropic", "name": format!("{name}-model"), "task": "llm/v1/chat", "anthropic_config": config,
            });
        }
    }
    policy
}

/// The answer to the attempt that is under way, through both roles: what the caller gets.
fn answer(stream: &mut Stream<'_>, attempt: &mut Attempt, status: &str, kind: &str, pieces: &[&str]) -> Seen {
    let host = &stream.rig.host;
    let headers = [(":status", status), ("content-type", kind), ("content-length", "9")];
    host.response_headers.replace(Headers::from_pairs(headers.map(|(name, value)| (name, value.as_bytes()))));
    let step = attempt.handle(Input::ResponseHeaders { end: false }, host);
    assert_eq!(step.verdict, Verdict::Continue, "an upstream filter may not pause on the answer's headers");
    host.apply(step.effects);
    let headers = host.response_headers.borrow().clone();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name, std::str::from_utf8(value).unwrap())).collect();
    stream.answer_headers(&headers, false);
    let (mut body, mut kept) = (String::new(), Vec::new());
    for (at, piece) in pieces.iter().enumerate() {
        let end = at + 1 == pieces.len();
        kept.extend_from_slice(piece.as_bytes());
        host.response_chunk.replace(kept.clone());
        let step = attempt.handle(Input::ResponseBody { size: kept.len(), end }, host);
        host.apply(step.effects);
        if step.verdict == Verdict::Continue {
            kept.clear();
            let passed = String::from_utf8(host.response_chunk.take()).unwrap();
            body += &stream.piece(&passed, end);
        }
    }
    attempt.handle(Input::Done, host);
    stream.seen(body)
}

#[test]
fn a_chat_at_anthropic() {
    let rig = Rig::new(&policy_of(&["c"]));
    let mut stream = rig.chat(OPENAI, &chat(json!({"client_request_id": "c-1", "stop": "END"})));
    let (mut attempt, received) = stream.begin_attempt();
    assert_eq!(received.header(":path"), Some("/c/v1/messages"));
    assert_eq!(received.header("x-api-key"), Some("secret-c"));
    assert_eq!(received.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(received.header("authorization"), None);
    let body: Value = serde_json::from_str(&received.body).unwrap();
    let messages = json!([{"role": "user", "content": "hello"}]);
    assert_eq!(body, json!({"model": "c-model", "max_tokens": 4096, "messages": messages, "stop_sequences": ["END"]}));
    let seen = answer(&mut stream, &mut attempt, "200", "application/json", &[&MESSAGE[..9], &MESSAGE[9..]]);
    assert_eq!(seen.header("content-length"), None, "that of another body");
    assert_eq!(seen.header("served-model-name"), Some("c"));
    assert_eq!(seen.json()["choices"][0]["message"]["content"], "Hi");
    assert_eq!(seen.json()["usage"]["prompt_tokens"], 10);
    assert_eq!(seen.json()["created"], START / 1_000_000_000);
    let row = stream.row();
    assert_eq!((&row["row"]["input_token_count"], &row["row"]["output_token_count"]), (&json!(10), &json!(5)));
    assert_eq!(row["detail"]["cache_write_input_tokens"], 1);
    assert_eq!(row["detail"]["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_stream_at_anthropic_drops_the_usage_that_nobody_asked_for() {
    let events = [
        r#"{"type":"message_start","message":{"id":"m","model":"claude","usage":{"input_tokens":7,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    let events: Vec<_> = events.iter().map(|data| format!("event: x\ndata: {data}\n\n")).collect();
    for complete in [true, false] {
        let rig = Rig::new(&policy_of(&["c"]));
        let mut stream = rig.chat(DATABRICKS, &chat(json!({"stream": true})));
        let (mut attempt, received) = stream.begin_attempt();
        assert!(received.body.contains(r#""stream":true"#) && !received.body.contains("stream_options"));
        let events = if complete { &events[..] } else { &events[..3] };
        let mut pieces: Vec<_> = events.iter().map(String::as_str).collect();
        pieces.push("");
        let seen = answer(&mut stream, &mut attempt, "200", "text/event-stream; charset=utf-8", &pieces);
        assert!(seen.body.contains(r#""content":"Hi""#) && !seen.body.contains("usage"), "{}", seen.body);
        assert_eq!(seen.body.ends_with("data: [DONE]\n\n"), complete, "{}", seen.body);
        assert_eq!(seen.body.contains("upstream_error"), !complete, "{}", seen.body);
        assert!(seen.body.lines().all(|line| line.is_empty() || line.starts_with("data: ")), "{}", seen.body);
        let row = stream.row();
        assert_eq!(row["detail"]["complete"], complete);
        if complete {
            assert_eq!((&row["row"]["input_token_count"], &row["row"]["output_token_count"]), (&json!(7), &json!(5)));
        }
    }
}

#[test]
fn each_attempt_is_translated_from_what_the_caller_sent() {
    let rig = Rig::new(&policy_of(&["c", "a", "d"]));
    let mut stream = rig.chat(
        MESSAGES,
        r#"{"model":"chat","max_tokens":9,"messages":[{"role":"user","content":"hello"}],"usage_context":{"t":"x"}}"#,
    );
    let attempts = [stream.attempt(Outcome::Status(529)), stream.attempt(Outcome::Connect), stream.begin_attempt().1];
    let paths = ["/c/v1/messages", "/a/v1/chat/completions", "/d/v1/messages"];
    for ((received, path), entity) in attempts.iter().zip(paths).zip(["c", "a", "d"]) {
        assert_eq!(received.header(":path"), Some(path));
        let body: Value = serde_json::from_str(&received.body).unwrap();
        let messages = json!([{"role": "user", "content": "hello"}]);
        let model = format!("{entity}-model");
        assert_eq!(body, json!({"model": model, "max_tokens": 9, "messages": messages}), "{entity}");
        let credentials = ["authorization", "x-api-key", "anthropic-version", "openai-organization"];
        let credentials = credentials.map(|name| received.header(name).map(str::to_owned));
        let secret = Some(format!("secret-{entity}"));
        let expected = match entity {
            "a" => [secret.map(|secret| format!("Bearer {secret}")), None, None, Some("org-a".into())],
            _ => [None, secret, Some("2023-06-01".into()), None],
        };
        assert_eq!(credentials, expected, "{entity}");
    }
}

#[test]
fn errors_are_the_callers_apis() {
    let anthropic = r#"{"type":"error","error":{"type":"invalid_request_error","message":"no such tool"}}"#;
    let openai = r#"{"error":{"message":"no such tool","type":"invalid_request_error","param":null,"code":null}}"#;
    for (path, entity, said, pointer) in [
        (OPENAI, "c", anthropic, "/error/message"),
        (DATABRICKS, "c", anthropic, "/message"),
        (MESSAGES, "a", openai, "/error/message"),
    ] {
        let rig = Rig::new(&policy_of(&[entity]));
        let mut stream = rig.chat(path, &chat(json!({"max_tokens": 9})));
        let (mut attempt, _) = stream.begin_attempt();
        let seen = answer(&mut stream, &mut attempt, "400", "application/json", &[said]);
        assert_eq!(
            (seen.status, seen.json().pointer(pointer)),
            (400, Some(&json!("no such tool"))),
            "{path}: {}",
            seen.body
        );
        assert_eq!(seen.json()["type"], if path == MESSAGES { json!("error") } else { Value::Null });
    }
}

/// What is no answer is the next entity's turn.
#[test]
fn a_2xx_that_is_no_answer_is_a_failure() {
    for kind in ["text/html", "application/octet-stream", ""] {
        let rig = Rig::new(&policy_of(&["c"]));
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        let (mut attempt, _) = stream.begin_attempt();
        let seen = answer(&mut stream, &mut attempt, "200", kind, &["<html>"]);
        assert_eq!((seen.status, &seen.json()["error"]["code"]), (502, &json!("upstream_error")), "{}", seen.body);
    }
}

#[test]
fn a_request_without_a_translation_is_refused_by_the_attempt() {
    for (path, shown) in [(OPENAI, "/error/message"), (DATABRICKS, "/message")] {
        let rig = Rig::new(&policy_of(&["c"]));
        let mut stream = rig.chat(path, &chat(json!({"n": 2})));
        let host = &rig.host;
        host.set_property("upstream/request_attempt_count", &1u64.to_le_bytes());
        let mut attempt = Attempt::new(rig.attempts.clone(), rig.in_force);
        assert_eq!(attempt.handle(Input::RequestHeaders { end: false }, host).verdict, Verdict::Pause);
        let size = host.request_body.borrow().len();
        let step = attempt.handle(Input::RequestBody { size, end: true }, host);
        let [Effect::Reply(reply)] = step.effects.as_slice() else { panic!("{step:?}") };
        let mut headers = vec![(":status".to_owned(), reply.status.to_string())];
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        headers.extend(reply.headers.iter().map(|(name, value)| (name.to_string(), text(value))));
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        host.set_property("response/code_details", b"weir");
        let body = text(&reply.body);
        let seen = stream.answer(&headers, &[&body]);
        let message = seen.json().pointer(shown).cloned().unwrap_or_default();
        assert!(message.as_str().unwrap().contains("`n`"), "{}", seen.body);
        assert_eq!((seen.status, seen.header("x-weir-refused")), (400, None));
        let row = stream.row();
        assert_eq!((&row["row"]["status_code"], &row["row"]["input_token_count"]), (&json!(400), &json!(0)));
    }
}

#[test]
fn tokens_are_counted_by_who_can() {
    let body = r#"{"model":"chat","messages":[{"role":"user","content":"hello"}]}"#;
    let rig = Rig::new(&policy_of(&["a", "c"]));
    let mut stream = rig.chat("/v1/messages/count_tokens", body);
    let sent = rig.host.request_headers.borrow().clone();
    assert_eq!(sent.text(":path"), Some("/c/v1/messages/count_tokens"));
    assert_eq!(sent.text("x-weir-cluster"), Some("weir-chat-c"));
    assert_eq!(sent.text("x-envoy-max-retries"), Some("0"));
    assert_eq!(rig.host.properties.borrow().get("weir.plan"), None, "the bytes pass");
    let seen = stream.answer(&[(":status", "200"), ("content-type", "application/json")], &[r#"{"input_tokens":7}"#]);
    assert_eq!(seen.body, r#"{"input_tokens":7}"#);
    assert_eq!(stream.row()["row"]["input_token_count"], 0, "nothing was used");
    let rig = Rig::new(&policy_of(&["a", "b"]));
    let seen = rig.chat("/v1/messages/count_tokens", body).reply();
    assert_eq!((seen.status, &seen.json()["error"]["type"]), (400, &json!("invalid_request_error")));
}
