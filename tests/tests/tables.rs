//! What Weir writes, read by readers that are not ours: DuckDB, Polars and the deltalake package; and the page in a real browser.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::{ALICE, BOB, secret};
use weir_e2e::tables::{files_with, without};
use weir_e2e::{Addresses, Call, Endpoint, Policy, Setup, scripts};

/// `system.serving.endpoint_usage`, as Databricks documents it.
const USAGE: [(&str, &str); 14] = [
    ("account_id", "string"),
    ("workspace_id", "string"),
    ("client_request_id", "string"),
    ("databricks_request_id", "string"),
    ("requester", "string"),
    ("status_code", "integer"),
    ("request_time", "timestamp"),
    ("input_token_count", "long"),
    ("output_token_count", "long"),
    ("input_character_count", "long"),
    ("output_character_count", "long"),
    ("usage_context", "map<string,string>"),
    ("request_streaming", "boolean"),
    ("served_entity_id", "string"),
];

/// `system.serving.served_entities`.
const ENTITIES: [(&str, &str); 18] = [
    ("served_entity_id", "string"),
    ("account_id", "string"),
    ("workspace_id", "string"),
    ("created_by", "string"),
    ("endpoint_name", "string"),
    ("endpoint_id", "string"),
    ("served_entity_name", "string"),
    ("entity_type", "string"),
    ("entity_name", "string"),
    ("entity_version", "string"),
    ("endpoint_config_version", "integer"),
    ("task", "string"),
    ("external_model_config", "struct<provider:string>"),
    ("foundation_model_config", "struct<min_provisioned_throughput:long,max_provisioned_throughput:long>"),
    ("custom_model_config", "struct<min_concurrency:long,max_concurrency:long,compute_type:string>"),
    ("feature_spec_config", "struct<min_concurrency:long,max_concurrency:long,compute_type:string>"),
    ("change_time", "timestamp"),
    ("endpoint_delete_time", "timestamp"),
];

fn policy(at: &Addresses) -> Policy {
    let limit = json!({"key": "user", "principal": "bob@example.com", "calls": 0});
    Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100).limit(limit))
}

fn call(key: &str) -> Call {
    Call::chat(key, &chat("chat", json!({"usage_context": {"team": "weir"}})))
}

fn columns(found: &Value) -> Vec<(&str, &str)> {
    let columns = found["deltalake"]["columns"].as_object().expect("columns");
    columns.iter().map(|(name, kind)| (name.as_str(), kind.as_str().unwrap_or_default())).collect()
}

fn sorted<const N: usize>(mut columns: [(&'static str, &'static str); N]) -> Vec<(&'static str, &'static str)> {
    columns.sort_unstable();
    columns.to_vec()
}

#[tokio::test]
async fn other_readers_find_names_types_and_the_join() {
    let rig = Setup::new(&["a"], policy).tables().start().await;
    for (key, status) in [(ALICE, 200), (ALICE, 200), (BOB, 429), ("nobody", 401)] {
        assert_eq!(rig.send(call(key)).await.status, status);
    }
    rig.envoy.wait_for_stat("weir.records_queued", 0, Duration::from_secs(5)).await;
    rig.collector.settled().await;
    let credentials = [ALICE, BOB, &secret("a")];
    let found = scripts::tables(&rig.collector.folder, rig.folder(), &without(&credentials)).await;
    assert_eq!(columns(&found["endpoint_usage"]), sorted(USAGE));
    assert_eq!(columns(&found["served_entities"]), sorted(ENTITIES));
    for reader in ["deltalake", "duckdb", "polars"] {
        let rows =
            ["endpoint_usage", "endpoint_usage_detail", "served_entities"].map(|name| &found[name][reader]["rows"]);
        assert_eq!(rows, [4, 4, 1], "{reader}");
    }
    assert_eq!(found["endpoint_usage"]["duckdb"]["columns"]["request_time"], "TIMESTAMP WITH TIME ZONE");
    // The stranger has no entity. Alice and Bob have: 2 answers, and a refusal without tokens.
    let endpoints = &found["join"]["endpoints"];
    assert_eq!((&endpoints[0][0], &endpoints[0][1]), (&json!("chat"), &json!("3")), "{endpoints}");
    assert_eq!(found["join"]["requests"], json!([4, 4, 4]));
    assert_eq!(found["rows_with_a_credential"], 0);
    for credential in credentials {
        assert_eq!(files_with(&rig.collector.folder, credential.as_bytes()), [""; 0]);
    }
}

#[tokio::test]
async fn the_page_shows_in_a_browser_who_is_refused_and_why() {
    let rig = Setup::new(&["a"], policy).tables().start().await;
    for key in [ALICE, BOB, BOB] {
        rig.send(call(key)).await;
    }
    rig.envoy.wait_for_stat("weir.records_queued", 0, Duration::from_secs(5)).await;
    rig.collector.settled().await;
    let page = scripts::page(&format!("http://127.0.0.1:{}/", rig.collector.port), rig.folder()).await;
    let refusals = page.split_once(r#"id="refusals""#).and_then(|(_, rest)| rest.split_once("</article>"));
    let refusals = refusals.map(|(table, _)| table).unwrap_or_else(|| panic!("no refusals in\n{page}"));
    assert!(refusals.contains("bob@example.com") && refusals.contains("per minute"), "{refusals}");
    assert!(!refusals.contains("alice@example.com"), "{refusals}");
    for part in ["<b>3</b><span>requests</span>", "<b>2</b><span>refused</span>", "a 200 (", r#"class="chart""#] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
}

#[tokio::test]
async fn the_page_can_be_read_by_day_and_by_night() {
    let rig = Setup::new(&["a"], policy).tables().start().await;
    let collector = format!("http://127.0.0.1:{}", rig.collector.port);
    let probe = include_str!("../tables/colours.html").replace("COLLECTOR", &collector);
    let file = rig.folder().join("colours.html");
    std::fs::write(&file, probe).unwrap();
    for (option, is_dark) in [(None, false), (Some("--force-dark-mode"), true)] {
        let page = scripts::page_with(option, &format!("file://{}", file.display()), rig.folder()).await;
        let found = page.rsplit_once("[[").and_then(|(_, rest)| rest.split_once("]]")).map(|(found, _)| found);
        let found: Value = serde_json::from_str(found.unwrap_or_else(|| panic!("no colours in\n{page}"))).unwrap();
        assert_eq!(found["is_dark"], is_dark, "{found}");
        assert!(found["least"].as_f64().unwrap() >= 4.5, "a text that is hard to read: {found}");
    }
}
