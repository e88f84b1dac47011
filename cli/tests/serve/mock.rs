//! What the mock answers when it answers well, and how tests watch and steer it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Weir, output};

const CHAT: &str = "/v1/chat/completions";

fn chat(orders: Value) -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "one two three"}], "mock": {"m": orders}})
}

fn with(mut body: Value, more: Value) -> String {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

fn events(text: &str) -> Vec<&str> {
    text.split_inclusive("\n\n")
        .map(|event| event.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap())
        .collect()
}

#[test]
fn a_chat_answer_counts_its_words() {
    let mock = Weir::mock(&[]);
    let answer =
        mock.post(CHAT, json!({"model": "x/y", "messages": [{"role": "user", "content": "one two"}]}).to_string());
    let json = answer.json();
    assert_eq!((answer.status, &json["model"], &json["object"]), (200, &json!("x/y"), &json!("chat.completion")));
    let words = json["choices"][0]["message"]["content"].as_str().unwrap().split_whitespace().count();
    let usage = json!({"prompt_tokens": 2, "completion_tokens": words, "total_tokens": words + 2,
        "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}});
    assert_eq!(json["usage"], usage);
    let again =
        mock.post(CHAT, json!({"model": "x/y", "messages": [{"role": "user", "content": "one two"}]}).to_string());
    assert_eq!(again.text, answer.text);
}

#[test]
fn what_is_said_can_be_ordered() {
    let mock = Weir::mock(&[]);
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 8, "total_tokens": 15, "x": {"y": 1}});
    for (orders, more, content, finish, completion) in [
        (json!({"content": "yes  sir"}), json!({}), Some("yes  sir"), "stop", json!(2)),
        (json!({"content": "yes  sir"}), json!({"max_tokens": 1}), Some("yes"), "length", json!(1)),
        (json!({"content_tokens": 900}), json!({"max_completion_tokens": 450}), None, "length", json!(450)),
        (json!({"content_tokens": 900}), json!({}), None, "stop", json!(900)),
        (json!({"usage": usage}), json!({}), None, "stop", json!(8)),
        (json!({"no_usage": true}), json!({}), None, "stop", Value::Null),
    ] {
        let json = mock.post(CHAT, with(chat(orders.clone()), more)).json();
        let choice = &json["choices"][0];
        let said = choice["message"]["content"].as_str().unwrap();
        assert_eq!(content.unwrap_or(said), said, "{orders}");
        assert_eq!(
            (choice["finish_reason"].as_str(), &json["usage"]["completion_tokens"]),
            (Some(finish), &completion),
            "{orders}"
        );
        if orders["usage"].is_object() {
            assert_eq!(json["usage"], usage);
        }
        assert_eq!(json.get("usage").is_none(), orders["no_usage"] == true, "{orders}");
    }
}

#[test]
fn streams_with_and_without_usage() {
    let mock = Weir::mock(&[]);
    for (include, chunks) in [(false, 5), (true, 200)] {
        let stream = json!({"stream": true, "stream_options": {"include_usage": include}});
        let answer = mock.post(CHAT, with(chat(json!({"chunks": chunks})), stream));
        assert_eq!(answer.headers["content-type"], "text/event-stream; charset=utf-8");
        let events = events(&answer.text);
        let (done, events) = events.split_last().unwrap();
        assert_eq!((*done, events.len()), ("[DONE]", chunks + 2 + usize::from(include)));
        let events: Vec<Value> = events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        let text: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
        assert!(events.iter().all(|event| event.get("usage").is_some() == include), "null on all but the last");
        let used: Vec<_> = events.iter().filter(|event| event["usage"].is_object()).collect();
        assert_eq!(used.len(), usize::from(include));
        if let [usage] = used[..] {
            assert_eq!((&usage["choices"], &usage["usage"]["prompt_tokens"]), (&json!([]), &json!(3)));
            assert_eq!(usage["usage"]["completion_tokens"], text.split_whitespace().count());
        }
    }
}

#[test]
fn chunks_come_one_by_one() {
    let mock = Weir::mock(&[]);
    let body = with(chat(json!({"chunks": 4, "chunk_delay_ms": 50, "delay_ms": 100})), json!({"stream": true}));
    let started = Instant::now();
    let mut stream = mock.connect();
    let (address, length) = (&mock.address, body.len());
    let head =
        format!("POST {CHAT} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    std::io::Write::write_all(&mut stream, (head + &body).as_bytes()).unwrap();
    let mut first = [0; 1];
    std::io::Read::read_exact(&mut stream, &mut first).unwrap();
    let first = started.elapsed();
    let rest = crate::process::heard(&mut stream);
    let last = started.elapsed();
    assert!(first >= Duration::from_millis(100), "delay_ms: {first:?}");
    // Role, four deltas, finish, DONE: six pauses.
    assert!(last - first >= Duration::from_millis(280), "{first:?} {last:?} {rest:?}");
}

#[test]
fn the_other_apis() {
    let mock = Weir::mock(&["--model", "a", "--model", "b"]);
    let models = mock.get("/serving-endpoints/v1/models").json();
    let ids: Vec<_> = models["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!((ids, &models["object"]), (vec![&json!("a"), &json!("b")], &json!("list")));
    let said = mock.post("/v1/completions", r#"{"model":"x","prompt":["a b","c"]}"#).json();
    assert_eq!((&said["object"], &said["usage"]["prompt_tokens"]), (&json!("text_completion"), &json!(3)));
    assert!(said["choices"][0]["text"].as_str().unwrap().starts_with("Hello from m"));
    let vectors = mock.post("/v1/embeddings", r#"{"model":"x","input":["a b","c"],"dimensions":3}"#).json();
    assert_eq!(vectors["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    assert_eq!(vectors["data"][1]["embedding"].as_array().unwrap().len(), 3);
    assert_eq!(mock.get("/health").json()["name"], "m");
    for (path, body, message) in [
        (CHAT, "{", "not a request of this API"),
        (CHAT, "{}", "`model`"),
        ("/v1/nothing", "{}", "no API at POST /v1/nothing"),
    ] {
        let answer = mock.post(path, body);
        assert!((400..=404).contains(&answer.status));
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(message), "{}", answer.text);
    }
}

#[test]
fn an_echo_tells_what_was_received() {
    let mock = Weir::mock(&["--behave", "echo"]);
    let body = json!({"model": "x", "messages": [{"content": "é"}]}).to_string();
    let headers = [("X-One", "1"), ("authorization", "Bearer s")];
    let answer = mock.post_with("/p/chat/completions?a=b", &headers, &body).unwrap().json();
    let echo: Value = serde_json::from_str(answer["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&echo["mock"], &echo["method"], &echo["path"]),
        (&json!("m"), &json!("POST"), &json!("/p/chat/completions?a=b"))
    );
    assert_eq!(echo["body_length"], body.len());
    let got = echo["headers"].as_array().unwrap();
    assert!(got.contains(&json!(["x-one", "1"])) && got.contains(&json!(["authorization", "Bearer s"])), "{got:?}");
    // Any path, any bytes: the mock can stand for whatever else is behind a gateway.
    let elsewhere = mock.post("/elsewhere", [0xff, 0x00]).json();
    assert_eq!(elsewhere["path"], "/elsewhere");
    assert_eq!(elsewhere["body_sha256"], "ea5dbf9596d187e9500f23e9a680109475341cf4e81f7e043f7d97152c10772f");
}

#[test]
fn tests_watch_and_steer() {
    let mock = Weir::mock(&["--keep", "2", "--behave", "503", "--behave", "retry_after=7"]);
    let refused = mock.post(CHAT, "{}");
    assert_eq!((refused.status, &refused.headers["retry-after"]), (503, &ureq::http::HeaderValue::from(7)));
    assert_eq!(refused.json()["error"]["type"], "server_error");
    assert_eq!(mock.post(CHAT, chat(json!({})).to_string()).status, 200, "a request's own orders hold");
    let others = with(chat(json!({})), json!({"mock": {"another": {}}}));
    assert_eq!(mock.post(CHAT, &others).status, 503, "another mock's do not");
    assert_eq!(mock.get("/_mock/count").json(), json!({"requests": 3, "in_flight": 0, "tokens": 0}));
    let last = mock.get("/_mock/requests?last=1").json();
    assert_eq!((last.as_array().unwrap().len(), last[0]["body"].as_str()), (1, Some(others.as_str())));
    assert_eq!(mock.get("/_mock/requests").json().as_array().unwrap().len(), 2);
    assert_eq!(mock.post("/_mock/behave", r#"{"status":429}"#).status, 200);
    assert_eq!(mock.post(CHAT, "{}").status, 429);
    assert_eq!(mock.post("/_mock/behave", r#"{"stauts":429}"#).status, 400);
    assert_eq!(mock.post("/_mock/reset", "").status, 200);
    assert_eq!(mock.get("/_mock/count").json()["requests"], 0);
    assert_eq!(mock.post(CHAT, "{}").status, 503, "back to the flags");
    assert_eq!(Weir::mock(&[]).get("/_mock/requests").status, 409);
}

#[test]
fn wrong_orders_are_refused() {
    let mock = Weir::mock(&[]);
    let answer = mock.post(CHAT, chat(json!({"rest": true})).to_string());
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("mock.m: unknown field `rest`"), "{}", answer.text);
    let ended = output(&["mock", "--listen", "127.0.0.1:0", "--behave", "rest"]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("--behave rest: unknown field `rest`"));
    let taken = output(&["mock", "--listen", &mock.address]);
    assert_eq!(taken.status.code(), Some(1));
}

#[test]
fn a_mock_ends_when_told() {
    let mut mock = Weir::mock(&[]);
    mock.signal("TERM");
    assert_eq!(mock.exit_code(), Some(0));
}
