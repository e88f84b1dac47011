//! Answers of providers and of Envoy: what the client gets of them, and what the record says.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::drive::*;
use crate::host::Input;

const JSON: (&str, &str) = ("content-type", "application/json");
const SSE: (&str, &str) = ("content-type", "text/event-stream; charset=utf-8");
const DELTA: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hell\"}}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// (input, output, source, complete) of a row.
fn used(row: &Value) -> (u64, u64, Option<&str>, bool) {
    let count = |name: &str| row["row"][name].as_u64().unwrap();
    let (input, output) = (count("input_token_count"), count("output_token_count"));
    (input, output, row["detail"]["token_source"].as_str(), row["detail"]["complete"].as_bool().unwrap())
}

#[test]
fn a_json_answer_passes_as_it_came() {
    let rig = Rig::new(&policy());
    let mut stream = rig.chat(OPENAI, &chat(json!({})));
    let received = stream.begin_attempt().1;
    assert_eq!(received.body, chat(json!({"model": "a-model"})));
    rig.wait_ms(250);
    let headers = [
        (":status", "200"),
        JSON,
        ("content-length", "150"),
        ("x-custom", "stays"),
        ("server", "uvicorn"),
        ("set-cookie", "a=b"),
        ("alt-svc", "h3"),
        ("openai-organization", "org-a"),
        ("openai-project", "p"),
        ("served-model-name", "spoofed"),
        ("x-ratelimit-remaining-tokens", "9"),
        ("x-weir-cluster", "evil"),
    ];
    let seen = stream.answer(&headers, &[&ANSWER[..1], &ANSWER[1..], ""]);
    assert_eq!((seen.status, &*seen.body), (200, ANSWER));
    let id = seen.header("x-databricks-request-id").unwrap();
    assert_eq!(id.len(), 36);
    let mut expected: Vec<(String, String)> =
        headers[..4].iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    expected.push(("x-databricks-request-id".into(), id.into()));
    expected.push(("served-model-name".into(), "a".into()));
    assert_eq!(seen.headers, expected);
    let id = id.to_owned();
    rig.wait_ms(50);
    let row = stream.row();
    assert_eq!(used(&row), (7, 5, Some("reported"), true));
    assert_eq!(row["row"]["databricks_request_id"], id);
    assert_eq!((&row["row"]["status_code"], &row["detail"]["finish_reason"]), (&json!(200), &json!("stop")));
    assert_eq!((&row["detail"]["time_to_first_byte_ms"], &row["detail"]["latency_ms"]), (&json!(250), &json!(300)));
    let attempt = json!({"served_entity_name": "a", "status_code": 200, "error": null, "latency_ms": 250});
    assert_eq!(row["detail"]["attempts"], json!([attempt]));
}

/// (the client's stream_options, what he gets of the extra chunk)
#[test]
fn a_streams_usage_is_asked_for_and_shown_to_who_asked() {
    let rig = Rig::new(&policy());
    let asked = json!({"include_usage": true});
    for (options, shown) in [(None, false), (Some(json!({"include_usage": false})), false), (Some(asked.clone()), true)]
    {
        let mut members = json!({"stream": true});
        if let Some(options) = options {
            members["stream_options"] = options;
        }
        let mut stream = rig.chat(OPENAI, &chat(members));
        let received: Value = serde_json::from_str(&stream.begin_attempt().1.body).unwrap();
        assert_eq!((&received["stream_options"], &received["model"]), (&asked, &json!("a-model")));
        let whole = format!("{DELTA}{USAGE}{DONE}");
        let pieces: Vec<_> = (0..whole.len()).step_by(7).map(|at| &whole[at..whole.len().min(at + 7)]).collect();
        let seen = stream.answer(&[(":status", "200"), SSE, ("content-length", "9")], &pieces);
        let expected = if shown { whole.clone() } else { format!("{DELTA}{DONE}") };
        assert_eq!(seen.body, expected);
        assert_eq!(seen.header("content-length"), None, "it may be untrue");
        let row = stream.row();
        assert_eq!(used(&row), (7, 5, Some("reported"), true));
        assert_eq!(row["row"]["request_streaming"], true);
    }
}

