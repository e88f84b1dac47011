//! The record: every column and every detail, whatever way an exchange takes.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::drive::*;
use crate::{export::RowKind, host::Input, record};

/// DATABRICKS.md, `system.serving.endpoint_usage`.
const COLUMNS: &str = "account_id workspace_id client_request_id databricks_request_id requester status_code request_time \
    input_token_count output_token_count input_character_count output_character_count usage_context request_streaming \
    served_entity_id";
/// DESIGN.md, section 6.
const DETAIL: &str = "endpoint_name served_entity_name api groups attempts latency_ms time_to_first_byte_ms token_source \
    cached_input_tokens cache_write_input_tokens reasoning_tokens cost_usd limit would_limit guardrail finish_reason \
    complete trace_id request_id gateway config_hash";
const ENTITY_COLUMNS: &str = "served_entity_id account_id workspace_id created_by endpoint_name endpoint_id \
    served_entity_name entity_type entity_name entity_version endpoint_config_version task external_model_config \
    foundation_model_config custom_model_config feature_spec_config change_time endpoint_delete_time";

fn check_keys(object: &Value, expected: &str, name: &str) {
    let mut keys: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected: Vec<_> = expected.split_whitespace().collect();
    keys.sort_unstable();
    expected.sort_unstable();
    assert_eq!(keys, expected, "{name}");
}

