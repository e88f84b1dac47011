//! Senders that mean ill, or are broken: what they send is put aside or refused, and nobody else waits for it.

use std::io::Write as _;
use std::net::TcpStream;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::collect::{RECORDS, TIME, usage};
use crate::tables::{rows, settled, tables};

#[test]
fn deep_json_is_put_aside() {
    let out = tempfile::tempdir().unwrap();
    let collector = tables(out.path(), &[]);
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let with = |place: &str| usage("a").replace(r#""detail":{}"#, place);
    let body = [
        deep(1_000_000),
        with(&format!(r#""detail":{{"limit":{}}}"#, deep(200_000))),
        with(&format!(r#""detail":{{"attempts":{}}}"#, deep(200_000))),
        with(&format!(r#""detail":{}"#, "{\"a\":".repeat(200_000))),
    ];
    let receipt = collector.post(RECORDS, body.join("\n")).json();
    assert_eq!((&receipt["rows"], &receipt["quarantined"]), (&json!(0), &json!(4)));
    assert_eq!(collector.post(RECORDS, usage("b")).json()["rows"], 1);
    settled(&collector);
    assert_eq!((rows(out.path(), "quarantine"), rows(out.path(), "endpoint_usage")), (4, 1));
}

#[test]
fn many_lines_in_few_bytes_are_refused() {
    let out = tempfile::tempdir().unwrap();
    let collector = tables(out.path(), &[]);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&b"{}\n".repeat(300_000)).unwrap();
    let packed = packed.finish().unwrap();
    let answer = collector.post_with(RECORDS, &[("content-encoding", "gzip")], &packed).unwrap();
    assert_eq!(answer.status, 413, "{}", answer.text);
    assert_eq!(collector.post(RECORDS, "{}\n".repeat(1000)).json()["quarantined"], 1000);
}

/// What the page keeps in memory of a row is bounded, whatever its texts are.
#[test]
fn long_names_are_stored_and_not_kept_in_memory() {
    let out = tempfile::tempdir().unwrap();
    let collector = tables(out.path(), &[]);
    let now = humantime::format_rfc3339_micros(std::time::SystemTime::now()).to_string();
    let long = "é".repeat(100_000);
    let mut row: Value = serde_json::from_str(&usage("a").replace(TIME, &now)).unwrap();
    row["row"]["requester"] = json!(long);
    let attempt = json!({"served_entity_name": long, "error": long, "latency_ms": 1});
    row["detail"] = json!({"endpoint_name": long, "limit": long, "attempts": vec![attempt; 20]});
    assert_eq!(collector.post(RECORDS, row.to_string()).json()["rows"], 1);
    settled(&collector);
    for path in ["/v1/requests", "/v1/summary?by=user"] {
        let answer = collector.get(path);
        assert!(
            answer.status == 200 && answer.text.contains("éé") && answer.text.len() < 20_000,
            "{path}: {}",
            answer.text.len()
        );
    }
    assert!(row.to_string().len() > 8_000_000);
}

/// Posts that stand still hold only what has come of them; before that they held room for all that they might become.
#[test]
fn slow_and_idle_connections_keep_nobody_out() {
    let out = tempfile::tempdir().unwrap();
    let collector = tables(out.path(), &[]);
    let slow = |_| {
        let mut stream = collector.connect();
        write!(
            stream,
            "POST {RECORDS} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{{\"ta\"\r\n"
        )
        .unwrap();
        stream
    };
    let slow: Vec<TcpStream> = (0..40).map(slow).collect();
    let idle: Vec<TcpStream> = (0..300).map(|_| collector.connect()).collect();
    assert_eq!(collector.post(RECORDS, usage("a")).json()["rows"], 1);
    drop((slow, idle));
    assert_eq!(collector.post(RECORDS, usage("b")).json()["rows"], 1);
}
