//! Inference tables: what the caller sent and saw, whatever way an exchange takes, and nothing where nothing is to be logged.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::drive::*;
use crate::{export::RowKind, host::Input};

/// DATABRICKS.md, `<prefix>_payload`.
const COLUMNS: &str = "databricks_request_id request_date client_request_id request_time status_code sampling_fraction \
    execution_duration_ms request response logging_error_codes served_entity_id requester";

fn logged() -> Value {
    let mut policy = policy();
    policy["max_request_bytes"] = json!(4 << 20);
    policy["endpoints"][0]["ai_gateway"]["inference_table_config"] =
        json!({"enabled": true, "catalog_name": "main", "schema_name": "ai", "table_name_prefix": "chat"});
    policy
}

/// The end: the usage row and the payload's.
fn rows(mut stream: Stream<'_>) -> (Value, Value) {
    stream.input(Input::Log);
    stream.input(Input::Done);
    assert_eq!(stream.rig.kinds(), [RowKind::Usage, RowKind::Payload]);
    let mut rows = stream.rig.rows();
    (rows.remove(0), rows.remove(0))
}

const EVENTS: [(&str, &str); 2] = [(":status", "200"), ("content-type", "text/event-stream")];

#[test]
fn a_row_has_every_column() {
    let rig = Rig::new(&logged());
    let sent = chat(json!({"client_request_id": "c-1", "usage_context": {"team": "a"}}));
    let mut stream = rig.chat(OPENAI, &sent);
    rig.wait_ms(120);
    let seen = stream.answered();
    stream.input(Input::Log);
    let told = rig.host.rows.borrow().iter().map(|row| crate::export::may_be_told(&row.line)).collect::<Vec<_>>();
    assert_eq!(told, [true, false], "no payload in a log");
    let (usage, line) = rows(stream);
    let envelope =
        json!({"table": "payload", "schema_version": 1, "catalog": "main", "schema": "ai", "prefix": "chat"});
    for (key, value) in envelope.as_object().unwrap() {
        assert_eq!(&line[key], value);
    }
    let row = line["row"].as_object().unwrap();
    assert_eq!(row.len(), COLUMNS.split_whitespace().count());
    assert!(COLUMNS.split_whitespace().all(|column| row.contains_key(column)), "{row:?}");
    let expected = json!({
        "databricks_request_id": usage["row"]["databricks_request_id"], "request_date": "2026-11-21",
        "client_request_id": "c-1", "request_time": "2026-11-21T23:17:57.500000Z", "status_code": 200,
        "sampling_fraction": 1.0, "execution_duration_ms": 120, "request": sent, "response": seen.body,
        "logging_error_codes": [], "served_entity_id": usage["row"]["served_entity_id"], "requester": "alice",
    });
    assert_eq!(line["row"], expected);
    for word in ["secret-", "alice-key"] {
        assert!(!line.to_string().contains(word), "{word} in {line}");
    }
}

#[test]
fn a_stream_is_one_answer() {
    let rig = Rig::new(&logged());
    let mut stream = rig.chat(OPENAI, &chat(json!({"stream": true})));
    let chunk =
        |text: &str| json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]});
    let events = format!(
        "data: {}\n\ndata: {}\n\ndata: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":1}}}}\n\ndata: [DONE]\n\n",
        chunk("De"),
        chunk("ep.")
    );
    let (one, two) = events.split_at(90);
    stream.answer(&EVENTS, &[one, two]);
    let response = rows(stream).1["row"]["response"].clone();
    let response: Value = serde_json::from_str(response.as_str().unwrap()).unwrap();
    let expected = json!({"object": "chat.completion", "choices": [{"index": 0, "message": {"content": "Deep."}}]});
    assert_eq!(response, expected, "the usage that the caller did not ask for is not there");
}

/// A body over 1 MiB is left out, and said to be.
#[test]
fn large_bodies_are_left_out() {
    let rig = Rig::new(&logged());
    let most = 1 << 20;
    let bytes = |length: usize| "x".repeat(length);
    let empty = chat(json!({"pad": ""})).len();
    for (more, is_logged) in [(most - empty, true), (most - empty + 1, false)] {
        let mut stream = rig.chat(OPENAI, &chat(json!({"pad": bytes(more)})));
        stream.answered();
        let row = rows(stream).1["row"].clone();
        assert_eq!(row["request"].is_string(), is_logged);
        assert!(row["response"].is_string());
        let codes = if is_logged { json!([]) } else { json!(["MAX_REQUEST_SIZE_EXCEEDED"]) };
        assert_eq!(row["logging_error_codes"], codes);
    }
    let json = [(":status", "200"), ("content-type", "application/json")];
    let event = json!({"choices": [{"index": 0, "delta": {"content": bytes(most / 2)}}]});
    let event = format!("data: {event}\n\n");
    let half = bytes(most / 2);
    for (headers, pieces) in [(&json, [half.as_str(), &half, "x"]), (&EVENTS, [&event, &event, &event])] {
        let mut stream = rig.chat(OPENAI, &chat(json!({"stream": true})));
        stream.answer(headers, &pieces);
        let row = rows(stream).1["row"].clone();
        assert_eq!(
            (&row["response"], &row["logging_error_codes"]),
            (&Value::Null, &json!(["MAX_RESPONSE_SIZE_EXCEEDED"]))
        );
    }
}

