//! `weir collect` into Delta tables: what lands there, what is refused and put aside, and who may see it. Readers that are not ours look
//! at the same tables in the end-to-end tests; here the collector's own answers and the log of commits do.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::collect::{RECORDS, TIME, payload, usage};
use crate::process::{PATIENCE, Weir, output};

/// A collector into tables, on a free port, that commits at once.
pub fn tables(out: &Path, args: &[&str]) -> Weir {
    let into = ["collect", "--listen", "127.0.0.1:0", "--out", out.to_str().unwrap()];
    let often: &[&str] = if args.contains(&"--commit-every") { &[] } else { &["--commit-every", "50ms"] };
    Weir::start(&[&into, often, args].concat())
}

/// Rows of a table by its log: those of files that were added and not removed.
pub fn rows(out: &Path, table: &str) -> u64 {
    let mut files: BTreeMap<String, u64> = BTreeMap::new();
    let Ok(log) = fs::read_dir(out.join(table).join("_delta_log")) else { return 0 };
    let mut commits: Vec<_> = log.map(|entry| entry.unwrap().path()).collect();
    commits.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    commits.sort();
    for commit in commits {
        for line in fs::read_to_string(commit).unwrap().lines() {
            let action: Value = serde_json::from_str(line).unwrap();
            if let Some(path) = action["add"]["path"].as_str() {
                let stats: Value = serde_json::from_str(action["add"]["stats"].as_str().unwrap()).unwrap();
                files.insert(path.to_owned(), stats["numRecords"].as_u64().unwrap());
            }
            if let Some(path) = action["remove"]["path"].as_str() {
                files.remove(path);
            }
        }
    }
    files.values().sum()
}

