//! Records as OpenTelemetry's: every attribute of a request, and where a payload goes.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Map, Value, json};

use super::drive::*;
use crate::{host::Input, record};

fn otlp() -> Value {
    let mut policy = policy();
    policy["logging"] = json!({"url": "http://127.0.0.1:4318/v1/logs", "format": "otlp"});
    policy["endpoints"][0]["config"]["served_entities"][0]["price"] =
        json!({"input_per_million_usd": 2.0, "output_per_million_usd": 10.0});
    policy["endpoints"][0]["ai_gateway"]["inference_table_config"] =
        json!({"enabled": true, "catalog_name": "main", "schema_name": "ai"});
    policy
}

/// An `AnyValue`, as a reader of OTLP gets it.
fn any(value: &Value) -> Value {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "intValue" => json!(value.as_str().unwrap().parse::<i64>().unwrap()),
        "arrayValue" => value["values"].as_array().unwrap().iter().map(any).collect(),
        "kvlistValue" => Value::Object(pairs(&value["values"])),
        "stringValue" | "doubleValue" | "boolValue" => value.clone(),
        kind => panic!("{kind}"),
    }
}

fn pairs(list: &Value) -> Map<String, Value> {
    let list = list.as_array().unwrap();
    let map: Map<_, _> = list.iter().map(|pair| (pair["key"].as_str().unwrap().into(), any(&pair["value"]))).collect();
    assert_eq!(map.len(), list.len(), "each key once: {list:?}");
    map
}

#[test]
fn a_request_is_a_log_record() {
    let rig = Rig::new(&otlp());
    let headers = [
        ("authorization", "Bearer alice-key"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("x-request-id", "r-1"),
    ];
    let sent = chat(json!({"stream": true, "client_request_id": "c-1", "usage_context": {"team": "a"}}));
    let mut stream = rig.send(&headers, &sent);
    rig.wait_ms(100);
    let usage = r#"{"prompt_tokens":1000000,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":9}}"#;
    let event = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"hé\"}},\"finish_reason\":\"stop\"}}],\"usage\":{usage}}}\n\n"
    );
    stream.answer(&[(":status", "200"), ("content-type", "text/event-stream")], &[&event, "data: [DONE]\n\n"]);
    stream.input(Input::Log);
    let told = rig.host.rows.borrow().iter().map(|row| crate::export::may_be_told(&row.line)).collect::<Vec<_>>();
    assert_eq!(told, [true, false], "no payload in a log");
    let rows = rig.rows();
    let [record, payload] = rows.as_slice() else { panic!("{rows:?}") };
    let entity = &rig.gateway.config.endpoints[0].entities[0];
    assert_eq!(record["eventName"], "gen_ai.client.inference.operation.details");
    assert_eq!(record["timeUnixNano"], START.to_string());
    assert_eq!(
        (&record["severityNumber"], &record["traceId"]),
        (&json!(9), &json!("0af7651916cd43dd8448eb211c80319c"))
    );
    let found = pairs(&record["attributes"]);
    let expected = json!({
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "a-model",
        "gen_ai.request.stream": true, "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": 0.1, "gen_ai.usage.input_tokens": 1_000_000,
        "gen_ai.usage.output_tokens": 5, "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 9, "user.name": "alice", "http.response.status_code": 200,
        "weir.account_id": "acme", "weir.workspace_id": "prod", "weir.client_request_id": "c-1",
        "weir.databricks_request_id": found["weir.databricks_request_id"],
        "weir.request_time": "2026-11-21T23:17:57.500000Z", "weir.input_character_count": 5,
        "weir.output_character_count": 2, "weir.usage_context": {"team": "a"}, "weir.served_entity_id": entity.id,
        "weir.endpoint_name": "chat", "weir.served_entity_name": "a", "weir.api": OPENAI, "weir.groups": ["research"],
        "weir.attempts": [{"served_entity_name": "a", "status_code": 200, "latency_ms": 100}], "weir.latency_ms": 100,
        "weir.time_to_first_byte_ms": 100, "weir.token_source": "reported", "weir.cost_usd": 2.00005,
        "weir.complete": true, "weir.trace_id": "0af7651916cd43dd8448eb211c80319c", "weir.request_id": "r-1",
        "weir.gateway": "node-1", "weir.config_hash": rig.gateway.config.hash,
    });
    assert_eq!(Value::Object(found), expected);
    assert_eq!(payload["eventName"], "weir.payload");
    let found = pairs(&payload["attributes"]);
    assert_eq!((&found["weir.request"], &found["weir.prefix"]), (&json!(sent), &json!("chat")));
    assert!(found["weir.response"].as_str().unwrap().contains("hé"));
    // The access log's object stays what it is.
    let logged = rig.host.properties.borrow().get("weir.usage").cloned().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&logged).unwrap()["table"], "endpoint_usage");
}

#[test]
fn refusals_entities_and_counts() {
    let rig = Rig::new(&otlp());
    let mut stranger = rig.send(&[], "{}");
    stranger.input(Input::Log);
    let found = pairs(&rig.rows()[0]["attributes"]);
    assert_eq!((&found["error.type"], &found["http.response.status_code"]), (&json!("401"), &json!(401)));
    assert!(!found.contains_key("gen_ai.operation.name") && !found.contains_key("weir.served_entity_id"));
    let entities: Vec<_> = record::entity_rows(&rig.gateway.config, START).collect();
    assert_eq!(entities.len(), 3);
    let entity: Value = serde_json::from_slice(&entities[0].line).unwrap();
    assert_eq!(entity["eventName"], "weir.served_entity");
    let found = pairs(&entity["attributes"]);
    assert_eq!(found["weir.external_model_config"], json!({"provider": "openai"}));
    assert_eq!(
        (&found["weir.endpoint_name"], &found["weir.config_hash"]),
        (&json!("chat"), &json!(rig.gateway.config.hash))
    );
    let counts = std::collections::BTreeMap::from([(401, 7)]);
    let row = record::counts_row(&rig.gateway.config, "node-1", "id-1", START, &counts);
    let row: Value = serde_json::from_slice(&row.line).unwrap();
    assert_eq!(row["eventName"], "weir.refusals");
    assert_eq!(pairs(&row["attributes"])["weir.counts"], json!({"401": 7}));
}