/// Answers of status 200 that leave something to be desired: (headers, pieces, what the client gets, what is recorded).
/// The prompt is 8 tokens with what is around it.
#[test]
fn what_is_missing_is_counted_and_what_is_broken_passes() {
    let rig = Rig::new(&policy());
    let no_usage = r#"{"choices":[{"message":{"content":"hello, you"}}]}"#;
    let cut_off = "The provider ended the stream";
    let gzip: (&str, &str) = ("content-encoding", "gzip");
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str], &'a str, (u64, u64, Option<&'a str>, bool));
    let (counted, estimated) = (Some("counted"), Some("estimated"));
    let rows: &[Row<'_>] = &[
        ("no usage", &[JSON], &[no_usage], "", (8, 3, counted, true)),
        ("broken JSON", &[JSON], &["{\"choices\":"], "", (8, 0, estimated, false)),
        ("no body", &[JSON, ("content-length", "0")], &[], "", (8, 0, estimated, false)),
        ("an empty piece", &[JSON], &[""], "", (8, 0, estimated, false)),
        ("another type", &[("content-type", "text/html")], &["<h1>", "</h1>"], "", (8, 0, estimated, true)),
        ("another type, no body", &[("content-type", "text/html")], &[], "", (8, 0, estimated, true)),
        ("no type", &[], &["x"], "", (8, 0, estimated, true)),
        ("packed JSON", &[JSON, gzip], &["\u{1f}packed"], "", (8, 0, estimated, true)),
        ("a packed stream", &[SSE, gzip], &["\u{1f}packed", "packed"], "", (8, 0, estimated, true)),
        (
            "said to be unpacked",
            &[JSON, ("content-encoding", "identity")],
            &[ANSWER],
            "",
            (7, 5, Some("reported"), true),
        ),
        ("a stream without usage", &[SSE], &[DELTA, DONE], "", (8, 1, counted, true)),
        ("a stream without an end", &[SSE], &[DELTA, ""], cut_off, (8, 1, counted, false)),
        ("half an event", &[SSE], &[DELTA, "data: {\"cho"], cut_off, (8, 1, counted, false)),
    ];
    for (name, headers, pieces, added, expected) in rows {
        let mut stream = rig.chat(OPENAI, &chat(json!({"stream": true})));
        let headers = [&[(":status", "200")][..], headers].concat();
        let seen = stream.answer(&headers, pieces);
        let whole = pieces.concat();
        assert!(seen.body.starts_with(&whole) && seen.body.contains(added), "{name}: {}", seen.body);
        assert_eq!(seen.body.len() > whole.len(), !added.is_empty(), "{name}: {}", seen.body);
        assert_eq!(used(&stream.row()), *expected, "{name}");
    }
}

#[test]
fn trailers_end_an_answer() {
    let rig = Rig::new(&policy());
    let rows = [(JSON, ANSWER.to_owned()), (SSE, format!("{DELTA}{USAGE}{DONE}"))];
    for (kind, body) in rows {
        let mut stream =
            rig.chat(OPENAI, &chat(json!({"stream": kind == SSE, "stream_options": {"include_usage": true}})));
        stream.answer_headers(&[(":status", "200"), kind], false);
        assert_eq!(stream.piece(&body, false), body);
        assert_eq!(stream.answer_trailers(), "");
        assert_eq!(used(&stream.row()), (7, 5, Some("reported"), true));
    }
}

/// A provider that refuses Weir's own credential, and Envoy's own answers.
#[test]
fn whose_fault_it_is_the_client_learns_in_his_own_shape() {
    let mut policy = policy();
    policy["endpoints"][0] = endpoint("chat", &["a"]);
    let rig = Rig::new(&policy);
    let rows = [
        ("401", "via_upstream", 502, "upstream_auth_failed", "INTERNAL_ERROR"),
        ("403", "via_upstream", 502, "upstream_auth_failed", "INTERNAL_ERROR"),
        (
            "503",
            "upstream_reset_before_response_started{connection_failure}",
            502,
            "upstream_error",
            "TEMPORARILY_UNAVAILABLE",
        ),
        ("503", "no_healthy_upstream", 502, "upstream_error", "TEMPORARILY_UNAVAILABLE"),
        ("503", "cluster_not_found", 502, "upstream_error", "TEMPORARILY_UNAVAILABLE"),
        ("404", "route_not_found", 502, "upstream_error", "TEMPORARILY_UNAVAILABLE"),
        ("504", "upstream_per_try_timeout", 504, "upstream_error", "TEMPORARILY_UNAVAILABLE"),
        ("504", "upstream_response_timeout", 504, "upstream_error", "TEMPORARILY_UNAVAILABLE"),
    ];
    for (status, details, expected, code, error_code) in rows {
        for path in [OPENAI, DATABRICKS] {
            let mut stream = rig.chat(path, &chat(json!({})));
            rig.host.set_property("response/code_details", details.as_bytes());
            let headers = [
                (":status", status),
                ("content-type", "text/plain"),
                ("content-length", "12"),
                ("content-encoding", "gzip"),
                ("www-authenticate", "Bearer realm=a.example.com"),
            ];
            let seen = stream.answer(&headers, &["invalid", " key ", "sk-1"]);
            let json = seen.json();
            assert_eq!(seen.status, expected, "{details}");
            match path {
                OPENAI => assert_eq!(json["error"]["code"], code, "{details}"),
                _ => assert_eq!(json["error_code"], error_code, "{details}"),
            }
            assert!(!seen.body.contains("sk-1") && !seen.body.contains("secret"));
            assert_eq!(seen.header("content-type"), Some("application/json"));
            assert_eq!(seen.header("content-length"), Some(&*seen.body.len().to_string()));
            let gone = ["content-encoding", "www-authenticate", "served-model-name"];
            assert_eq!(gone.map(|name| seen.header(name)), [None; 3]);
            let row = stream.row();
            assert_eq!(row["row"]["status_code"], expected);
            assert_eq!(used(&row), (0, 0, None, true));
            let attempt = &row["detail"]["attempts"][0];
            let (code, error) = match details {
                "via_upstream" => (json!(status.parse::<u16>().unwrap()), Value::Null),
                _ if details.contains("timeout") => (Value::Null, json!("timeout")),
                _ if details.contains("connection_failure") => (Value::Null, json!("connect_failure")),
                _ => (Value::Null, json!("not_sent")),
            };
            assert_eq!((&attempt["status_code"], &attempt["error"]), (&code, &error), "{details}");
        }
    }
}

