#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::*;
use crate::exchange::tests::drive::{Rig, policy};

/// Two workers of one Envoy: one host.
fn workers() -> (Rig, Exporter, Exporter) {
    let mut policy = policy();
    policy["logging"] =
        json!({"url": "https://logs.example.com:8443/v1/records", "token": "{{env/KEY_T}}", "flush_interval_ms": 1000});
    let rig = Rig::new(&policy);
    let exporter = || Exporter::new(rig.gateway.clone()).unwrap();
    let (first, second) = (exporter(), exporter());
    (rig, first, second)
}

fn tables(post: &Post) -> Vec<(String, Value)> {
    let is_gzip = post.headers.contains(&("content-encoding", "gzip".to_owned()));
    let batch = Batch { body: post.body.clone(), is_gzip, rows: 0 }.unpacked();
    let text = std::str::from_utf8(&batch.body).unwrap();
    assert!(text.ends_with('\n'));
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (line["table"].as_str().unwrap().to_owned(), line)).collect()
}

fn answer(status: Option<u16>) -> Answer {
    Answer { status, ..Answer::default() }
}

fn row(status: u16) -> Row {
    Row { kind: RowKind::Stranger, status, line: b"{\"table\":\"endpoint_usage\"}".to_vec() }
}

#[test]
fn one_worker_sends_the_entities_until_they_are_taken() {
    let (rig, mut first, mut second) = workers();
    let host = &rig.host;
    assert_eq!(first.tick(host), None, "not due yet");
    assert_eq!(second.tick(host), None);
    rig.wait_ms(1_000);
    assert_eq!(second.tick(host), None, "the first one is at it");
    let post = first.tick(host).unwrap();
    assert!(tables(&post).iter().all(|(table, _)| table == "served_entities"));
    assert_eq!(
        (tables(&post).len(), &*post.cluster),
        (3, first.gateway.config.logging.as_ref().unwrap().cluster.name())
    );
    let header = |name| post.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| &**value);
    assert_eq!((header(":authority"), header(":path")), (Some("logs.example.com:8443"), Some("/v1/records")));
    assert_eq!((header(":scheme"), header("authorization")), (Some("https"), Some("Bearer secret-t")));
    assert_eq!(first.tick(host), None, "one at a time");
    // Any answer but 2xx, or none: again, the same.
    for status in [None, Some(503), Some(401), Some(301)] {
        first.answered(&answer(status), host);
        assert_eq!(first.tick(host), None, "it waits");
        rig.wait_ms(5_000);
        assert_eq!(first.tick(host).unwrap().body, post.body);
    }
    first.answered(&answer(Some(204)), host);
    assert_eq!((first.take_tally().sent, first.tick(host)), (3, None));
    rig.wait_ms(60_000);
    assert_eq!((second.tick(host), first.tick(host)), (None, None), "they are sent for good");
}

#[test]
fn strangers_beyond_the_bound_are_one_row_of_counts() {
    let (rig, mut exporter, _) = workers();
    for at in 0..150 {
        exporter.push(row(if at < 120 { 401 } else { 404 }), &rig.host);
    }
    rig.wait_ms(1_000);
    let post = exporter.tick(&rig.host).unwrap();
    let rows: Vec<_> = tables(&post).into_iter().filter(|(table, _)| table == "endpoint_usage").collect();
    assert_eq!(rows.len(), 101);
    let counts = rows.iter().find_map(|(_, row)| row["detail"].get("counts").map(|counts| (row, counts)));
    let (row, counts) = counts.unwrap();
    assert_eq!(counts, &json!({"401": 20, "404": 30}));
    assert_eq!((&row["row"]["status_code"], &row["row"]["served_entity_id"]), (&Value::Null, &Value::Null));
    assert_eq!(row["row"]["databricks_request_id"].as_str().map(str::len), Some(36));
}

#[test]
fn a_configuration_that_goes_waits_for_its_rows() {
    let (rig, mut exporter, mut idle) = workers();
    let host = &rig.host;
    assert!(!exporter.is_over(host), "it does not go");
    exporter.push(row(401), host);
    assert!(!exporter.close(host), "a row waits");
    assert!(!exporter.is_over(host));
    let post = exporter.tick(host).unwrap();
    assert_eq!(tables(&post).len(), 1, "at once, and without the entities");
    assert!(!exporter.is_over(host), "on its way is not there yet");
    exporter.answered(&answer(Some(200)), host);
    assert!(exporter.is_over(host));
    idle.push(row(401), host);
    idle.close(host);
    rig.wait_ms(4_999);
    assert!(!idle.is_over(host));
    rig.wait_ms(1);
    assert!(idle.is_over(host), "the bound has passed");
    assert!(workers().1.close(host), "nothing to wait for");
}

#[test]
fn without_a_collector_there_is_none() {
    let mut policy = policy();
    policy.as_object_mut().unwrap().remove("logging");
    assert!(Exporter::new(Rig::new(&policy).gateway.clone()).is_none());
}

#[test]
fn an_otlp_collector_gets_log_records() {
    let mut policy = policy();
    policy["logging"] = json!({"url": "http://127.0.0.1:4318/v1/logs", "format": "otlp"});
    let rig = Rig::new(&policy);
    let mut exporter = Exporter::new(rig.gateway.clone()).unwrap();
    exporter.tick(&rig.host);
    rig.wait_ms(1_000);
    let post = exporter.tick(&rig.host).unwrap();
    assert!(post.headers.contains(&("content-type", "application/json".to_owned())));
    let is_gzip = post.headers.contains(&("content-encoding", "gzip".to_owned()));
    let body = Batch { body: post.body, is_gzip, rows: 0 }.unpacked().body;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let records = body.pointer("/resourceLogs/0/scopeLogs/0/logRecords").unwrap().as_array().unwrap();
    assert!(records.len() == 3 && records.iter().all(|record| record["eventName"] == "weir.served_entity"), "{body}");
    let said = r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}"#;
    exporter.answered(&Answer { status: Some(200), retry_after: None, body: said.into() }, &rig.host);
    assert_eq!(
        (exporter.take_tally().dropped, exporter.tick(&rig.host)),
        (2, None),
        "a partial success is not sent again"
    );
    let lines = exporter.take_lost(true);
    assert_eq!(lines[0], "the collector answered 200 and rejected 2 records: too old");
}

/// A configuration that goes waits no longer than for a first failure, and does not hammer a collector that is away.
#[test]
fn closing_tries_again_with_pauses() {
    let (rig, mut exporter, _) = workers();
    let host = &rig.host;
    exporter.push(row(401), host);
    exporter.close(host);
    let mut posts = 0;
    while !exporter.is_over(host) {
        if exporter.tick(host).is_some() {
            posts += 1;
            exporter.answered(&answer(None), host);
        }
        rig.wait_ms(10);
    }
    assert!((4..12).contains(&posts), "{posts} posts in 5 s");
    assert_eq!(exporter.take_tally().dropped, 1);
}
