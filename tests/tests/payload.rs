//! Inference tables: what a caller sent and saw, as rows of `<prefix>_payload`.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::{ALICE, sha256};
use weir_e2e::{Addresses, Call, Endpoint, Policy, Rig, Setup};

const ARRIVAL: Duration = Duration::from_secs(15);

fn logged(at: &Addresses, sampling_fraction: f64) -> Policy {
    let table = json!({"enabled": true, "catalog_name": "main", "schema_name": "ai", "table_name_prefix": "talk",
        "sampling_fraction": sampling_fraction});
    let endpoint = Endpoint::new("chat").entity(at, "a", 100).set("/ai_gateway/inference_table_config", table);
    // Payloads of 1 MiB are the first to go where there is no room.
    Policy::new(at).endpoint(endpoint).set("/logging/max_buffered_bytes", json!(32 << 20))
}

async fn rig() -> Rig {
    Setup::new(&["a"], |at| logged(at, 1.0)).start().await
}

fn response(line: &Value) -> Value {
    serde_json::from_str(line["row"]["response"].as_str().expect("a response")).expect("JSON")
}

#[tokio::test]
async fn a_row_holds_what_was_sent_and_what_was_seen() {
    let rig = rig().await;
    let sent =
        r#"{ "model":"chat", "client_request_id":"c-1", "messages" : [{"role":"user","content":"caf\u00e9?"}] }"#;
    let answer = rig.send(Call::post("/v1/chat/completions", sent).key(ALICE)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let line = rig.collector.wait_for("payload", 1, ARRIVAL).await.remove(0);
    assert_eq!((&line["catalog"], &line["schema"], &line["prefix"]), (&json!("main"), &json!("ai"), &json!("talk")));
    let usage = rig.collector.usage(1).await.remove(0);
    let row = &line["row"];
    assert_eq!((row["request"].as_str(), row["response"].as_str()), (Some(sent), Some(&*answer.text())));
    for column in ["databricks_request_id", "client_request_id", "request_time", "served_entity_id", "requester"] {
        assert_eq!(row[column], usage["row"][column], "{column}");
    }
    assert_eq!(row["request_date"].as_str(), usage["row"]["request_time"].as_str().and_then(|time| time.get(..10)));
    assert_eq!((&row["status_code"], &row["sampling_fraction"]), (&json!(200), &json!(1.0)));
    assert_eq!(row["logging_error_codes"], json!([]));
    let all = line.to_string();
    assert!(!all.contains("secret-of") && !all.contains(ALICE), "{all}");
}

/// One answer for each stream, in the API that the caller spoke; the provider speaks chat completions alone.
#[tokio::test]
async fn a_stream_is_one_answer_of_the_callers_api() {
    let rig = rig().await;
    let more = json!({"stream": true, "max_tokens": 50});
    let streamed = rig.stream(Call::chat(ALICE, &chat("chat", more.clone()))).await;
    let said = streamed.content();
    assert!(said.len() > 50 && streamed.events().len() > 5, "{said}");
    let messages = rig.stream(Call::post("/v1/messages", chat("chat", more).to_string()).key(ALICE)).await;
    assert!(messages.text().contains("message_stop"), "{}", messages.text());
    let input = json!({"model": "chat", "input": "How deep?", "stream": true});
    let responses = rig.stream(Call::post("/v1/responses", input.to_string()).key(ALICE)).await;
    assert!(responses.text().contains("response.completed"), "{}", responses.text());
    let lines = rig.collector.wait_for("payload", 3, ARRIVAL).await;
    let of = |key: &str| {
        let found = lines.iter().map(response).find(|response| response.get(key).is_some());
        found.unwrap_or_else(|| panic!("no answer with `{key}` in {lines:#?}"))
    };
    let completion = of("choices");
    assert_eq!(
        (&completion["object"], &completion["choices"][0]["finish_reason"]),
        (&json!("chat.completion"), &json!("stop"))
    );
    assert_eq!(completion["choices"][0]["message"]["content"], said);
    let message = of("content");
    assert_eq!((&message["type"], &message["content"][0]["text"]), (&json!("message"), &json!(said)));
    assert_eq!(message["stop_reason"], "end_turn");
    let response = of("output");
    assert_eq!((&response["object"], &response["status"]), (&json!("response"), &json!("completed")));
    assert_eq!(response.pointer("/output/0/content/0/text"), Some(&json!(said)));
}

#[tokio::test]
async fn a_body_over_1_mib_is_left_out() {
    let mut rig = rig().await;
    let long = "x".repeat(1 << 20);
    assert_eq!(rig.send(Call::chat(ALICE, &chat("chat", json!({"pad": long})))).await.status, 200);
    for stream in [false, true] {
        let order = json!({"mock": {"a": {"content": long}}, "stream": stream});
        // The order itself is as long as the answer.
        let streamed = rig.stream(Call::chat(ALICE, &chat("chat", order))).await;
        assert!(streamed.text().len() > 1 << 20);
    }
    assert_eq!(rig.send(Call::chat(ALICE, &chat("chat", json!({"pad": long.split_at(1 << 19).0})))).await.status, 200);
    let lines = rig.collector.wait_for("payload", 4, ARRIVAL).await;
    let codes = |line: &Value| line["row"]["logging_error_codes"].as_array().expect("a list").len();
    let mut found: Vec<usize> = lines.iter().map(codes).collect();
    found.sort_unstable();
    assert_eq!(found, [0, 1, 2, 2]);
    for line in &lines {
        let row = &line["row"];
        let codes = row["logging_error_codes"].to_string();
        assert_eq!(row["request"].is_null(), codes.contains("MAX_REQUEST_SIZE_EXCEEDED"));
        assert_eq!(row["response"].is_null(), codes.contains("MAX_RESPONSE_SIZE_EXCEEDED"));
    }
    rig.collector.usage(4).await;
    rig.assert_healthy().await;
}

/// Which requests are logged follows from their ids, so that all gateways agree: SHA-256, the first 64 bits as a fraction.
#[tokio::test]
async fn sampling_is_by_the_requests_id() {
    let rig = Setup::new(&["a"], |at| logged(at, 0.5)).start().await;
    let tally = rig.load(60, 4, |_| Call::chat(ALICE, &chat("chat", json!({})))).await;
    assert_eq!(tally.count(200), 60);
    rig.collector.usage(60).await;
    let is_taken = |id: &&str| u8::from_str_radix(&sha256(id.as_bytes())[..2], 16).expect("hex") < 0x80;
    let ids = tally.answers.iter().filter_map(|answer| answer.header("x-databricks-request-id"));
    let mut expected: Vec<&str> = ids.filter(is_taken).collect();
    expected.sort_unstable();
    let lines = rig.collector.wait_for("payload", expected.len(), ARRIVAL).await;
    let mut found: Vec<&str> = lines.iter().filter_map(|line| line["row"]["databricks_request_id"].as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert!(lines.iter().all(|line| line["row"]["sampling_fraction"] == 0.5));
}

/// What went to no model costs its sender nothing, and fills no table.
#[tokio::test]
async fn a_refused_request_is_not_logged() {
    let policy = |at: &Addresses| {
        let mut policy = logged(at, 1.0);
        policy.0["endpoints"][0]["ai_gateway"]["rate_limits"] = json!([{"calls": 1, "renewal_period": "hour"}]);
        policy
    };
    let rig = Setup::new(&["a"], policy).start().await;
    for status in [200, 429, 429] {
        assert_eq!(rig.send(Call::chat(ALICE, &chat("chat", json!({})))).await.status, status);
    }
    rig.collector.usage(3).await;
    assert_eq!(rig.collector.lines("payload").len(), 1);
}
