//! The filter's file itself: another one takes over while Envoy runs, and a VM that traps costs its own worker's streams, and no
//! more.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use weir_e2e::client::chat;
use weir_e2e::policy::{ALICE, BOB};
use weir_e2e::process::{dist, poll};
use weir_e2e::{Addresses, Call, Client, Endpoint, Policy, Rig, Setup, wasm};

fn policy(at: &Addresses, calls: u32) -> Policy {
    let endpoint = Endpoint::new("chat").entity(at, "a", 100).entity(at, "b", 0).fallback();
    let limit = endpoint.limit(json!({"key": "user", "calls": calls}));
    Policy::new(at).endpoint(limit.set("/ai_gateway/rate_limits/0/renewal_period", json!("month")))
}

async fn rig() -> Rig {
    Setup::new(&["a", "b"], |at| policy(at, 1_000_000)).applied().start().await
}

fn long_call() -> Call {
    let orders = json!({"content_tokens": 80, "chunks": 80, "chunk_delay_ms": 100});
    Call::chat(BOB, &chat("chat", json!({"stream": true, "mock": {"a": orders}})))
}

/// The filter's file, changed.
fn changed(rig: &Rig, name: &str, change: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let path: PathBuf = rig.folder().join(name);
    std::fs::write(&path, change(&std::fs::read(dist("weir.wasm")).expect("the filter"))).expect("a file");
    path.display().to_string()
}

async fn used(rig: &Rig, key: &str) -> String {
    let limits = Client::new(&rig.base()).send(&Call::get("/weir/v1/limits").key(key)).await;
    limits.json().to_string()
}

#[tokio::test]
async fn another_filter_takes_over_under_load() {
    let mut rig = rig().await;
    let client = rig.client.clone();
    let stream = tokio::spawn(async move { client.stream(&long_call()).await });
    let over = Arc::new(AtomicBool::new(false));
    let (stop, client) = (over.clone(), rig.client.clone());
    let load = tokio::spawn(async move {
        let (mut sent, mut wrong) = (0usize, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            // Every other one falls back.
            let orders =
                |number: usize| json!({"mock": {"a": {"status": if number.is_multiple_of(2) { 503 } else { 200 }}}});
            let call = |number| Call::chat(ALICE, &chat("chat", orders(number)));
            let tally = client.load(40, 8, call).await;
            sent += 40;
            wrong.extend(tally.answers.iter().filter(|answer| answer.status != 200).map(|answer| answer.text()));
        }
        (sent, wrong)
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let other = changed(&rig, "another.wasm", wasm::another);
    let applied = rig.apply_with(&policy(&rig.at, 1_000_000), &["!--wasm", "--wasm", &other]).await;
    assert_eq!(applied.status, 0, "{applied:?}");
    println!("in force after {:?}", applied.took);
    over.store(true, Ordering::Relaxed);
    let (sent, wrong) = load.await.expect("the load ran to its end");
    assert_eq!(wrong, Vec::<String>::new(), "of {sent}");
    let stream = stream.await.expect("the stream ran to its end");
    assert!(stream.clean_end && stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());
    let limits = used(&rig, ALICE).await;
    assert!(limits.contains(&format!("\"used\":{sent}")), "{sent} sent: {limits}");
    rig.collector.usage(sent + 1).await;
    // A module that is no filter.
    let none = changed(&rig, "none.wasm", |bytes| bytes[..8].to_vec());
    let applied = rig.apply_with(&policy(&rig.at, 1_000_000), &["!--wasm", "--wasm", &none]).await;
    assert_eq!(applied.status, 1, "{applied:?}");
    assert_eq!(rig.send(Call::chat(ALICE, &chat("chat", json!({})))).await.status, 200);
    assert_eq!(rig.envoy.stat("weir.records_dropped").await, 0);
    rig.assert_healthy().await;
}

/// The body's size that is the trap.
const SIZE: usize = 7_777;

#[tokio::test]
async fn a_trap_costs_its_own_workers_streams_and_no_more() {
    let mut rig = rig().await;
    let trap = changed(&rig, "trap.wasm", |bytes| wasm::that_traps_at(bytes, i64::try_from(SIZE).expect("small")));
    let applied = rig.apply_with(&policy(&rig.at, 1_000_000), &["!--wasm", "--wasm", &trap]).await;
    assert_eq!(applied.status, 0, "{applied:?}");
    let streams: Vec<_> = (0..24)
        .map(|_| {
            let client = Client::new(&rig.base());
            tokio::spawn(async move { client.stream(&long_call()).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let plain = chat("chat", json!({"pad": ""})).to_string();
    let pad = "x".repeat(SIZE - plain.len());
    let body = chat("chat", json!({"pad": pad})).to_string();
    assert_eq!(body.len(), SIZE);
    let deadly = Client::new(&rig.base()).try_send(&Call::post("/v1/chat/completions", body).key(ALICE)).await;
    println!("the one that trapped: {:?}", deadly.as_ref().map(|answer| answer.status));
    assert!(deadly.is_err() || deadly.is_ok_and(|answer| answer.status >= 500), "a request that traps is not served");

    let mut whole = 0;
    for stream in streams {
        let stream = stream.await.expect("its end");
        whole += usize::from(stream.clean_end && stream.text().ends_with("data: [DONE]\n\n"));
    }
    println!("{whole} of 24 streams went on");
    assert!((1..24).contains(&whole), "{whole} of 24 went on: those of the other worker");
    // New connections meet both workers: all is well again by itself.
    let well = async || {
        for _ in 0..16 {
            let answer = Client::new(&rig.base()).try_send(&Call::chat(ALICE, &chat("chat", json!({})))).await;
            answer.ok().filter(|answer| answer.status == 200)?;
        }
        Some(())
    };
    assert_eq!(poll(Duration::from_secs(20), well).await, Some(()), "16 answers on 16 connections");
    assert!(rig.envoy.stat("vm_reload_success").await >= 1);
    let limits = used(&rig, BOB).await;
    assert!(limits.contains("\"used\":24"), "what was counted stays: {limits}");
    assert!(rig.envoy.is_running());
}