/// Without a body there is nothing to put another one in the place of: Weir answers itself.
#[test]
fn a_refused_credential_without_a_body_has_one_for_the_client() {
    let rig = Rig::new(&policy());
    let mut stream = rig.chat(OPENAI, &chat(json!({})));
    stream.answer_headers(&[(":status", "401"), ("content-length", "0")], true);
    let reply = stream.reply();
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (502, &json!("upstream_auth_failed")));
    assert_eq!(rig.host.request_headers.borrow().text("authorization"), None);
    // Envoy may show Weir its own answer.
    stream.input(Input::ResponseHeaders { end: false });
    let row = stream.row();
    assert_eq!((&row["row"]["status_code"], &row["detail"]["attempts"][0]["status_code"]), (&json!(502), &json!(401)));
}

/// Another filter of Envoy's, between Weir and the router, has its own say.
#[test]
fn other_filters_answers_pass() {
    let rig = Rig::new(&policy());
    for (status, details) in [("403", "rbac_access_denied_matched_policy[none]"), ("429", "request_rate_limited")] {
        let mut stream = rig.chat(DATABRICKS, &chat(json!({})));
        let seen = stream.envoy_answers(status, details);
        assert_eq!((seen.status.to_string(), &*seen.body), (status.to_owned(), "oops"));
        assert_eq!(seen.header("served-model-name"), None);
        assert_eq!(stream.row()["row"]["status_code"].to_string(), status);
    }
}

/// What a provider says of the request itself: as it came on OpenAI's paths, in Databricks' shape on its own.
#[test]
fn a_providers_errors_have_the_callers_shape() {
    let rig = Rig::new(&policy());
    let openai = r#"{"error":{"message":"too long","type":"invalid_request_error","param":null,"code":"x"}}"#;
    let html = ("content-type", "text/html");
    let long = "x".repeat(200_000);
    let rows = [
        ("400", JSON, openai, "BAD_REQUEST", "too long"),
        ("404", JSON, r#"{"message":"no such model"}"#, "RESOURCE_DOES_NOT_EXIST", "no such model"),
        ("429", JSON, openai, "REQUEST_LIMIT_EXCEEDED", "too long"),
        ("500", html, "<h1>no</h1>", "INTERNAL_ERROR", "<h1>no</h1>"),
        ("503", JSON, "{\"error\":", "TEMPORARILY_UNAVAILABLE", "{\"error\":"),
        ("400", SSE, "data: x\n\n", "BAD_REQUEST", "data: x\n\n"),
        ("400", html, &long, "BAD_REQUEST", "xxx"),
    ];
    for (status, kind, body, error_code, message) in rows {
        let length = body.len().to_string();
        let headers = [(":status", status), kind, ("content-length", &length)];
        let halves = body.split_at(body.len() / 2);
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        let seen = stream.answer(&headers, &[halves.0, halves.1]);
        assert_eq!((seen.status.to_string(), &*seen.body), (status.to_owned(), body));
        assert_eq!(seen.header("retry-after"), matches!(status, "429" | "503").then_some("1"), "{status}");
        assert_eq!(used(&stream.row()), (0, 0, None, true));
        for last in [&[halves.0, halves.1][..], &[halves.0, halves.1, ""]] {
            let mut stream = rig.chat(DATABRICKS, &chat(json!({})));
            let seen = stream.answer(&headers, last);
            assert_eq!(seen.status.to_string(), status);
            assert_eq!(seen.json()["error_code"], error_code);
            assert!(seen.json()["message"].as_str().unwrap().starts_with(message), "{}", seen.body);
            assert_eq!((seen.header("content-type"), seen.header("content-length")), (Some("application/json"), None));
            assert!(seen.body.len() < 70_000, "{}", seen.body.len());
            assert_eq!(stream.row()["row"]["status_code"].to_string(), status);
        }
    }
}

#[test]
fn a_providers_error_is_whole_with_its_trailers_too() {
    let rig = Rig::new(&policy());
    let mut stream = rig.chat(DATABRICKS, &chat(json!({})));
    stream.answer_headers(&[(":status", "400"), JSON], false);
    let passed = [stream.piece(r#"{"error":{"mess"#, false), stream.piece(r#"age":"too long"}}"#, false)].concat();
    assert_eq!(passed + &stream.answer_trailers(), r#"{"error_code":"BAD_REQUEST","message":"too long"}"#);
    drop(stream);
    // A packed one cannot be read: it passes.
    let mut stream = rig.chat(DATABRICKS, &chat(json!({})));
    let seen = stream.answer(&[(":status", "400"), JSON, ("content-encoding", "br")], &["pack", "ed"]);
    assert_eq!((&*seen.body, seen.header("content-encoding")), ("packed", Some("br")));
}