/// Waits until nothing is in the journal any more.
pub fn settled(collector: &Weir) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stats = collector.get("/v1/stats").json();
        if stats["tables"]["journal_bytes"] == 0 {
            return stats;
        }
        assert!(Instant::now() < deadline, "{stats}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn get_with(collector: &Weir, path: &str, token: &str) -> (u16, String) {
    let url = format!("http://{}{path}", collector.address);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.get(url).header("authorization", format!("Bearer {token}")).call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

#[test]
fn every_kind_of_row_lands_in_its_table_once() {
    let out = tempfile::tempdir().unwrap();
    let entity =
        r#"{"table":"served_entities","config_hash":"c1","row":{"served_entity_id":"e","endpoint_name":"chat"}}"#;
    let body = [&usage("a"), &usage("b"), &payload("a"), entity, "nonsense"].join("\n");
    for round in 0..2 {
        let mut collector = tables(out.path(), &[]);
        let receipt = collector.post(RECORDS, &body).json();
        assert_eq!(receipt["quarantined"], 1);
        assert_eq!(
            (&receipt["duplicates"], round),
            (&json!(3 * round), round),
            "after a restart the tables know their rows"
        );
        collector.post(RECORDS, &body);
        settled(&collector);
        collector.signal("TERM");
        assert_eq!(collector.exit_code(), Some(0));
    }
    let found = ["endpoint_usage", "endpoint_usage_detail", "chat_payload", "served_entities", "quarantine"];
    assert_eq!(found.map(|table| rows(out.path(), table)), [2, 2, 1, 1, 4]);
    let day = out.path().join("endpoint_usage/2026-01-02");
    assert!(day.is_dir(), "a file holds one day of its rows' own time");
}

#[test]
fn a_stop_leaves_nothing_in_the_journal() {
    let out = tempfile::tempdir().unwrap();
    let mut collector = tables(out.path(), &["--commit-every", "1h"]);
    collector.post(RECORDS, usage("a"));
    assert_eq!(rows(out.path(), "endpoint_usage"), 0);
    assert!(collector.get("/v1/stats").json()["tables"]["journal_bytes"].as_u64() > Some(0));
    collector.signal("TERM");
    assert_eq!((collector.exit_code(), rows(out.path(), "endpoint_usage")), (Some(0), 1));
}

#[test]
fn tables_that_cannot_be_written_lose_nothing() {
    let out = tempfile::tempdir().unwrap();
    // Where the table belongs stands a file: rows wait in the journal, up to its bound.
    fs::write(out.path().join("endpoint_usage_detail"), "").unwrap();
    let collector = tables(out.path(), &["--journal-bytes", "1000"]);
    let answers: Vec<u16> = (0..10).map(|n| collector.post(RECORDS, usage(&n.to_string())).status).collect();
    let stored = answers.iter().filter(|status| **status == 200).count();
    assert!(stored > 0 && answers[stored..].iter().all(|status| *status == 503), "{answers:?}");
    let deadline = Instant::now() + PATIENCE;
    while collector.get("/v1/stats").json()["tables"]["trouble"].is_null() {
        assert!(Instant::now() < deadline, "it does not say what is wrong");
        std::thread::sleep(Duration::from_millis(10));
    }
    fs::remove_file(out.path().join("endpoint_usage_detail")).unwrap();
    settled(&collector);
    assert_eq!(collector.post(RECORDS, usage("9")).status, 200);
    settled(&collector);
    assert_eq!(rows(out.path(), "endpoint_usage"), stored as u64 + 1);
    assert!(collector.get("/v1/stats").json()["tables"]["trouble"].is_null());
}

#[test]
fn two_collectors_write_one_table() {
    let (out, journal) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let second = output(&["collect", "--listen", "127.0.0.1:0", "--out", "s3://bucket/x"]);
    assert_eq!(second.status.code(), Some(2), "a journal is local");
    let both = [tables(out.path(), &[]), tables(out.path(), &["--journal", journal.path().to_str().unwrap()])];
    // Of now: the page reads no files of days that it does not show.
    let now = humantime::format_rfc3339_micros(std::time::SystemTime::now()).to_string();
    for n in 0..40 {
        assert_eq!(both[n % 2].post(RECORDS, usage(&n.to_string()).replace(TIME, &now)).status, 200);
    }
    let troubles = both.each_ref().map(|collector| settled(collector)["tables"]["trouble"].clone());
    assert_eq!((rows(out.path(), "endpoint_usage"), troubles), (40, [Value::Null, Value::Null]));
    let deadline = Instant::now() + PATIENCE;
    // The page of each shows the rows of both.
    for collector in &both {
        while collector.get("/v1/requests?most=1000").json()["requests"].as_array().unwrap().len() < 40 {
            assert!(Instant::now() < deadline, "{}", collector.get("/v1/requests").text);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn the_page_tells_who_was_refused_and_a_payload_who_saw_it() {
    let out = tempfile::tempdir().unwrap();
    let tokens = out.path().join("tokens");
    fs::write(&tokens, "send gateway write\nlook anna read\nread-all otto read,payloads\n").unwrap();
    let collector = tables(out.path(), &["--token-file", tokens.to_str().unwrap()]);
    let mut refused: Value = serde_json::from_str(&usage("r")).unwrap();
    refused["row"]["requester"] = json!("alice");
    refused["row"]["status_code"] = json!(429);
    refused["detail"] = json!({"endpoint_name": "chat", "limit": "user: 60 calls per minute"});
    let body = [refused.to_string(), payload("a")].join("\n");
    let sent = collector.post_with(RECORDS, &[("authorization", "Bearer send")], &body).unwrap();
    assert_eq!(sent.status, 200);
    assert_eq!(collector.post_with(RECORDS, &[("authorization", "Bearer look")], &body).unwrap().status, 403);
    assert_eq!((collector.get("/").status, collector.get("/v1/summary").status), (200, 401));
    let at = humantime_micros(TIME);
    let span = format!("/v1/summary?by=user&from={}&to={}", at - 1_000_000, at + 1_000_000);
    let deadline = Instant::now() + PATIENCE;
    let answer = loop {
        let answer: Value = serde_json::from_str(&get_with(&collector, &span, "look").1).unwrap();
        if answer["answer"]["totals"]["requests"] == 1 {
            break answer;
        }
        assert!(Instant::now() < deadline, "{answer}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let refusal = &answer["answer"]["refusals"][0];
    assert_eq!((&refusal["user"], &refusal["limit"]), (&json!("alice"), &json!("user: 60 calls per minute")));
    let payload_of = |id: &str, token| get_with(&collector, &format!("/v1/payloads/{id}?date=2026-01-02"), token);
    assert_eq!(payload_of("a", "look").0, 403);
    assert_eq!(payload_of("b", "read-all").0, 404);
    let (status, shown) = loop {
        let answer = payload_of("a", "read-all");
        if answer.0 != 404 || Instant::now() > deadline {
            break answer;
        }
    };
    assert_eq!((status, shown.contains(r#""request":"{}""#)), (200, true), "{shown}");
    while rows(out.path(), "payload_access") < 2 {
        assert!(Instant::now() < deadline, "who looked is not in the table");
        std::thread::sleep(Duration::from_millis(20));
    }
    for token in ["send", "read-all"] {
        assert!(!contains(out.path(), token.as_bytes(), &tokens), "`{token}` is in a file");
    }
}

/// Microseconds since the epoch.
fn humantime_micros(time: &str) -> i64 {
    i64::try_from(humantime::parse_rfc3339(time).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros())
        .unwrap()
}

/// Whether any file under a folder, but one, has these bytes.
fn contains(folder: &Path, bytes: &[u8], but: &Path) -> bool {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        let has = |path: &Path| fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes);
        if path.is_dir() { contains(&path, bytes, but) } else { path != but && has(&path) }
    })
}

#[test]
fn without_a_token_no_other_name_is_served() {
    let out = tempfile::tempdir().unwrap();
    let collector = tables(out.path(), &[]);
    let url = format!("http://{}/v1/summary", collector.address);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    for (host, status) in [("evil.example", 403), ("localhost:9902", 200), ("127.0.0.1", 200), ("[::1]:80", 200)] {
        assert_eq!(agent.get(&url).header("host", host).call().unwrap().status().as_u16(), status, "{host}");
    }
}
