//! Records on their way: at least once, none twice by id, in time, bounded, with a token where the collector wants one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::ALICE;
use weir_e2e::{Addresses, Call, Endpoint, Policy, Setup};

fn policy(at: &Addresses) -> Policy {
    Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100))
}

fn call() -> Call {
    Call::chat(ALICE, &chat("chat", json!({})))
}

fn ids(lines: &[Value]) -> BTreeSet<&str> {
    lines.iter().filter_map(|line| line["row"]["databricks_request_id"].as_str()).collect()
}

#[tokio::test]
async fn a_record_arrives_within_a_second() {
    let rig = Setup::new(&["a"], |at| policy(at).set("/logging/flush_interval_ms", json!(500))).start().await;
    assert_eq!(rig.send(call()).await.status, 200);
    let begin = Instant::now();
    let lines = rig.collector.usage(1).await;
    assert!(begin.elapsed() < Duration::from_millis(1_500), "it took {:?}", begin.elapsed());
    assert_eq!(lines[0]["detail"]["gateway"], "weir", "Envoy's node id");
}

#[tokio::test]
async fn every_record_survives_ten_seconds_without_a_collector() {
    // With the buffer as it is by default: unpacked it would hold two thirds of them.
    let mut rig = Setup::new(&["a"], policy).start().await;
    let client = rig.client.clone();
    let load = tokio::spawn(async move { client.load(20_000, 32, |_| call()).await });
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    rig.collector.kill();
    tokio::time::sleep(Duration::from_secs(10)).await;
    rig.collector.restart().await;
    let tally = load.await.expect("the load ran to its end");
    assert_eq!(tally.count(200), 20_000, "{:?}", tally.by_status);
    let lines = rig.collector.wait_for("endpoint_usage", 20_000, Duration::from_secs(30)).await;
    assert_eq!(ids(&lines).len(), 20_000, "each id once");
    let answered: BTreeSet<_> =
        tally.answers.iter().filter_map(|answer| answer.header("x-databricks-request-id")).collect();
    assert_eq!(answered, ids(&lines), "the ids that callers saw and those that were recorded");
    assert_eq!(rig.envoy.wait_for_stat("weir.records_queued", 0, Duration::from_secs(5)).await, 0);
    rig.assert_healthy().await;
}

#[tokio::test]
async fn a_full_buffer_drops_and_counts() {
    let policy = |at: &Addresses| {
        policy(at).set("/logging/max_buffered_bytes", json!(65_536)).set("/logging/max_batch_bytes", json!(16_384))
    };
    let mut rig = Setup::new(&["a"], policy).workers(1).start().await;
    rig.collector.kill();
    assert_eq!(rig.load(1_000, 16, |_| call()).await.count(200), 1_000);
    let dropped = rig.envoy.stat("weir.records_dropped").await;
    assert!(dropped > 0 && dropped < 1_000, "{dropped} dropped");
    rig.collector.restart().await;
    assert_eq!(rig.envoy.wait_for_stat("weir.records_queued", 0, Duration::from_secs(20)).await, 0);
    let lines = rig.collector.lines("endpoint_usage");
    let dropped = rig.envoy.stat("weir.records_dropped").await;
    assert_eq!(lines.len() as u64 + dropped, 1_000 + entities_dropped(&rig.collector.lines("served_entities")));
    rig.assert_healthy().await;
}

/// 1 where the endpoint's own row, sent once, was among the dropped.
fn entities_dropped(lines: &[Value]) -> u64 {
    u64::from(lines.is_empty())
}

#[tokio::test]
async fn served_entities_are_sent_once_and_join_with_usage() {
    let policy =
        |at: &Addresses| Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 50).entity(at, "b", 50));
    let rig = Setup::new(&["a", "b"], policy).workers(4).start().await;
    let entities = rig.collector.wait_for("served_entities", 2, Duration::from_secs(15)).await;
    for line in &entities {
        assert_eq!(line["row"]["endpoint_name"], "chat");
        assert_eq!(line["row"]["entity_type"], "EXTERNAL_MODEL");
        assert!(!line.to_string().contains("secret-of"), "{line}");
    }
    let known: BTreeSet<_> = entities.iter().filter_map(|line| line["row"]["served_entity_id"].as_str()).collect();
    assert_eq!(known.len(), 2);
    rig.load(40, 8, |_| call()).await;
    let lines = rig.collector.usage(40).await;
    let used: BTreeSet<_> = lines.iter().filter_map(|line| line["row"]["served_entity_id"].as_str()).collect();
    assert_eq!(used, known);
}

#[tokio::test]
async fn the_logging_cluster_is_no_part_of_a_request() {
    let mut rig = Setup::new(&["a"], policy).start().await;
    rig.collector.kill();
    let begin = Instant::now();
    assert_eq!(rig.load(200, 8, |_| call()).await.count(200), 200);
    assert!(begin.elapsed() < Duration::from_secs(3), "200 requests took {:?} without a collector", begin.elapsed());
}
