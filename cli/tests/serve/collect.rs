//! What the collector stores, refuses and tells, and that it starts and stops as it should.

use std::fs;
use std::io::{BufRead, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::process::{End, PATIENCE, Weir, heard, output};

pub const RECORDS: &str = "/v1/records";

/// A collector of lines into a folder, on a free port.
pub fn collector(out: &Path, args: &[&str]) -> Weir {
    let into = ["collect", "--format", "ndjson", "--listen", "127.0.0.1:0", "--out", out.to_str().unwrap()];
    Weir::start(&[&into, args].concat())
}

pub const TIME: &str = "2026-01-02T12:03:04.500000Z";

pub fn usage(id: &str) -> String {
    let row = json!({"databricks_request_id": id, "request_time": TIME});
    json!({"table": "endpoint_usage", "schema_version": 1, "row": row, "detail": {}}).to_string()
}

pub fn payload(id: &str) -> String {
    let row = json!({"databricks_request_id": id, "request_time": TIME, "request": "{}", "response": "{}"});
    json!({"table": "payload", "schema_version": 1, "catalog": "main", "schema": "ai", "prefix": "chat", "row": row})
        .to_string()
}

/// All lines of a table, over its days.
pub fn stored(out: &Path, table: &str) -> Vec<String> {
    let Ok(files) = fs::read_dir(out.join(table)) else { return Vec::new() };
    files
        .flat_map(|file| {
            fs::read_to_string(file.unwrap().path()).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

fn receipt(rows: u64, duplicates: u64, quarantined: u64) -> Value {
    json!({"rows": rows, "duplicates": duplicates, "quarantined": quarantined})
}

#[test]
fn rows_are_stored_once_and_as_they_came() {
    let out = tempfile::tempdir().unwrap();
    let entity =
        r#"{"table":"served_entities","config_hash":"c1","row":{"served_entity_id":"e","endpoint_name":"chat"}}"#;
    // Order and spaces that no writer of JSON would choose, and no newline at the end.
    let odd = r#"{ "row":{"x":1.0, "databricks_request_id":"\u00e9","request_time":"2026-01-02T12:03:04Z"} ,"table":"endpoint_usage"}"#;
    let body = [&usage("a"), entity, "", odd].join("\n");
    let collector_a = collector(out.path(), &[]);
    assert_eq!(collector_a.post(RECORDS, &body).json(), receipt(3, 0, 0));
    assert_eq!(collector_a.post(RECORDS, &body).json(), receipt(0, 3, 0));
    drop(collector_a);
    let again = collector(out.path(), &[]);
    let changed = entity.replace("c1", "c2");
    assert_eq!(again.post(RECORDS, [body.as_str(), &changed].join("\n")).json(), receipt(1, 3, 0), "after a restart");
    assert_eq!(stored(out.path(), "endpoint_usage"), [usage("a"), odd.to_owned()]);
    assert_eq!(stored(out.path(), "served_entities"), [entity.to_owned(), changed]);
    let stats = again.get("/v1/stats").json();
    assert_eq!((&stats["rows"]["served_entities"], &stats["duplicates"]), (&json!(1), &json!(3)));
    assert_eq!(again.get("/health").status, 200);
    assert_eq!((again.get(RECORDS).status, again.get("/v1/other").status), (405, 404));
}

#[test]
fn what_is_no_record_goes_to_quarantine() {
    let out = tempfile::tempdir().unwrap();
    let collector = collector(out.path(), &[]);
    let body = [usage("a").as_str(), "nonsense", r#"{"table":"x","row":{}}"#, &usage("")].join("\n");
    let answer = collector.post(RECORDS, &body);
    assert_eq!((answer.status, answer.json()), (200, receipt(1, 0, 3)));
    let reasons: Vec<Value> =
        stored(out.path(), "quarantine").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(reasons[0]["line"], "nonsense");
    assert_eq!(reasons[1]["reason"], "table: expected one of endpoint_usage, payload, served_entities, found `x`");
    assert_eq!(reasons[2]["reason"], "row.databricks_request_id: expected the row's id, found none");
    assert_eq!(collector.get("/v1/stats").json()["quarantined"], 3);
}

#[test]
fn packed_bodies_and_too_long_ones() {
    let out = tempfile::tempdir().unwrap();
    let collector = collector(out.path(), &[]);
    let pack = |text: &[u8]| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text).unwrap();
        packed.finish().unwrap()
    };
    let post = |encoding, body: &[u8]| collector.post_with(RECORDS, &[("content-encoding", encoding)], body).unwrap();
    assert_eq!(post("gzip", &pack(usage("a").as_bytes())).json(), receipt(1, 0, 0));
    let packed = pack(usage("b").as_bytes());
    assert_eq!(post("gzip", &packed[..packed.len() - 4]).status, 400, "half of it");
    assert_eq!(post("br", b"x").status, 415);
    let long = vec![b'\n'; 32 * 1024 * 1024 + 1];
    assert_eq!(post("gzip", &pack(&long)).status, 413);
    assert_eq!(post("identity", &long).status, 413);
    assert_eq!(post("identity", &long[1..]).status, 200);
    assert_eq!(stored(out.path(), "endpoint_usage"), [usage("a")]);
}

#[test]
fn a_token_opens_the_door() {
    let out = tempfile::tempdir().unwrap();
    let dir = out.path().to_str().unwrap();
    let open = output(&["collect", "--listen", "0.0.0.0:0", "--out", dir]);
    let why = String::from_utf8_lossy(&open.stderr).into_owned();
    assert_eq!(open.status.code(), Some(2), "{why}");
    assert!(why.contains("not a loopback address") && why.contains("WEIR_COLLECT_TOKEN"), "{why}");
    let collector = Weir::start(&["collect", "--listen", "0.0.0.0:0", "--out", dir, "--token", "s3cret"]);
    for (authorization, status) in
        [("Bearer s3cret", 200), ("bearer s3cret", 200), ("Bearer s3cre", 401), ("s3cret", 401), ("", 401)]
    {
        let answer = collector.post_with(RECORDS, &[("authorization", authorization)], usage("a")).unwrap();
        assert_eq!(answer.status, status, "{authorization}");
    }
    assert_eq!((collector.get("/v1/stats").status, collector.get("/health").status), (401, 200));
}

#[test]
fn a_disk_that_fails_acknowledges_nothing() {
    let out = tempfile::tempdir().unwrap();
    let collector = collector(out.path(), &[]);
    // A file stands where the folder of the second table belongs.
    fs::write(out.path().join("payload"), "").unwrap();
    let body = [usage("a"), payload("a")].join("\n");
    let answer = collector.post(RECORDS, &body);
    assert_eq!(answer.status, 503);
    assert!(answer.json()["error"].as_str().unwrap().contains("payload"), "{}", answer.text);
    assert_eq!(stored(out.path(), "endpoint_usage"), [""; 0]);
    fs::remove_file(out.path().join("payload")).unwrap();
    assert_eq!(collector.post(RECORDS, &body).json(), receipt(2, 0, 0));
    assert_eq!(collector.get("/v1/stats").json()["failed_commits"], 1);
}

#[test]
fn a_stop_finishes_what_is_in_flight() {
    let out = tempfile::tempdir().unwrap();
    let mut collector = collector(out.path(), &[]);
    let body = usage("a");
    let (first, second) = body.split_at(20);
    let mut stream = collector.connect();
    write!(stream, "POST {RECORDS} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{first}", body.len()).unwrap();
    // A whole exchange after it: the half post has been seen by then.
    assert_eq!(collector.get("/health").status, 200);
    collector.signal("TERM");
    std::thread::sleep(std::time::Duration::from_millis(100));
    stream.write_all(second.as_bytes()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let answer = heard(&mut stream);
    assert!(answer.head.starts_with("HTTP/1.1 200") && answer.end == End::Closed, "{answer:?}");
    assert_eq!(collector.exit_code(), Some(0));
    assert_eq!(stored(out.path(), "endpoint_usage"), [body]);
}

#[test]
fn one_line_per_record_is_printed() {
    let out = tempfile::tempdir().unwrap();
    let mut collector = collector(out.path(), &["--print"]);
    let record = json!({"table": "endpoint_usage", "row": {"databricks_request_id": "a", "requester": "alice@example.com",
        "request_time": "2026-01-02T12:03:04.5Z", "status_code": 200, "input_token_count": 12, "output_token_count": 34},
        "detail": {"endpoint_name": "chat", "served_entity_name": "primary", "latency_ms": 210, "token_source": "reported"}});
    collector.post(RECORDS, record.to_string());
    let mut line = String::new();
    collector.stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "12:03:04 alice@example.com  chat/primary  200  in 12 out 34 tokens  210 ms  (reported)\n");
}
