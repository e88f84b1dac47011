//! All that is promised of records, at once: two Envoys, a collector that is killed five times and whose disk is read-only for a while, one
//! Envoy stopped as the documentation says and started again, a flood of strangers, a reader beside the writer, and small files put
//! together meanwhile. The tables have each request once. `make acceptance-records` plays it with 100,000 requests.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use weir_e2e::client::chat;
use weir_e2e::disk::Disk;
use weir_e2e::policy::{ALICE, secret};
use weir_e2e::process::poll;
use weir_e2e::rig::another_envoy;
use weir_e2e::tables::{files_with, without};
use weir_e2e::{Addresses, Call, Client, Collector, Endpoint, Envoy, Policy, Setup, Tally, scripts};

/// One of so many requests is a stranger's.
const STRANGERS: usize = 5;
const LONG: Duration = Duration::from_secs(900);
const SHORT: Duration = Duration::from_secs(60);

fn policy(at: &Addresses) -> Policy {
    let payloads = json!({"enabled": true, "catalog_name": "main", "schema_name": "ai", "table_name_prefix": "chat"});
    // As it is by default: between two batches there is a moment when the collector has no file open, and the disk can be taken away.
    Policy::new(at)
        .set("/logging/flush_interval_ms", json!(1000))
        .endpoint(Endpoint::new("chat").entity(at, "a", 100).set("/ai_gateway/inference_table_config", payloads))
}

/// How far all of the load has come.
#[derive(Clone)]
struct Progress {
    sent: Arc<AtomicUsize>,
    all: usize,
}

impl Progress {
    async fn reaches(&self, percent: usize) {
        let there = async || (self.sent.load(Ordering::Relaxed) * 100 >= self.all * percent).then_some(());
        poll(LONG, there).await.expect("the load goes on");
    }
}

async fn load(envoy: &Envoy, requests: usize, progress: &Progress) -> Tally {
    let client = Client::new(&format!("http://127.0.0.1:{}", envoy.port));
    let call = |number: usize| {
        progress.sent.fetch_add(1, Ordering::Relaxed);
        let stranger = number.is_multiple_of(STRANGERS);
        if stranger {
            Call::post("/v1/chat/completions", chat("chat", json!({})).to_string())
        } else {
            Call::chat(ALICE, &chat("chat", json!({})))
        }
    };
    client.load(requests, 16, call).await
}

/// As docs/operations.md says: drain, wait for what is in flight and queued, SIGTERM.
async fn stop(envoy: &mut Envoy) {
    assert_eq!(envoy.admin_post("/drain_listeners?graceful").await, 200);
    assert_eq!(envoy.wait_for_stat("http.weir.downstream_rq_active", 0, SHORT).await, 0);
    assert_eq!(envoy.wait_for_stat("weir.records_queued", 0, SHORT).await, 0);
    assert_eq!(envoy.stat("weir.records_dropped").await, 0);
    envoy.terminate().await;
}

/// Five kills, and a disk that is read-only for a while, where there is one.
async fn outages(collector: &mut Collector, disk: Option<&Disk>, progress: &Progress) {
    for percent in [10, 25, 40, 60, 80] {
        progress.reaches(percent).await;
        collector.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        collector.restart().await;
        let Some(disk) = disk.filter(|_| percent == 40) else { continue };
        progress.reaches(50).await;
        disk.take_away().await;
        let refused = async || (collector.stats().await["failed_commits"].as_u64() > Some(0)).then_some(());
        poll(SHORT, refused).await.expect("posts are refused while the disk is read-only");
        tokio::time::sleep(Duration::from_secs(2)).await;
        disk.give_back();
    }
}

fn requests() -> usize {
    std::env::var("WEIR_ACCEPTANCE_REQUESTS").ok().and_then(|requests| requests.parse().ok()).unwrap_or(10_000)
}

