use std::fs;

use super::*;

fn usage(id: &str) -> line::Row {
    line::read(format!(r#"{{"table":"endpoint_usage", "row":{{"databricks_request_id":"{id}","request_time":"2026-01-01T00:00:00Z"}}}}"#).into()).unwrap()
}

fn payload(id: &str) -> line::Row {
    line::read(format!(r#"{{"table":"payload","prefix":"x","row":{{"databricks_request_id":"{id}","request_time":"2026-01-01T00:00:00Z"}}}}"#).into()).unwrap()
}

fn rows(rows: Vec<line::Row>) -> Batch {
    Batch { rows, rejected: Vec::new() }
}

fn stored(dir: &Path, table: &str) -> String {
    day_files(&dir.join(table)).unwrap().iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn lines_are_stored_as_they_came() {
    let dir = tempfile::tempdir().unwrap();
    let (mut sink, repairs) = NdjsonSink::open(dir.path()).unwrap();
    assert!(repairs.is_empty());
    let odd =
        line::read(Bytes::from("{\"row\":{\"databricks_request_id\":\"\\u0061\",\"request_time\":\"2026-01-01T00:00:00Z\"},\t\"table\":\"endpoint_usage\"}\r"))
            .unwrap();
    sink.append(&rows(vec![usage("b"), odd.clone(), payload("c")])).unwrap();
    let want = [usage("b").line, odd.line].map(|line| String::from_utf8(line.to_vec()).unwrap() + "\n").concat();
    assert_eq!(stored(dir.path(), "endpoint_usage"), want);
    assert!(stored(dir.path(), "payload").contains("\"c\""));
}

#[test]
fn rejected_lines_carry_their_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (mut sink, _) = NdjsonSink::open(dir.path()).unwrap();
    let rejected = [&b"nonsense"[..], &[0xff, 0xfe]].map(|line| line::read(Bytes::copy_from_slice(line)).unwrap_err());
    sink.append(&Batch { rows: Vec::new(), rejected: rejected.to_vec() }).unwrap();
    let lines: Vec<serde_json::Value> =
        stored(dir.path(), QUARANTINE).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["line"], "nonsense");
    assert!(lines[0]["reason"].as_str().unwrap().contains("expected a record's JSON object"));
    assert_eq!(lines[1]["line_base64"], "//4=");
}

#[test]
fn a_failed_batch_leaves_nothing_and_may_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut sink, _) = NdjsonSink::open(dir.path()).unwrap();
    sink.append(&rows(vec![usage("a")])).unwrap();
    let before = stored(dir.path(), "endpoint_usage");
    // Where a folder belongs stands a file: the second table's open fails after the first one was written to.
    fs::write(dir.path().join("payload"), "").unwrap();
    let batch = rows(vec![usage("b"), payload("c")]);
    let failure = sink.append(&batch).unwrap_err().to_string();
    assert!(failure.contains("payload"), "{failure}");
    assert_eq!(stored(dir.path(), "endpoint_usage"), before);
    fs::remove_file(dir.path().join("payload")).unwrap();
    sink.append(&batch).unwrap();
    assert_eq!(stored(dir.path(), "endpoint_usage"), before + std::str::from_utf8(&usage("b").line).unwrap() + "\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (mut sink, _) = NdjsonSink::open(dir.path()).unwrap();
    let today = humantime::format_rfc3339(SystemTime::now()).to_string()[..10].to_owned();
    fs::create_dir(dir.path().join("endpoint_usage")).unwrap();
    let full = dir.path().join("endpoint_usage").join(format!("{today}.ndjson"));
    std::os::unix::fs::symlink("/dev/full", full).unwrap();
    let failure = sink.append(&rows(vec![usage("a")])).unwrap_err().to_string();
    assert!(failure.starts_with("cannot append to") && failure.contains("No space left"), "{failure}");
}

#[test]
fn the_latest_rows_are_recalled_last() {
    let dir = tempfile::tempdir().unwrap();
    for (table, date, ids) in [
        ("endpoint_usage", "2026-01-01", vec!["a", "b"]),
        ("endpoint_usage", "2026-01-02", vec!["c", "d"]),
        ("endpoint_usage", "2026-01-03", vec!["e"]),
    ] {
        fs::create_dir_all(dir.path().join(table)).unwrap();
        let lines: String = ids.iter().map(|id| String::from_utf8(usage(id).line.to_vec()).unwrap() + "\n").collect();
        fs::write(dir.path().join(table).join(format!("{date}.ndjson")), lines + "torn").unwrap();
    }
    let (sink, repairs) = NdjsonSink::open(dir.path()).unwrap();
    assert_eq!(repairs.iter().map(|repair| repair.cut_bytes).collect::<Vec<_>>(), [4, 4, 4]);
    for (most, want) in [(usize::MAX, vec!["a", "b", "c", "d", "e"]), (2, vec!["c", "d", "e"]), (1, vec!["e"])] {
        let mut ids = Vec::new();
        sink.recall(most, &mut |id| ids.push(id)).unwrap();
        assert_eq!(ids, want.iter().map(|id| usage(id).id).collect::<Vec<_>>(), "{most}");
    }
}

#[test]
fn a_folder_has_one_collector() {
    let dir = tempfile::tempdir().unwrap();
    let held = NdjsonSink::open(dir.path()).unwrap();
    let failure = NdjsonSink::open(dir.path()).err().unwrap().to_string();
    assert!(failure.contains("another collector"), "{failure}");
    drop(held);
    NdjsonSink::open(dir.path()).unwrap();
}
