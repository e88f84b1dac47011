//! What one request leaves in the collector: every column, real usage, a count, or an estimate that says so, and the gateway's own fields.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::{ALICE, BATCH};
use weir_e2e::{Addresses, Call, Endpoint, Policy, Rig, Setup};

const COLUMNS: [&str; 14] = [
    "account_id",
    "workspace_id",
    "client_request_id",
    "databricks_request_id",
    "requester",
    "status_code",
    "request_time",
    "input_token_count",
    "output_token_count",
    "input_character_count",
    "output_character_count",
    "usage_context",
    "request_streaming",
    "served_entity_id",
];

async fn rig() -> Rig {
    let policy = |at: &Addresses| Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100));
    Setup::new(&["a"], policy).start().await
}

#[tokio::test]
async fn a_record_has_every_column() {
    let rig = rig().await;
    let own = json!({"client_request_id": "order-7", "usage_context": {"project": "weir", "cost_center": "42"}});
    let mut body = chat("chat", own);
    body["mock"] = json!({"a": {"usage": {"prompt_tokens": 6, "completion_tokens": 11, "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 3}}}});
    let answer = rig.send(Call::chat(ALICE, &body)).await;
    assert_eq!((answer.status, answer.header("served-model-name")), (200, Some("a")));

    let line = rig.collector.usage(1).await.remove(0);
    let row = &line["row"];
    let columns: BTreeSet<_> = row.as_object().expect("a row").keys().map(String::as_str).collect();
    assert_eq!(columns, BTreeSet::from(COLUMNS));
    let expected = json!({
        "account_id": "acme", "workspace_id": "e2e", "client_request_id": "order-7", "requester": "alice@example.com",
        "status_code": 200, "input_token_count": 6, "output_token_count": 11, "request_streaming": false,
        "input_character_count": "How deep is the weir today?".len(), "output_character_count": answer.content().chars().count(),
        "usage_context": {"project": "weir", "cost_center": "42"},
    });
    for (column, value) in expected.as_object().expect("columns") {
        assert_eq!(&row[column], value, "{column}");
    }
    assert_eq!(row["databricks_request_id"].as_str(), answer.header("x-databricks-request-id"));
    assert!(is_uuid(&row["databricks_request_id"]) && is_uuid(&row["served_entity_id"]), "{row}");
    // RFC 3339 UTC with microseconds: 2026-01-02T03:04:05.678901Z.
    assert!(row["request_time"].as_str().is_some_and(|time| time.len() == 27 && time.ends_with('Z')), "{row}");

    let detail = &line["detail"];
    let expected = json!({
        "endpoint_name": "chat", "served_entity_name": "a", "token_source": "reported", "cached_input_tokens": 4,
        "reasoning_tokens": 3, "finish_reason": "stop", "complete": true, "groups": ["research"], "limit": null,
    });
    for (field, value) in expected.as_object().expect("fields") {
        assert_eq!(&detail[field], value, "{field}");
    }
    assert!(detail["latency_ms"].as_f64() >= detail["time_to_first_byte_ms"].as_f64(), "{detail}");
}

fn is_uuid(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12]))
}

#[tokio::test]
async fn the_gateways_own_fields_stay_here_and_all_else_goes_on_as_it_is() {
    let rig = rig().await;
    // Odd spacing, an escaped text, a number that no double holds, a field nobody knows: all of it must arrive as it stands.
    let sent = r#"{ "client_request_id":"c-1", "messages" : [{"role":"user","content":"caf\u00e9 \ud83c\udf0a"}],
        "model" : "chat" ,"seed":123456789012345678901234567890,"usage_context":{"a":"b"}, "new_field":[1.0,2.50e3] }"#;
    let answer = rig.send(Call::post("/v1/chat/completions", sent).key(ALICE)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = rig.mock("a").last().await;
    for kept in [
        r#""messages" : [{"role":"user","content":"caf\u00e9 \ud83c\udf0a"}]"#,
        r#""seed":123456789012345678901234567890"#,
        r#""new_field":[1.0,2.50e3]"#,
        r#""a-model""#,
    ] {
        assert!(received.body().contains(kept), "{kept} is not in {}", received.body());
    }
    let fields = received.json();
    assert_eq!(fields["model"], "a-model");
    assert!(fields.get("client_request_id").is_none() && fields.get("usage_context").is_none(), "{fields}");
    assert_eq!(received.header("content-length"), [received.body().len().to_string()]);
}

/// The prompt is 8 tokens of o200k_base, `user` 1, and 6 stand around them; the answer is 14 tokens.
#[tokio::test]
async fn without_reported_usage_it_is_counted() {
    let rig = rig().await;
    let said = json!({"a": {"no_usage": true, "content": "The weir is two metres deep, and the stream is calm."}});
    rig.send(Call::chat(ALICE, &chat("chat", json!({"mock": said})))).await;
    rig.stream(Call::chat(ALICE, &chat("chat", json!({"mock": said, "stream": true})))).await;
    for line in rig.collector.usage(2).await {
        let row = &line["row"];
        assert_eq!(line["detail"]["token_source"], "counted");
        assert_eq!((&row["input_token_count"], &row["output_token_count"]), (&json!(15), &json!(14)), "{line}");
    }
}

/// What a provider reports of a tokenizer that Weir does not have teaches how its tokens compare: twice as many here.
#[tokio::test]
async fn another_tokenizers_ratio_is_learnt() {
    let policy = |at: &Addresses| {
        let endpoint =
            Endpoint::new("chat").entity(at, "a", 100).set("/config/served_entities/0/tokenizer", json!("ratio"));
        Policy::new(at).endpoint(endpoint)
    };
    let rig = Setup::new(&["a"], policy).start().await;
    let long = json!([{"role": "user", "content": "How deep is the weir today? ".repeat(20)}]);
    let unreported = json!({"messages": long, "mock": {"a": {"no_usage": true, "content": "Two metres."}}});
    rig.send(Call::chat(ALICE, &chat("chat", unreported.clone()))).await;
    let before = rig.collector.usage(1).await.remove(0);
    assert_eq!(before["detail"]["token_source"], "estimated");
    let counted = before["row"]["input_token_count"].as_u64().expect("a count");

    let usage = json!({"prompt_tokens": 2 * counted, "completion_tokens": 3, "total_tokens": 2 * counted + 3});
    let reported = json!({"messages": long, "mock": {"a": {"usage": usage}}});
    // One request of 32 is learnt from, by chance: that none of 500 is has a probability of 1 in 8 million.
    rig.load(500, 8, |_| Call::chat(ALICE, &chat("chat", reported.clone()))).await;
    let lines = rig.collector.usage(501).await;
    assert_eq!(lines.iter().filter(|line| line["detail"]["token_source"] == "reported").count(), 500);
    rig.send(Call::chat(ALICE, &chat("chat", unreported))).await;
    let lines = rig.collector.usage(502).await;
    let after = lines.iter().filter(|line| line["detail"]["token_source"] == "estimated").map(|line| &line["row"]);
    let inputs: Vec<_> = after.map(|row| row["input_token_count"].as_u64().expect("a count")).collect();
    assert!(inputs.contains(&counted) && inputs.contains(&(2 * counted)), "{inputs:?}");
}

#[tokio::test]
async fn a_service_principal_is_the_requester() {
    let rig = rig().await;
    rig.send(Call::chat(BATCH, &chat("chat", json!({})))).await;
    assert_eq!(rig.collector.usage(1).await[0]["row"]["requester"], "batch-job");
}

#[tokio::test]
async fn the_databricks_path_takes_the_endpoint_from_the_path() {
    let rig = rig().await;
    for body in [chat("chat", json!({})), json!({"messages": [{"role": "user", "content": "Hi"}]})] {
        let answer = rig.send(Call::post("/serving-endpoints/chat/invocations", body.to_string()).key(ALICE)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(rig.mock("a").last().await.json()["model"], "a-model");
        assert_eq!(rig.mock("a").last().await.path(), "/v1/chat/completions");
    }
    let answer = rig
        .send(Call::post("/serving-endpoints/chat/completions", chat("chat", json!({})).to_string()).key(ALICE))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    rig.collector.usage(3).await;
}

/// Where a collector has the record, a line names it; where none has, the line holds it.
#[tokio::test]
async fn the_access_log_names_the_record_or_holds_it() {
    let marker = "for-the-access-log";
    let with_collector = |at: &Addresses| Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100));
    let without = |at: &Addresses| {
        let mut policy = with_collector(at);
        policy.0.as_object_mut().expect("an object").remove("logging");
        policy
    };
    for (setup, holds_it) in [(Setup::new(&["a"], with_collector), false), (Setup::new(&["a"], without), true)] {
        let rig = setup.start().await;
        let answer = rig.send(Call::chat(ALICE, &chat("chat", json!({"usage_context": {"marker": marker}})))).await;
        let id = answer.header("x-databricks-request-id").expect("an id").to_owned();
        // Envoy flushes its access logs every 10 s, unless the bootstrap says otherwise.
        let logged = weir_e2e::process::poll(std::time::Duration::from_secs(12), async || {
            rig.envoy.log().contains(&id).then_some(())
        });
        assert!(logged.await.is_some(), "the record's id stands nowhere in Envoy's log");
        assert_eq!(rig.envoy.log().contains(marker), holds_it);
    }
}

#[tokio::test]
async fn the_gateway_is_envoys_node_id() {
    let policy = |at: &Addresses| Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100));
    let rows = [
        (Setup::new(&["a"], policy), "weir"),
        (Setup::new(&["a"], policy).argument("--service-node").argument("gw-7"), "gw-7"),
    ];
    for (setup, id) in rows {
        let rig = setup.start().await;
        assert_eq!(rig.send(Call::chat(ALICE, &chat("chat", json!({})))).await.status, 200);
        assert_eq!(rig.collector.usage(1).await[0]["detail"]["gateway"], id);
    }
}
