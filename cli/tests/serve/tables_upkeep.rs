//! Small files put together, old days and unneeded files gone: while rows come in, while others read, and with `kill -9` in the middle.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::collect::{RECORDS, TIME, usage};
use crate::process::{Weir, output};
use crate::tables::{settled, tables};

/// Some hundred commits, each with its syncs, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(90);

const OFTEN: [&str; 4] = ["--commit-every", "10ms", "--compact-every", "150ms"];

/// Requests in the tables, as `weir usage` reads them.
fn requests(out: &Path) -> u64 {
    let output = output(&["usage", "--out", out.to_str().unwrap(), "--by", "endpoint", "--format", "json"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let groups: Vec<Value> = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    groups.iter().map(|group| group["requests"].as_u64().unwrap()).sum()
}

/// The data files of a table that lie on the disk.
fn files(out: &Path, table: &str) -> BTreeSet<PathBuf> {
    let entries = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let days = entries(&out.join(table)).into_iter().filter(|path| !path.ends_with("_delta_log"));
    let files = days.flat_map(|day| entries(&day));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "parquet")).collect()
}

fn compacted(out: &Path) -> usize {
    let found = files(out, "endpoint_usage_detail");
    found
        .iter()
        .filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"compacted-")))
        .count()
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Posts rows one by one, each of which becomes a file, until `over`.
fn post_until(collector: &Weir, ids: &mut Vec<String>, name: &str, time: &str, over: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    for n in 0.. {
        assert!(Instant::now() < deadline, "{} rows later", ids.len());
        let id = format!("{name}-{n}");
        let answer = collector.post_with(RECORDS, &[], usage(&id).replace(TIME, time));
        ids.push(id);
        if over() || !answer.is_ok_and(|answer| answer.status == 200) {
            return;
        }
        std::thread::sleep(Duration::from_millis(12));
    }
}

fn now() -> String {
    humantime::format_rfc3339_micros(std::time::SystemTime::now()).to_string()
}

#[test]
fn few_files_stay_of_many_and_old_days_go() {
    let out = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    let collector = tables(out.path(), &[&OFTEN[..], &["--vacuum-after", "2s", "--retention", "30d"]].concat());
    // Older than what is kept, so that it goes at the next look.
    collector.post(RECORDS, usage("old").replace(TIME, "2026-01-02T00:00:00Z"));
    settled(&collector);
    let time = now();
    let put_together = || collector.get("/v1/stats").json()["tables"]["compacted_files"].as_u64().unwrap() >= 16;
    post_until(&collector, &mut ids, "a", &time, put_together);
    settled(&collector);
    eventually("what was put together stays on the disk", || {
        files(out.path(), "endpoint_usage_detail").len() < 40 && files(out.path(), "endpoint_usage").len() < 40
    });
    eventually("the old day is still there", || {
        !out.path().join("endpoint_usage/2026-01-02").is_dir()
            || files(out.path(), "endpoint_usage").iter().all(|file| !file.to_string_lossy().contains("/2026-01-02/"))
    });
    assert_eq!(requests(out.path()), ids.len() as u64);
    let log = std::fs::read_dir(out.path().join("endpoint_usage/_delta_log")).unwrap().count();
    assert!(log < 250, "{log} files in the log: old versions are kept for ever");
}

#[test]
fn a_kill_while_files_are_put_together_leaves_each_row_once() {
    let out = tempfile::tempdir().unwrap();
    let (mut ids, mut orphans) = (Vec::new(), 0usize);
    let time = now();
    for round in 0..6 {
        let mut collector = tables(out.path(), &OFTEN);
        let before = compacted(out.path());
        let (folder, process) = (out.path().to_owned(), collector.child.id().to_string());
        // As soon as the new file has its name: its rows are then twice on the disk, and the log has one of them.
        let killer = std::thread::spawn(move || {
            let deadline = Instant::now() + PATIENCE;
            while compacted(&folder) == before && Instant::now() < deadline {
                std::thread::sleep(Duration::from_micros(200));
            }
            std::process::Command::new("kill").args(["-9", &process]).status().unwrap()
        });
        post_until(&collector, &mut ids, &round.to_string(), &time, || false);
        assert!(killer.join().unwrap().success());
        assert_eq!(collector.exit_code(), None, "killed");
        assert!(compacted(out.path()) > before, "nothing was put together in round {round}");
        orphans += usize::from(!log_has_new(out.path()));
    }
    assert!(orphans > 0, "no kill hit between a file and its commit");
    // The senders send all of it again, as if no answer had reached them.
    let last = tables(out.path(), &[&OFTEN[..], &["--vacuum-after", "1s"]].concat());
    let again: String = ids.iter().map(|id| usage(id).replace(TIME, &time) + "\n").collect();
    assert_eq!(last.post(RECORDS, again).status, 200);
    settled(&last);
    assert_eq!(requests(out.path()), ids.len() as u64);
    eventually("files without a commit stay on the disk", || {
        files(out.path(), "endpoint_usage_detail").len() < 40 && compacted(out.path()) <= 2
    });
    assert_eq!(requests(out.path()), ids.len() as u64);
}

/// Whether the latest file that was put together has its commit.
fn log_has_new(out: &Path) -> bool {
    let found = files(out, "endpoint_usage_detail");
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Some(latest) = found.iter().map(name).filter(|name| name.starts_with("compacted-")).max() else { return true };
    let log = std::fs::read_dir(out.join("endpoint_usage_detail/_delta_log")).unwrap().flatten();
    log.filter_map(|entry| std::fs::read(entry.path()).ok())
        .any(|commit| String::from_utf8_lossy(&commit).contains(&latest))
}
