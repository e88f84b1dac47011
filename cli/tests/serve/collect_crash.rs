//! `kill -9` in the middle of posts from many clients: what was acknowledged is there, each line is whole, each row is there once.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::collect::{RECORDS, collector, stored, usage};

const CLIENTS: usize = 8;
const ROWS: usize = 25;

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let out = tempfile::tempdir().unwrap();
    let mut acknowledged: HashSet<String> = HashSet::new();
    let mut unanswered: Vec<String> = Vec::new();
    for round in 0..3 {
        let mut collector = collector(out.path(), &[]);
        let stop = AtomicBool::new(false);
        let clients: Vec<_> = std::thread::scope(|scope| {
            let post = |client: usize| {
                let (mut answered, mut lost) = (Vec::new(), Vec::new());
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let ids: Vec<String> = (0..ROWS).map(|row| format!("{round}-{client}-{n}-{row}")).collect();
                    let body: String = ids.iter().map(|id| usage(id) + "\n").collect();
                    match collector.post_with(RECORDS, &[], &body) {
                        Ok(answer) if answer.status == 200 => answered.extend(ids),
                        _ => lost.extend(ids),
                    }
                }
                (answered, lost)
            };
            let running: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || post(client))).collect();
            std::thread::sleep(Duration::from_millis(400));
            collector.signal("KILL");
            std::thread::sleep(Duration::from_millis(20));
            stop.store(true, Ordering::Relaxed);
            running.into_iter().map(|client| client.join().unwrap()).collect()
        });
        assert_eq!(collector.exit_code(), None, "killed");
        for (answered, lost) in clients {
            acknowledged.extend(answered);
            unanswered.extend(lost);
        }
        // A kill rarely falls into a write: tear a line by hand as well.
        let day = fs::read_dir(out.path().join("endpoint_usage")).unwrap().next().unwrap().unwrap().path();
        OpenOptions::new().append(true).open(day).unwrap().write_all(br#"{"table":"endpoint_us"#).unwrap();
    }
    assert!(acknowledged.len() > ROWS && !unanswered.is_empty(), "{} {}", acknowledged.len(), unanswered.len());
    let last = collector(out.path(), &[]);
    // The senders send again what was not answered, part of which was stored.
    let again: String = unanswered.iter().chain(acknowledged.iter().take(100)).map(|id| usage(id) + "\n").collect();
    assert_eq!(last.post(RECORDS, again).status, 200);
    let rows: Vec<String> = stored(out.path(), "endpoint_usage")
        .iter()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["row"]["databricks_request_id"].as_str().unwrap().to_owned()
        })
        .collect();
    let ids: HashSet<String> = rows.iter().cloned().collect();
    assert_eq!(ids.len(), rows.len(), "a row is there twice");
    assert_eq!(ids, acknowledged.into_iter().chain(unanswered).collect());
    assert!(stored(out.path(), "quarantine").is_empty());
}
