//! What Weir answers itself: each row of DESIGN.md's table of errors, in each shape, with its headers and its row.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::drive::*;
use crate::{export::RowKind, host::Input, metrics::Metric};

const CONTEXT: (&str, &str) = ("x-weir-usage-context", "{\"a\":1}");
const KEY: (&str, &str) = ("authorization", "Bearer alice-key");

/// Two endpoints: `chat` with a limit of two calls and one of four tokens, `closed` for nobody.
fn limited() -> Value {
    let mut policy = policy();
    policy["endpoints"][0]["ai_gateway"]["rate_limits"] = json!([{"calls": 2, "renewal_period": "minute"}, {"key": "user", "tokens": 4, "renewal_period": "hour", "name": "budget"}]);
    let mut closed = endpoint("closed", &["b"]);
    closed["permissions"] = json!([{"user_name": "root", "permission_level": "CAN_QUERY"}]);
    policy["endpoints"].as_array_mut().unwrap().push(closed);
    policy
}

struct Row<'a> {
    name: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: String,
    status: u16,
    /// OpenAI's code, and Databricks'.
    codes: (&'a str, &'a str),
    kind: RowKind,
    requester: Option<&'a str>,
}

fn rows() -> Vec<Row<'static>> {
    let row = |name, headers, body: &str, status, codes, kind, requester| Row {
        name,
        headers,
        body: body.to_owned(),
        status,
        codes,
        kind,
        requester,
    };
    let (bad, stranger, alice) = (("invalid_request_error", "BAD_REQUEST"), RowKind::Stranger, Some("alice"));
    let nobody = ("invalid_api_key", "UNAUTHENTICATED");
    vec![
        row("nobody", &[], "{}", 401, nobody, stranger, None),
        row("an unknown key", &[("authorization", "Bearer x")], "{}", 401, nobody, stranger, None),
        row("two callers", &[KEY, ("x-api-key", "bob-key")], "{}", 401, nobody, stranger, None),
        row("a method", &[KEY, (":method", "GET")], "", 405, ("method_not_allowed", "BAD_REQUEST"), stranger, None),
        row("no body", &[KEY], "", 400, bad, stranger, alice),
        row("spaces", &[KEY], " \n", 400, bad, stranger, alice),
        row("no JSON", &[KEY], "hello", 400, bad, stranger, alice),
        row("no object", &[KEY], "[]", 400, bad, stranger, alice),
        row("two models", &[KEY], r#"{"model":"chat","model":"chat","messages":[]}"#, 400, bad, stranger, alice),
        row("a header", &[KEY, CONTEXT], &chat(json!({})), 400, bad, stranger, alice),
        row("no messages", &[KEY], r#"{"model":"chat","prompt":"x"}"#, 400, bad, RowKind::Refusal, alice),
        row("usage_context", &[KEY], &chat(json!({"usage_context": {"a": 1}})), 400, bad, stranger, alice),
        row("a long id", &[KEY], &chat(json!({"client_request_id": "x".repeat(1_025)})), 400, bad, stranger, alice),
        row(
            "content-length",
            &[KEY, ("content-length", "4097")],
            "",
            413,
            ("request_too_large", "BAD_REQUEST"),
            stranger,
            alice,
        ),
        row("size", &[KEY], &" ".repeat(4_097), 413, ("request_too_large", "BAD_REQUEST"), stranger, alice),
    ]
}

#[test]
fn each_refusal_has_its_answer_and_its_row() {
    let rig = Rig::new(&limited());
    for Row { name, headers, body, status, codes, kind, requester } in rows() {
        for path in [OPENAI, DATABRICKS] {
            let headers = [&[(":path", path), ("x-request-id", "r-1")][..], headers].concat();
            let stream = rig.send(&headers, &body);
            let seen = stream.reply();
            assert_eq!(seen.status, status, "{name}: {}", seen.body);
            check_shape(path, &seen, codes);
            assert_eq!(seen.header("content-type"), Some("application/json"));
            assert_eq!(seen.header("allow"), (status == 405).then_some("POST"), "{name}");
            let id = seen.header("x-databricks-request-id").unwrap().to_owned();
            let calls = rig.host.calls.take();
            assert!(!calls.contains_key("set_request_header"), "{name}: refused, and rewritten all the same");
            let row = closed(stream, &[kind, RowKind::Refusal]);
            assert_eq!(
                (&row["row"]["status_code"], &row["row"]["databricks_request_id"]),
                (&json!(status), &json!(id))
            );
            assert_eq!(row["row"]["requester"].as_str(), requester, "{name}");
            assert_eq!((&row["row"]["input_token_count"], &row["row"]["output_token_count"]), (&json!(0), &json!(0)));
            assert_eq!(row["detail"]["request_id"], "r-1");
            let is_known = !row["detail"]["endpoint_name"].is_null();
            assert_eq!(is_known, !row["row"]["served_entity_id"].is_null(), "{name}");
            assert_eq!(is_known, kind == RowKind::Refusal || path == DATABRICKS && requester.is_some(), "{name}");
        }
    }
}

/// The shape that the path asks for, and nothing else.
fn check_shape(path: &str, seen: &Seen, (code, error_code): (&str, &str)) {
    let json = seen.json();
    let message = match path {
        DATABRICKS => {
            assert_eq!(json, json!({"error_code": error_code, "message": json["message"]}));
            &json["message"]
        }
        _ => {
            let error = &json["error"];
            let expected = json!({"message": error["message"], "type": error["type"], "param": null, "code": code});
            assert_eq!(json, json!({ "error": expected }));
            &error["message"]
        }
    };
    let message = message.as_str().unwrap();
    assert!(message.ends_with('.'), "{message}");
    assert!(message.len() > 15 && message.len() < 600, "{message}");
}

/// The row, of one of these kinds.
fn closed(mut stream: Stream<'_>, kinds: &[RowKind]) -> Value {
    // Envoy shows Weir its own answer.
    stream.rig.host.response_headers.take();
    stream.input(Input::ResponseHeaders { end: false });
    stream.input(Input::ResponseBody { size: 1, end: true });
    let rig = stream.rig;
    stream.input(Input::Log);
    let kind = rig.kinds();
    assert!(kind.len() == 1 && kinds.contains(&kind[0]), "{kind:?}");
    stream.row()
}

#[test]
fn unknown_and_forbidden_endpoints() {
    let rig = Rig::new(&limited());
    let by_model = |model: &str| (OPENAI.to_owned(), json!({"model": model, "messages": []}).to_string());
    let by_path = |name: &str| (format!("/serving-endpoints/{name}/invocations"), chat(json!({})));
    let (unknown, forbidden) =
        (("model_not_found", "RESOURCE_DOES_NOT_EXIST"), ("permission_denied", "PERMISSION_DENIED"));
    let long = "m".repeat(3_000);
    let rows = [
        (by_model("gpt-5"), 404, unknown, RowKind::Stranger, "gpt-5"),
        (by_model(""), 404, unknown, RowKind::Stranger, "\"\""),
        (by_model(&long), 404, unknown, RowKind::Stranger, "mmm"),
        (by_path("gpt-5"), 404, unknown, RowKind::Stranger, "gpt-5"),
        (by_model("closed"), 403, forbidden, RowKind::Refusal, "alice"),
        (by_path("closed"), 403, forbidden, RowKind::Refusal, "alice"),
    ];
    for ((path, body), status, codes, kind, says) in rows {
        let stream = rig.chat(&path, &body);
        let seen = stream.reply();
        assert_eq!(seen.status, status, "{}", seen.body);
        check_shape(if path == OPENAI { OPENAI } else { DATABRICKS }, &seen, codes);
        assert!(seen.body.contains(says) || seen.body.contains(&says.replace('"', "\\\"")), "{}", seen.body);
        let row = closed(stream, &[kind]);
        assert_eq!(row["row"]["served_entity_id"].is_null(), status == 404);
    }
    // Without `model` and without a name in the path.
    assert_eq!(rig.chat(OPENAI, r#"{"messages":[]}"#).reply().json()["error"]["code"], "invalid_request_error");
}

#[test]
fn limits_refuse_with_their_headers() {
    let rig = Rig::new(&limited());
    for remaining in ["1", "0"] {
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        stream.begin_attempt();
        let seen = stream.answered();
        assert_eq!(seen.header("x-ratelimit-limit-requests"), Some("2"));
        assert_eq!(seen.header("x-ratelimit-remaining-requests"), Some(remaining));
        assert_eq!(seen.header("x-ratelimit-limit-tokens"), Some("4"));
        drop(stream);
    }
    for path in [OPENAI, DATABRICKS] {
        let stream = rig.chat(path, &chat(json!({})));
        let seen = stream.reply();
        check_shape(path, &seen, ("rate_limit_exceeded", "REQUEST_LIMIT_EXCEEDED"));
        assert_eq!((seen.status, seen.header("x-ratelimit-remaining-requests")), (429, Some("0")));
        let retry_after: u64 = seen.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=120).contains(&retry_after), "{retry_after}");
        assert!(seen.body.contains(&format!("{retry_after} s")), "{}", seen.body);
        let row = closed(stream, &[RowKind::Refusal]);
        assert_eq!(row["detail"]["limit"], "endpoint per minute");
        assert_eq!((&row["detail"]["served_entity_name"], &row["detail"]["attempts"]), (&json!("a"), &json!([])));
    }
    assert_eq!(rig.counted(Metric::LimitsRefused), 2);
}

#[test]
fn counters_that_are_lost_or_contended_are_503() {
    let rig = Rig::new(&limited());
    rig.host.failing_stores.set(u32::MAX);
    let stream = rig.chat(OPENAI, &chat(json!({})));
    let seen = stream.reply();
    check_shape(OPENAI, &seen, ("server_error", "TEMPORARILY_UNAVAILABLE"));
    assert_eq!((seen.status, seen.header("retry-after")), (503, Some("1")));
    assert_eq!(rig.counted(Metric::LimitsContended), 1);
    let row = closed(stream, &[RowKind::Refusal]);
    assert_eq!((&row["row"]["status_code"], &row["detail"]["limit"]), (&json!(503), &Value::Null));
}

#[test]
fn health_is_anybodys_and_models_are_who_may_query_thems() {
    let rig = Rig::new(&limited());
    let get = |path: &str, key: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [(":method", "GET"), (":path", path), ("authorization", &bearer)];
        let headers = if key.is_empty() { &headers[..2] } else { &headers };
        let mut stream = rig.open(headers, true);
        let reply = stream.reply();
        stream.input(Input::Log);
        reply
    };
    assert_eq!(get("/health", "").status, 200);
    let mut policy = limited();
    policy["identity"]["anonymous"] = json!("allow");
    policy["endpoints"][1]["permissions"] = json!([{"group_name": "research", "permission_level": "CAN_QUERY"}]);
    for (key, models) in [("alice-key", &["chat"][..]), ("bob-key", &["chat"])] {
        let seen = get("/v1/models", key);
        assert_eq!(names(&seen), models);
        assert_eq!(seen.header("x-databricks-request-id").map(str::len), Some(36));
    }
    assert_eq!(rig.rows(), [] as [Value; 0], "answered by Weir, not recorded");
    assert_eq!(get("/v1/models", "").status, 401);
    let rig = Rig::new(&policy);
    for (headers, models) in [(&[][..], &["chat"][..]), (&[KEY], &["chat", "closed"])] {
        let headers = [&[(":method", "GET"), (":path", "/v1/models")], headers].concat();
        assert_eq!(names(&rig.open(&headers, true).reply()), models);
    }
}

fn names(seen: &Seen) -> Vec<String> {
    let list = seen.json();
    assert_eq!((seen.status, &list["object"]), (200, &json!("list")));
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}