#[tokio::test]
async fn each_request_is_in_the_tables_once_whatever_happens() {
    // So many of callers, and strangers beside them.
    let all = requests() * STRANGERS / (STRANGERS - 1);
    let mut rig = Setup::new(&["a"], policy).tables().disk().start().await;
    let folder = rig.folder().to_owned();
    let mut first = another_envoy(&folder, "first").await;
    let progress = Progress { sent: Arc::default(), all };
    let (table, end) = (rig.collector.folder.join("endpoint_usage"), folder.join("stop"));
    let reader = tokio::spawn({
        let (end, folder) = (end.clone(), folder.clone());
        async move { scripts::watch(&table, &end, &folder).await }
    });
    let stopped = async {
        let before = load(&first, all / 4, &progress).await;
        stop(&mut first).await;
        let again = another_envoy(&folder, "first-again").await;
        (before, load(&again, all / 4, &progress).await, again)
    };
    let (_, (before, after, again), beside) = tokio::join!(
        outages(&mut rig.collector, rig.disk.as_ref(), &progress),
        stopped,
        load(&rig.envoy, all / 2, &progress)
    );
    for envoy in [&rig.envoy, &again] {
        assert_eq!(envoy.wait_for_stat("weir.records_queued", 0, SHORT).await, 0);
        assert_eq!(envoy.stat("weir.records_dropped").await, 0, "the outages were longer than what is buffered");
    }
    rig.collector.settled().await;
    std::fs::write(&end, "").expect("the reader's sign to stop");
    let tallies = [before, after, beside];
    let answered = ids(&tallies);
    check_tables(&rig.collector.folder, &folder, &answered).await;
    let seen = reader.await.expect("the reader's word");
    assert_eq!((&seen["wrong"], seen["reads"].as_u64() > Some(0)), (&json!([]), true), "{seen}");
    println!("{} requests, each once; a reader looked {} times meanwhile", answered.len(), seen["reads"]);
    rig.assert_healthy().await;
}

/// The ids of the requests that a model answered. Nothing else happened to callers, and every stranger was refused.
fn ids(tallies: &[Tally]) -> BTreeSet<&str> {
    let sent: usize = tallies.iter().map(|tally| tally.answers.len()).sum();
    let count = |status| tallies.iter().map(|tally| tally.count(status)).sum::<usize>();
    assert_eq!(count(200) + count(401), sent, "{:?}", tallies.iter().map(|tally| &tally.by_status).collect::<Vec<_>>());
    let answered = tallies.iter().flat_map(|tally| &tally.answers).filter(|answer| answer.status == 200);
    let ids: BTreeSet<&str> = answered.filter_map(|answer| answer.header("x-databricks-request-id")).collect();
    assert_eq!(ids.len(), count(200), "an id of its own for each request");
    ids
}

async fn check_tables(out: &Path, folder: &Path, answered: &BTreeSet<&str>) {
    let list = folder.join("ids");
    std::fs::write(&list, answered.iter().flat_map(|id| [id, "\n"]).collect::<String>()).expect("the ids' file");
    let credentials = [ALICE, &secret("a")];
    let list = list.display().to_string();
    let asked = [&["--ids", list.as_str()][..], &without(&credentials)].concat();
    let found = scripts::tables(out, folder, &asked).await;
    let once = json!([answered.len(), answered.len(), 0, 0]);
    for table in ["endpoint_usage", "endpoint_usage_detail", "chat_payload"] {
        assert_eq!(found["once"][table], once, "{table}: rows, ids, ids that it lacks, ids that nobody got");
    }
    assert!(found["quarantine"].is_null(), "{}", found["quarantine"]);
    assert_eq!(found["served_entities"]["duckdb"]["rows"], 1);
    assert_eq!(found["rows_with_a_credential"], 0);
    // The policy holds the callers' keys as hashes alone, the provider's by name: so nothing of the rig but what was sent has them.
    for credential in credentials {
        assert_eq!(files_with(folder, credential.as_bytes()), [""; 0]);
    }
}