#[test]
fn every_key_is_there_on_every_way_out() {
    type Way = fn(&Rig) -> Stream<'_>;
    let ways: [(&str, Way, u64); 9] = [
        (
            "answered",
            |rig| {
                let mut stream = rig.chat(OPENAI, &chat(json!({})));
                stream.answered();
                stream
            },
            200,
        ),
        ("nobody", |rig| rig.send(&[], "{}"), 401),
        ("unknown", |rig| rig.chat(OPENAI, r#"{"model":"x"}"#), 404),
        ("no prompt", |rig| rig.chat(OPENAI, r#"{"model":"chat"}"#), 400),
        ("gone at the body", |rig| rig.open(&[("authorization", "Bearer alice-key")], false), 499),
        ("gone at the answer", |rig| rig.chat(OPENAI, &chat(json!({}))), 499),
        (
            "gone in the answer",
            |rig| {
                let mut stream = rig.chat(OPENAI, &chat(json!({"stream": true})));
                stream.answer_headers(&[(":status", "200"), ("content-type", "text/event-stream")], false);
                stream
            },
            200,
        ),
        (
            "Envoy at the body",
            |rig| {
                let mut stream = rig.open(&[("authorization", "Bearer alice-key")], false);
                stream.answer_headers(&[(":status", "408")], true);
                assert_eq!(stream.seen(String::new()).header("x-databricks-request-id").map(str::len), Some(36));
                stream
            },
            408,
        ),
        (
            "Envoy at the answer",
            |rig| {
                let mut stream = rig.chat(DATABRICKS, &chat(json!({})));
                stream.envoy_answers("503", "no_healthy_upstream");
                stream
            },
            502,
        ),
    ];
    let rig = Rig::new(&policy());
    for (name, way, status) in ways {
        let row = way(&rig).row();
        check_keys(&row, "table schema_version row detail", name);
        check_keys(&row["row"], COLUMNS, name);
        check_keys(&row["detail"], DETAIL, name);
        assert_eq!((&row["table"], &row["schema_version"]), (&json!("endpoint_usage"), &json!(1)));
        assert_eq!(row["row"]["status_code"], status, "{name}");
        assert_eq!(row["detail"]["complete"].as_bool(), Some(!name.starts_with("gone")), "{name}");
    }
}

#[test]
fn a_row_says_what_it_knows() {
    let mut policy = policy();
    policy["endpoints"][0]["config"]["served_entities"][0]["price"] =
        json!({"input_per_million_usd": 2.0, "cached_input_per_million_usd": 1.0, "output_per_million_usd": 10.0});
    let rig = Rig::new(&policy);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [
        ("authorization", "Bearer alice-key"),
        ("traceparent", trace),
        ("x-request-id", "r-1"),
        ("x-weir-usage-context", r#"{"team":"header"}"#),
    ];
    let more = json!({"client_request_id": "c-1", "stream": true});
    let mut stream = rig.send(&headers, &chat(more.clone()));
    rig.wait_ms(100);
    let usage = r#"{"prompt_tokens":1000000,"completion_tokens":100000,"prompt_tokens_details":{"cached_tokens":500000},"completion_tokens_details":{"reasoning_tokens":9}}"#;
    let event = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"hé\"}},\"finish_reason\":\"length\"}}],\"usage\":{usage}}}\n\n"
    );
    stream.answer(&[(":status", "200"), ("content-type", "text/event-stream")], &[&event, "data: [DONE]\n\n"]);
    rig.wait_ms(900);
    let row = stream.row();
    let entity = &rig.gateway.config.endpoints[0].entities[0];
    let expected = json!({
        "account_id": "acme", "workspace_id": "prod", "client_request_id": "c-1",
        "databricks_request_id": row["row"]["databricks_request_id"], "requester": "alice", "status_code": 200,
        "request_time": "2026-11-21T23:17:57.500000Z", "input_token_count": 1_000_000, "output_token_count": 100_000,
        "input_character_count": 5, "output_character_count": 2, "usage_context": {"team": "header"},
        "request_streaming": true, "served_entity_id": entity.id,
    });
    assert_eq!(row["row"], expected);
    let expected = json!({
        "endpoint_name": "chat", "served_entity_name": "a", "api": OPENAI, "groups": ["research"],
        "attempts": [{"served_entity_name": "a", "status_code": 200, "error": null, "latency_ms": 100}],
        "latency_ms": 1_000, "time_to_first_byte_ms": 100, "token_source": "reported", "cached_input_tokens": 500_000,
        "cache_write_input_tokens": null, "reasoning_tokens": 9, "cost_usd": 2.5, "limit": null, "would_limit": null,
        "guardrail": null, "finish_reason": "length", "complete": true, "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "request_id": "r-1", "gateway": "node-1", "config_hash": rig.gateway.config.hash,
    });
    assert_eq!(row["detail"], expected);
    // The native access log has the same.
    let logged = rig.host.properties.borrow().get("weir.usage").cloned().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&logged).unwrap(), row);
}

/// (header, body, what is recorded)
#[test]
fn a_bodys_usage_context_goes_before_a_headers() {
    let rig = Rig::new(&policy());
    let header = r#"{"team":"header"}"#;
    let rows = [
        ("", json!({"usage_context": {"team": "body"}}), json!({"team": "body"})),
        (header, json!({}), json!({"team": "header"})),
        (header, json!({"usage_context": {"team": "body", "x": "y"}}), json!({"team": "body", "x": "y"})),
        (header, json!({"usage_context": null}), json!({"team": "header"})),
        ("{}", json!({}), Value::Null),
    ];
    for (header, more, expected) in rows {
        let headers = [("authorization", "Bearer alice-key"), ("x-weir-usage-context", header)];
        let headers = if header.is_empty() { &headers[..1] } else { &headers };
        let mut stream = rig.send(headers, &chat(more));
        assert!(!stream.begin_attempt().1.body.contains("usage_context"));
        stream.answered();
        assert_eq!(stream.row()["row"]["usage_context"], expected);
    }
}

#[test]
fn no_secret_and_no_words_are_recorded() {
    let rig = Rig::new(&policy());
    let prompt = json!({"messages": [{"role": "user", "content": "my prompt"}]});
    let ends: [fn(&mut Stream<'_>); 4] = [
        |stream| drop(stream.answered()),
        |stream| drop(stream.answer(&[(":status", "400")], &["my prompt is bad"])),
        |stream| drop(stream.answer(&[(":status", "401")], &["secret-a is bad"])),
        |_| {},
    ];
    for end in ends {
        let mut stream = rig.chat(DATABRICKS, &chat(prompt.clone()));
        end(&mut stream);
        let row = stream.row().to_string();
        for word in ["my prompt", "secret-", "alice-key", "hi\"", "a-model", "a.example.com"] {
            assert!(!row.contains(word), "{word} in {row}");
        }
    }
}

#[test]
fn who_is_not_tracked_is_not_recorded() {
    let mut policy = policy();
    policy["endpoints"][0]["ai_gateway"]["usage_tracking_config"]["enabled"] = json!(false);
    for has_collector in [true, false] {
        if !has_collector {
            policy.as_object_mut().unwrap().remove("logging");
        }
        let rig = Rig::new(&policy);
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        stream.answered();
        stream.input(Input::Log);
        assert_eq!(rig.kinds(), []);
        let mut stranger = rig.send(&[], "{}");
        stranger.input(Input::Log);
        assert_eq!(rig.kinds(), if has_collector { &[RowKind::Stranger][..] } else { &[] });
    }
}

#[test]
fn served_entities_have_every_column() {
    let gateway = compiled(&policy());
    let rows: Vec<Value> =
        record::entity_rows(&gateway.config, START).map(|row| serde_json::from_slice(&row.line).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    for (row, name) in rows.iter().zip(["a", "b", "c"]) {
        check_keys(row, "table schema_version config_hash row", name);
        check_keys(&row["row"], ENTITY_COLUMNS, name);
        assert_eq!((&row["table"], &row["config_hash"]), (&json!("served_entities"), &json!(gateway.config.hash)));
        assert_eq!((&row["row"]["served_entity_name"], &row["row"]["endpoint_name"]), (&json!(name), &json!("chat")));
        assert_eq!(row["row"]["external_model_config"], json!({"provider": "openai"}));
        assert!(!row.to_string().contains("secret-"));
    }
}
