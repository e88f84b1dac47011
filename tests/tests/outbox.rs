//! What becomes of rows that a collector cannot have now, or ever: packed, taken apart, dropped by worth, told in the log.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::ALICE;
use weir_e2e::process::poll;
use weir_e2e::receiver::{Receiver, lines};
use weir_e2e::{Addresses, Call, Endpoint, Policy, Setup};

fn policy(at: &Addresses) -> Policy {
    Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100))
}

fn call() -> Call {
    Call::chat(ALICE, &chat("chat", json!({})))
}

fn is_usage(line: &&Value) -> bool {
    line["table"] == "endpoint_usage"
}

#[tokio::test]
async fn batches_are_packed_where_the_collector_unpacks() {
    for takes_gzip in [true, false] {
        let receiver = Receiver::start(move |post, _| match post.header("content-encoding") {
            Some(_) if !takes_gzip => (415, None, ""),
            _ => (200, None, ""),
        })
        .await;
        // To this machine batches go plain: the collector is one that lives elsewhere, by its name.
        let far = |at: &Addresses| {
            let url = json!("http://records.example.com/v1/records");
            policy(at).set("/logging/url", url).set("/logging/cluster", json!("far"))
        };
        let port = receiver.port;
        let setup = Setup::new(&["a"], far).edit(move |bootstrap, _| bootstrap.add_cluster("far", port));
        let mut rig = setup.workers(1).start().await;
        for _ in 0..2 {
            assert_eq!(rig.load(50, 8, |_| call()).await.count(200), 50);
            assert_eq!(rig.envoy.wait_for_stat("weir.records_queued", 0, Duration::from_secs(10)).await, 0);
        }
        let posts = receiver.posts();
        let found = lines(&posts);
        let ids: BTreeSet<&str> =
            found.iter().filter_map(|line| line["row"]["databricks_request_id"].as_str()).collect();
        assert_eq!((ids.len(), found.iter().filter(is_usage).count()), (100, 100));
        let refused = posts.iter().filter(|post| post.status == 415).count();
        assert_eq!(refused, usize::from(!takes_gzip), "it is asked once");
        assert_eq!(
            posts.iter().any(|post| post.header("content-encoding").is_some() && post.status == 200),
            takes_gzip
        );
        rig.assert_healthy().await;
    }
}

/// One row that a collector will never take must not hold up the others.
#[tokio::test]
async fn a_row_that_is_refused_for_good_goes_alone() {
    let receiver =
        Receiver::start(|post, _| if post.body.contains("poison") { (400, None, "") } else { (200, None, "") }).await;
    let url = json!(format!("http://127.0.0.1:{}/v1/records", receiver.port));
    let mut rig = Setup::new(&["a"], |at| policy(at).set("/logging/url", url.clone())).workers(1).start().await;
    let marked = |number: usize| {
        let more = if number == 17 { json!({"client_request_id": "poison"}) } else { json!({}) };
        Call::chat(ALICE, &chat("chat", more))
    };
    assert_eq!(rig.load(50, 8, marked).await.count(200), 50);
    assert_eq!(rig.envoy.wait_for_stat("weir.records_queued", 0, Duration::from_secs(10)).await, 0);
    assert_eq!(lines(&receiver.posts()).iter().filter(is_usage).count(), 49);
    assert_eq!(rig.envoy.stat("weir.records_dropped").await, 1);
    let told = poll(Duration::from_secs(12), async || {
        rig.envoy.log().lines().any(|line| line.contains("record lost: ") && line.contains("poison")).then_some(())
    });
    assert!(told.await.is_some(), "the lost row stands nowhere in Envoy's log");
    rig.assert_healthy().await;
}

/// A wrong token is put right; until then the rows wait.
#[tokio::test]
async fn a_wrong_token_loses_nothing() {
    let receiver = Receiver::start(|_, number| if number < 2 { (401, None, "") } else { (200, None, "") }).await;
    let url = json!(format!("http://127.0.0.1:{}/v1/records", receiver.port));
    let rig = Setup::new(&["a"], |at| policy(at).set("/logging/url", url.clone())).workers(1).start().await;
    assert_eq!(rig.send(call()).await.status, 200);
    let posts = receiver.wait(|posts| lines(posts).iter().any(|line| is_usage(&line))).await;
    assert!(posts.len() >= 3);
    assert_eq!(rig.envoy.stat("weir.records_dropped").await, 0);
}

/// The flood is dropped or counted; every row of a caller's arrives.
#[tokio::test]
async fn a_flood_of_strangers_pushes_out_no_usage_row() {
    let policy = |at: &Addresses| {
        policy(at).set("/logging/max_buffered_bytes", json!(262_144)).set("/logging/max_batch_bytes", json!(16_384))
    };
    let mut rig = Setup::new(&["a"], policy).start().await;
    rig.collector.kill();
    let stranger = || Call::post("/v1/chat/completions", chat("chat", json!({})).to_string());
    // One of ten is a caller's: 200 rows of some 1.1 KB for two workers, the flood would fill their buffers alone.
    for _ in 0..4 {
        let tally = rig.load(500, 16, |number| if number % 10 == 0 { call() } else { stranger() }).await;
        assert_eq!((tally.count(200), tally.count(401)), (50, 450));
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    rig.collector.restart().await;
    assert_eq!(rig.envoy.wait_for_stat("weir.records_queued", 0, Duration::from_secs(20)).await, 0);
    let lines = rig.collector.lines("endpoint_usage");
    assert_eq!(lines.iter().filter(|line| line["row"]["status_code"] == 200).count(), 200);
    let rows = lines.iter().filter(|line| line["row"]["status_code"] == 401).count();
    let counted: u64 = lines.iter().filter_map(|line| line["detail"]["counts"]["401"].as_u64()).sum();
    let dropped = rig.envoy.stat("weir.records_dropped").await;
    assert!(rows < 1_800 && rows as u64 + counted + dropped > 0, "{rows} rows, {counted} counted, {dropped} dropped");
    rig.assert_healthy().await;
}

/// `usage_context` of up to 10 KiB, from the body or, for clients that cannot send it there, from a header.
#[tokio::test]
async fn a_usage_context_of_10_kib() {
    let rig = Setup::new(&["a"], policy).start().await;
    let header = |bytes: usize| {
        let context = json!({"k": "v".repeat(bytes - r#"{"k":""}"#.len())}).to_string();
        assert_eq!(context.len(), bytes);
        call().header("x-weir-usage-context", &context)
    };
    let body = |bytes: usize| Call::chat(ALICE, &chat("chat", json!({"usage_context": {"k": "v".repeat(bytes - 1)}})));
    for (call, status) in [(header(10_240), 200), (header(10_241), 400), (body(10_240), 200), (body(10_241), 400)] {
        assert_eq!(rig.send(call).await.status, status);
    }
    let lines = rig.collector.usage(4).await;
    let lengths = lines.iter().filter_map(|line| Some(line["row"]["usage_context"]["k"].as_str()?.len()));
    assert_eq!(lengths.collect::<BTreeSet<_>>(), BTreeSet::from([10_232, 10_239]));
}