/// (what happens, the status, what the caller saw)
#[test]
fn what_the_caller_saw_is_logged() {
    type Way = fn(&mut Stream<'_>) -> Option<Seen>;
    let ways: [(&str, Way, u64); 6] = [
        (
            "a provider's error, reshaped",
            |stream| Some(stream.answer(&[(":status", "400")], &[r#"{"error":{"#, r#""message":"bad"}}"#])),
            400,
        ),
        ("a refused credential", |stream| Some(stream.answer(&[(":status", "401")], &["secret-a is bad"])), 502),
        (
            "a refused credential without a body",
            |stream| {
                stream.answer_headers(&[(":status", "401")], true);
                let body = stream.rig.host.reply.borrow().clone().unwrap().body;
                Some(Seen { status: 502, headers: Vec::new(), body: String::from_utf8(body).unwrap() })
            },
            502,
        ),
        ("Envoy's own", |stream| Some(stream.envoy_answers("504", "upstream_response_timeout")), 504),
        ("an empty answer", |stream| Some(stream.answer(&[(":status", "200")], &[])), 200),
        ("gone", |_| None, 499),
    ];
    let rig = Rig::new(&logged());
    for (name, way, status) in ways {
        let mut stream = rig.chat(DATABRICKS, &chat(json!({})));
        let seen = way(&mut stream);
        let row = rows(stream).1["row"].clone();
        assert_eq!(row["status_code"], status, "{name}");
        assert_eq!(row["response"].as_str(), seen.as_ref().map(|seen| seen.body.as_str()), "{name}");
        assert!(!row.to_string().contains("secret-a"), "{name}");
    }
    let mut packed = rig.chat(OPENAI, &chat(json!({})));
    packed.answer(&[(":status", "200"), ("content-encoding", "gzip")], &["\u{1f}"]);
    assert_eq!(rows(packed).1["row"]["response"], Value::Null, "nobody can read it");
    let mut odd = rig.chat(OPENAI, &chat(json!({})));
    odd.answer_headers(&[(":status", "200"), ("content-type", "application/json")], false);
    odd.piece("{}", false);
    odd.answer_trailers();
    assert_eq!(rows(odd).1["row"]["response"], "{}", "trailers end it");
}

#[test]
fn what_is_not_drawn_not_sent_or_not_asked_for_is_not_logged() {
    let mut limited = logged();
    limited["endpoints"][0]["ai_gateway"]["rate_limits"] = json!([{"calls": 0, "renewal_period": "minute"}]);
    let mut undrawn = logged();
    undrawn["endpoints"][0]["ai_gateway"]["inference_table_config"]["sampling_fraction"] = json!(0);
    for (policy, kind) in [(limited, RowKind::Refusal), (undrawn, RowKind::Usage), (policy(), RowKind::Usage)] {
        let rig = Rig::new(&policy);
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        if kind == RowKind::Usage {
            stream.answered();
        }
        stream.input(Input::Log);
        assert_eq!(rig.kinds(), [kind]);
    }
    let mut half = logged();
    half["endpoints"][0]["ai_gateway"]["inference_table_config"]["sampling_fraction"] = json!(0.5);
    let rig = Rig::new(&half);
    for _ in 0..200 {
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        stream.answered();
        stream.input(Input::Log);
    }
    let drawn = rig.kinds().iter().filter(|kind| **kind == RowKind::Payload).count();
    assert!((60..140).contains(&drawn), "{drawn} of 200");
}

/// A table is a matter of its own: it is written where usage is not tracked.
#[test]
fn a_table_without_usage() {
    let mut policy = logged();
    policy["endpoints"][0]["ai_gateway"]["usage_tracking_config"]["enabled"] = json!(false);
    let rig = Rig::new(&policy);
    let mut stream = rig.chat(OPENAI, &chat(json!({})));
    stream.answered();
    stream.input(Input::Log);
    assert_eq!(rig.kinds(), [RowKind::Payload]);
}
