//! `kill -9` at any point, a disk that becomes full, one that becomes read-only: what was acknowledged is in the tables, each row once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::collect::{RECORDS, usage};
use crate::process::PATIENCE;
use crate::tables::{rows, settled, tables};

const CLIENTS: usize = 4;
const ROWS: usize = 25;

#[test]
fn kill_9_leaves_each_row_once() {
    let out = tempfile::tempdir().unwrap();
    let mut sent: Vec<String> = Vec::new();
    let mut acknowledged = 0usize;
    for round in 0..5u64 {
        let mut collector = tables(out.path(), &[]);
        let stop = AtomicBool::new(false);
        let answers: Vec<(String, bool)> = std::thread::scope(|scope| {
            let post = |client: usize| {
                let mut answers = Vec::new();
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let ids: Vec<String> = (0..ROWS).map(|row| format!("{round}-{client}-{n}-{row}")).collect();
                    let body: String = ids.iter().map(|id| usage(id) + "\n").collect();
                    let stored = collector.post_with(RECORDS, &[], &body).is_ok_and(|answer| answer.status == 200);
                    answers.extend(ids.into_iter().map(|id| (id, stored)));
                }
                answers
            };
            let running: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || post(client))).collect();
            // At another point of the commits in each round: they come every 50 ms.
            std::thread::sleep(Duration::from_millis(300 + round * 17));
            collector.signal("KILL");
            std::thread::sleep(Duration::from_millis(20));
            stop.store(true, Ordering::Relaxed);
            running.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        assert_eq!(collector.exit_code(), None, "killed");
        acknowledged += answers.iter().filter(|(_, stored)| *stored).count();
        sent.extend(answers.into_iter().map(|(id, _)| id));
    }
    assert!(acknowledged > ROWS && acknowledged < sent.len(), "{acknowledged} of {}", sent.len());
    // The senders send all of it again, as if no answer had reached them.
    let last = tables(out.path(), &[]);
    for part in sent.chunks(1000) {
        let again: String = part.iter().map(|id| usage(id) + "\n").collect();
        assert_eq!(last.post(RECORDS, again).status, 200);
    }
    settled(&last);
    let unique: HashSet<&String> = sent.iter().collect();
    assert_eq!(rows(out.path(), "endpoint_usage"), unique.len() as u64);
    assert_eq!(rows(out.path(), "endpoint_usage_detail"), unique.len() as u64);
    assert_eq!(rows(out.path(), "quarantine"), 0);
}

/// A file system of its own, as root; elsewhere there is none, and the test says so.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        let done = mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder.path()).status();
        let disk = done.is_ok_and(|status| status.success()).then(|| Self(folder));
        if disk.is_none() {
            eprintln!("skipped: mounting a tmpfs needs root");
        }
        disk
    }

    /// Tried until it works: a disk becomes read-only in a moment when no file is open for writing.
    fn remount(&self, options: &str) {
        let deadline = Instant::now() + PATIENCE;
        let remounted = || {
            let mut mount = std::process::Command::new("mount");
            mount.args(["-o", &format!("remount,{options}")]).arg(self.0.path()).stderr(std::process::Stdio::null());
            mount.status().unwrap().success()
        };
        while !remounted() {
            assert!(Instant::now() < deadline, "remount,{options}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_answered_503_and_loses_nothing() {
    let Some(disk) = Disk::mount("size=1m") else { return };
    let out = disk.0.path();
    // Long enough for the journal to fill the disk before the tables take its rows.
    let collector = tables(out, &["--commit-every", "4s"]);
    let mut sent = 0usize;
    let full = (0..200).find(|n| {
        let body: String = (0..100).map(|row| usage(&format!("{n}-{row}")) + "\n").collect();
        sent = n + 1;
        collector.post(RECORDS, body).status == 503
    });
    assert!(full.is_some(), "the disk never became full");
    disk.remount("size=64m");
    for n in 0..sent {
        let body: String = (0..100).map(|row| usage(&format!("{n}-{row}")) + "\n").collect();
        assert_eq!(collector.post(RECORDS, body).status, 200);
    }
    settled(&collector);
    assert_eq!(rows(out, "endpoint_usage"), sent as u64 * 100);
}

#[test]
fn a_read_only_disk_is_answered_503_and_loses_nothing() {
    let Some(disk) = Disk::mount("size=16m") else { return };
    let out = disk.0.path();
    let collector = tables(out, &[]);
    assert_eq!(collector.post(RECORDS, usage("a")).status, 200);
    settled(&collector);
    disk.remount("ro");
    assert_eq!(collector.post(RECORDS, usage("b")).status, 503);
    disk.remount("rw");
    assert_eq!(collector.post(RECORDS, usage("b")).status, 200);
    settled(&collector);
    assert_eq!(rows(out, "endpoint_usage"), 2);
}
