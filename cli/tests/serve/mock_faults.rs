//! How the mock fails when it is told to, seen on the wire.

use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{End, Heard, PATIENCE, Weir};

fn hear(mock: &Weir, stream: bool, orders: Value) -> Heard {
    let body = json!({"model": "x", "messages": [{"content": "hi"}], "stream": stream,
        "stream_options": {"include_usage": true}, "mock": {"*": orders}});
    mock.hear("/v1/chat/completions", &body.to_string(), PATIENCE)
}

#[test]
fn connections_are_dropped() {
    let mock = Weir::mock(&[]);
    let reset = hear(&mock, false, json!({"reset": true, "delay_ms": 20}));
    assert_eq!((reset.head.as_str(), reset.end), ("", End::Reset));
    let hang = mock.hear("/v1/chat/completions", r#"{"mock":{"*":{"hang":true}}}"#, Duration::from_millis(200));
    assert_eq!((hang.head.as_str(), hang.end), ("", End::Silence));
    // The one that hung was let go when its client went.
    let gone = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        mock.get("/_mock/count").json()["in_flight"] == 0
    });
    assert!(gone, "{}", mock.get("/_mock/count").text);
}

#[test]
fn answers_break_off() {
    let mock = Weir::mock(&[]);
    let stream = hear(&mock, true, json!({"midreset": 3}));
    assert_eq!(stream.end, End::Reset);
    assert_eq!(stream.dechunked().0.matches("data: ").count(), 3);
    let whole = hear(&mock, false, json!({"midreset": 0}));
    let length: usize = whole.head.split_once("content-length: ").unwrap().1.lines().next().unwrap().parse().unwrap();
    assert_eq!((whole.end, whole.body.len()), (End::Reset, length / 2));
    for stream in [false, true] {
        let short = hear(&mock, stream, json!({"wrong_content_length": true}));
        let length: usize =
            short.head.split_once("content-length: ").unwrap().1.lines().next().unwrap().parse().unwrap();
        assert_eq!((short.end, short.body.len() + 64), (End::Closed, length), "stream {stream}");
    }
}

#[test]
fn streams_end_too_early() {
    let mock = Weir::mock(&[]);
    let text = |orders| {
        let heard = hear(&mock, true, orders);
        assert_eq!((heard.end == End::Closed, heard.body.ends_with("0\r\n\r\n")), (true, true), "a clean end");
        heard.dechunked().0
    };
    let no_done = text(json!({"no_done": true}));
    assert!(no_done.ends_with("\n\n") && no_done.contains("\"usage\":{") && !no_done.contains("[DONE]"), "{no_done}");
    let no_usage = text(json!({"no_usage": true}));
    assert!(no_usage.ends_with("data: [DONE]\n\n") && !no_usage.contains("usage"), "{no_usage}");
    let half = text(json!({"half_event": true}));
    assert!(!half.ends_with('\n') && !half.contains("[DONE]"), "{half}");
    let broken = text(json!({"broken_json": true}));
    let wrong = broken.split("\n\n").filter(|event| event.starts_with("data: {") && !event.ends_with('}'));
    assert_eq!((wrong.count(), broken.ends_with("data: [DONE]\n\n")), (1, true), "{broken}");
    assert_eq!(text(json!({"empty": true})), "");
}

#[test]
fn whole_answers_are_wrong() {
    let mock = Weir::mock(&[]);
    let broken = hear(&mock, false, json!({"broken_json": true}));
    assert!(broken.head.starts_with("HTTP/1.1 200") && broken.body.starts_with('{') && !broken.body.ends_with('}'));
    let empty = hear(&mock, false, json!({"empty": true}));
    assert!(empty.head.starts_with("HTTP/1.1 200") && empty.head.contains("content-length: 0"), "{empty:?}");
    let raw = hear(
        &mock,
        true,
        json!({"status": 418, "headers": {"x-a": "b"}, "raw": {"content_type": "text/odd", "body_base64": "AGE="}}),
    );
    assert!(raw.head.starts_with("HTTP/1.1 418") && raw.head.contains("content-type: text/odd\r\nx-a: b"), "{raw:?}");
    assert_eq!(raw.body, "\0a");
}

#[test]
fn bytes_are_cut_anywhere() {
    let mock = Weir::mock(&[]);
    let (whole, _) = hear(&mock, true, json!({})).dechunked();
    for size in [1, 7, 1000] {
        // The order itself is part of what the id is a hash of.
        let (cut, sizes) = hear(&mock, true, json!({"chunk_bytes": size})).dechunked();
        assert_eq!(cut.len(), whole.len(), "{size}");
        let (last, full) = sizes.split_last().unwrap();
        assert!(*last <= size && full.iter().all(|n| *n == size), "{size}: {sizes:?}");
    }
    let raw = hear(&mock, false, json!({"chunk_bytes": 2, "midreset": 2, "raw": {"body": "abcdefg"}}));
    assert_eq!((raw.dechunked().0.as_str(), raw.end), ("abcd", End::Reset));
}
