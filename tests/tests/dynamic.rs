//! `weir apply`: a policy changes in an Envoy that runs, on connections that are open, and nothing in flight notices; what is wrong
//! or refused changes nothing; providers' keys change too, and show nowhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::applying::watched;
use weir_e2e::client::chat;
use weir_e2e::policy::{ALICE, BOB, api_key};
use weir_e2e::process::Folder;
use weir_e2e::{Addresses, Applied, Call, Endpoint, Engine, Policy, Rig, Setup, jwt};

const REJECTED: &str = "weir.config_rejected";

fn policy(at: &Addresses, calls: u32) -> Policy {
    let limit = json!({"key": "user", "calls": calls});
    let endpoint = Endpoint::new("chat").entity(at, "a", 100).entity(at, "b", 0).fallback();
    // Longer than any test: so `used` is all that was sent.
    let month = ("/ai_gateway/rate_limits/0/renewal_period", json!("month"));
    Policy::new(at).endpoint(endpoint.limit(limit).set(month.0, month.1))
}

async fn rig(calls: u32) -> Rig {
    Setup::new(&["a", "b"], move |at| policy(at, calls)).applied().start().await
}

fn call(key: &str) -> Call {
    Call::chat(key, &chat("chat", json!({})))
}

fn ordered(key: &str, more: Value) -> Call {
    Call::chat(key, &chat("chat", more))
}

fn is_live(applied: &Applied) {
    assert_eq!(applied.status, 0, "{applied:?}");
    assert!(applied.out.starts_with("live: config_hash "), "{applied:?}");
}

/// The connection of the load and the stream's own are open before and after.
#[tokio::test]
async fn a_policy_is_in_force_on_open_connections_and_streams_go_on() {
    let mut rig = rig(1_000).await;
    assert_eq!(rig.send(call("carol-key")).await.status, 401);
    let client = rig.client.clone();
    let orders = json!({"content_tokens": 60, "chunks": 60, "chunk_delay_ms": 50});
    let body = json!({"stream": true, "mock": {"a": orders}});
    let stream = tokio::spawn(async move { client.stream(&ordered(ALICE, body)).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(rig.send(call(BOB)).await.status, 200);
    let connections = rig.envoy.stat("http.weir.downstream_cx_total").await;

    let mut new = policy(&rig.at, 1_000);
    let carol = api_key("carol-key", json!({"user": "carol@example.com"}));
    new.0["identity"]["sources"][0]["api_keys"].as_array_mut().expect("keys").push(carol);
    let applied = rig.apply(&new).await;
    is_live(&applied);
    println!("in force after {:?}", applied.took);
    assert_eq!(rig.send(call("carol-key")).await.status, 200);
    assert_eq!(rig.envoy.stat("http.weir.downstream_cx_total").await, connections, "on the connection of before");
    assert_eq!(rig.envoy.stat("http.weir.downstream_cx_drain_close").await, 0);

    let stream = stream.await.expect("the stream ran to its end");
    assert!(stream.clean_end && stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());
    let lines = rig.collector.usage(4).await;
    let hash = |user: &str| {
        let line = lines.iter().find(|line| line["row"]["requester"] == user).expect("a record");
        (line["detail"]["config_hash"].clone(), line["detail"]["complete"].clone())
    };
    let (alice, carol) = (hash("alice@example.com"), hash("carol@example.com"));
    assert_ne!(alice.0, carol.0, "each record names the policy that it was made under");
    assert_eq!((alice.1, carol.1), (json!(true), json!(true)));
    rig.assert_healthy().await;
}

/// The attempt after a reload is one of the plan before it: its order, its entities, its credentials.
#[tokio::test]
async fn a_fallback_over_a_reload_keeps_to_its_plan() {
    let mut rig = rig(1_000).await;
    let client = rig.client.clone();
    let body = json!({"mock": {"a": {"status": 503, "delay_ms": 2_500}}});
    let pending = tokio::spawn(async move { client.send(&ordered(ALICE, body)).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut other = policy(&rig.at, 900);
    let entities = other.0["endpoints"][0]["config"]["served_entities"].as_array_mut().expect("entities");
    entities[1]["name"] = json!("renamed");
    other.0["endpoints"][0]["config"]["traffic_config"]["routes"][1]["served_entity_name"] = json!("renamed");
    is_live(&rig.apply(&other).await);
    let answer = pending.await.expect("an answer");
    assert_eq!((answer.status, answer.header("served-model-name")), (200, Some("b")), "{}", answer.text());
    assert_eq!(rig.mock("b").last().await.header("authorization"), ["Bearer secret-of-b"]);
    rig.assert_healthy().await;
}

/// Further filters than Weir's own: one that verifies tokens, and (but unpaused) one more role, with a cluster for its engine.
#[tokio::test]
async fn tokens_and_shared_limits_over_an_apply() {
    let folder = Folder::new("engine");
    let engine = Engine::limitador(folder.path()).await;
    let rls =
        json!({"rls": {"url": format!("http://127.0.0.1:{}", engine.port), "timeout_ms": 5_000, "on_error": "deny"}});
    let source = json!({"jwt": {"user": "email", "groups": "groups", "issuer": "https://idp.example.com", "audiences": ["weir"],
        "jwks_file": "jwks.json"}});
    let made = |at: &Addresses| {
        let mut policy = policy(at, 3).set("/limits_store", rls.clone());
        policy.0["identity"]["sources"].as_array_mut().expect("sources").push(source.clone());
        policy
    };
    let mut rig = Setup::new(&["a", "b"], made).file("jwks.json", jwt::keys().to_string()).applied().start().await;
    let token = jwt::token(json!({"email": "dora@example.com"}), jwt::SIGNING_KEY);
    let statuses = async |rig: &Rig, n: usize| {
        let mut statuses = Vec::new();
        for _ in 0..n {
            statuses.push(rig.send(call(&token)).await.status);
        }
        statuses
    };
    assert_eq!(statuses(&rig, 2).await, [200, 200]);
    let mut other = made(&rig.at);
    other.0["endpoints"][0]["config"]["traffic_config"]["routes"][0]["traffic_percentage"] = json!(0);
    other.0["endpoints"][0]["config"]["traffic_config"]["routes"][1]["traffic_percentage"] = json!(100);
    is_live(&rig.apply(&other).await);
    assert_eq!(statuses(&rig, 3).await, [200, 429, 429], "the engine's count goes on");
    assert_eq!(rig.mock("b").count().await, 1, "the new policy");
    // The issuer's key changes: in force with the next policy, though the file is called the same.
    let other_key = b"another key, also at least 32 bytes";
    let with_other_key = call(&jwt::token(json!({"email": "dora@example.com"}), other_key));
    assert_eq!(rig.send(with_other_key.clone()).await.status, 401);
    std::fs::write(rig.folder().join("jwks.json"), jwt::keys_of(other_key).to_string()).expect("the keys");
    is_live(&rig.apply(&made(&rig.at)).await);
    assert_eq!((statuses(&rig, 1).await, rig.send(with_other_key).await.status), (vec![401], 429));
    let dump = rig.envoy.config_dump().await.to_string();
    assert!(!dump.contains(jwt::keys_of(other_key)["keys"][0]["k"].as_str().expect("a key")), "it shows");
    assert_eq!(rig.envoy.stat("weir.rls_failed").await, 0);
    rig.assert_healthy().await;
}

#[tokio::test]
async fn a_wrong_policy_touches_nothing() {
    let rig = rig(5).await;
    assert_eq!(rig.load(3, 1, |_| call(ALICE)).await.count(200), 3);
    let before = watched(rig.folder());
    let applied = rig.apply(&policy(&rig.at, 9).set("/no_such_key", json!(true))).await;
    assert_eq!((applied.status, applied.out.as_str()), (1, ""), "{applied:?}");
    assert!(applied.err.contains("no_such_key"), "{applied:?}");
    let missing = rig.apply_with(&policy(&rig.at, 9), &["!--secrets", "--secrets", "/nonexistent"]).await;
    assert_eq!(missing.status, 1, "{missing:?}");
    assert!(missing.err.contains("/nonexistent: expected a file `WEIR_SECRET_E2E_A`"), "{missing:?}");
    let unreachable = rig.apply_with(&policy(&rig.at, 9), &["!--admin", "--admin", "127.0.0.1:1"]).await;
    assert_eq!(unreachable.status, 3, "{unreachable:?}");
    let files =
        |all: Vec<(String, Vec<u8>)>| all.into_iter().filter(|(name, _)| !name.starts_with('.')).collect::<Vec<_>>();
    assert_eq!(files(watched(rig.folder())), files(before));
    assert_eq!(rig.load(3, 1, |_| call(ALICE)).await.count(200), 2, "the limit of 5");
    assert_eq!(rig.envoy.stat(REJECTED).await, 0);
}

/// What the filter refuses (a secret that it does not have) and what Envoy does (a port that is taken).
#[tokio::test]
async fn a_refused_policy_leaves_the_old_one_in_force() {
    let mut rig = rig(5).await;
    assert_eq!(rig.load(3, 1, |_| call(ALICE)).await.count(200), 3);
    let log = rig.folder().join("envoy.log").display().to_string();
    let refused = rig.apply_with(&policy(&rig.at, 9), &["!--secrets", "--envoy-log", &log]).await;
    assert_eq!((refused.status, refused.out.as_str()), (1, ""), "{refused:?}");
    assert!(refused.err.contains("policy rejected: endpoints[0]"), "{refused:?}");
    assert_eq!(rig.envoy.stat(REJECTED).await, 0, "what lies in the files is what is in force");
    let taken = format!("127.0.0.1:{}", rig.mock("a").port);
    let refused = rig.apply_with(&policy(&rig.at, 9), &["!--listen", "--listen", &taken]).await;
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.err.contains("Address already in use"), "{refused:?}");
    assert_eq!(rig.load(4, 1, |_| call(ALICE)).await.count(200), 2, "the limit of 5, also on open connections");
    is_live(&rig.apply(&policy(&rig.at, 6)).await);
    assert_eq!(rig.load(4, 1, |_| call(ALICE)).await.count(200), 1, "the limit of 6");
    rig.assert_healthy().await;
}

#[tokio::test]
async fn two_at_once_wait_for_each_other() {
    let rig = rig(1_000).await;
    let (one, two) = (policy(&rig.at, 7), policy(&rig.at, 7));
    let (one, two) = tokio::join!(rig.apply(&one), rig.apply(&two));
    is_live(&one);
    is_live(&two);
    assert_eq!(rig.load(10, 1, |_| call(BOB)).await.count(200), 7);
}

/// `n` reloads under load: every request is answered, and every one is counted once.
async fn reloads(rig: &mut Rig, n: u32) -> Vec<u64> {
    let over = Arc::new(AtomicBool::new(false));
    let (stop, client) = (over.clone(), rig.client.clone());
    let load = tokio::spawn(async move {
        let (mut sent, mut wrong) = (0usize, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            // Every other one falls back.
            let orders =
                |number: usize| json!({"mock": {"a": {"status": if number.is_multiple_of(2) { 503 } else { 200 }}}});
            let tally = client.load(40, 8, |number| ordered(ALICE, orders(number))).await;
            sent += 40;
            wrong.extend(tally.answers.iter().filter(|answer| answer.status != 200).map(|answer| answer.text()));
        }
        (sent, wrong)
    });
    let mut resident = Vec::new();
    for number in 0..n {
        let applied = rig.apply(&policy(&rig.at, 1_000_000 + number % 7)).await;
        is_live(&applied);
        resident.push(rig.envoy.resident());
    }
    over.store(true, Ordering::Relaxed);
    let (sent, wrong) = load.await.expect("the load ran to its end");
    assert_eq!(wrong, Vec::<String>::new(), "of {sent}");
    println!(
        "resident memory after each reload, MB: {:?}",
        resident.iter().map(|bytes| bytes >> 20).collect::<Vec<_>>()
    );
    let limits = rig.send(Call::get("/weir/v1/limits").key(ALICE)).await.json();
    let used = limits.to_string();
    assert!(used.contains(&format!("\"used\":{sent}")), "{sent} sent: {used}");
    assert_eq!(rig.envoy.stat("weir.records_dropped").await, 0);
    resident
}

#[tokio::test]
async fn ten_reloads_under_load() {
    let mut rig = rig(1_000_000).await;
    reloads(&mut rig, 10).await;
    rig.assert_healthy().await;
}

/// `make reloads`. What 100 reloads add after the first 20 is bounded: see docs/operations.md.
#[tokio::test]
#[ignore = "some minutes: `make reloads`"]
async fn a_hundred_reloads_under_load() {
    let mut rig = rig(1_000_000).await;
    let resident = reloads(&mut rig, 120).await;
    let megabytes: Vec<u64> = resident.iter().map(|bytes| bytes >> 20).collect();
    rig.assert_healthy().await;
    let growth = megabytes[119].saturating_sub(megabytes[19]);
    assert!(growth <= 32, "{growth} MB more");
}

/// A provider's key changes under load. When `weir apply` is done, the old one is used no more.
#[tokio::test]
async fn a_providers_key_changes_under_load() {
    let mut rig = rig(1_000_000).await;
    let over = Arc::new(AtomicBool::new(false));
    let (stop, client) = (over.clone(), rig.client.clone());
    let load = tokio::spawn(async move {
        let mut statuses = std::collections::BTreeMap::new();
        while !stop.load(Ordering::Relaxed) {
            for (status, count) in client.load(40, 8, |_| call(ALICE)).await.by_status {
                *statuses.entry(status).or_insert(0) += count;
            }
        }
        statuses
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    rig.set_secret("a", "second-secret-of-a");
    is_live(&rig.apply(&policy(&rig.at, 1_000_000)).await);
    // Whatever was on its way.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let switched = rig.mock("a").count().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    over.store(true, Ordering::Relaxed);
    let statuses = load.await.expect("the load ran to its end");
    assert_eq!(statuses.keys().collect::<Vec<_>>(), [&200], "{statuses:?}");
    let received = rig.mock("a").received().await;
    let total = rig.mock("a").count().await;
    let after = received.len().min(usize::try_from(total - switched).expect("a count"));
    assert!(after > 0, "requests after the change");
    for request in &received[received.len() - after..] {
        assert_eq!(request.header("authorization"), ["Bearer second-secret-of-a"]);
    }
    let rows = rig.collector.usage(statuses[&200]).await;
    let shown = [rig.envoy.config_dump().await.to_string(), rig.envoy.log(), format!("{rows:?}")];
    for (place, text) in ["config_dump", "log", "records"].iter().zip(&shown) {
        assert!(!text.contains("secret-of-"), "a secret in {place}");
    }
    assert!(shown[0].contains("[redacted]"), "Envoy knows them for secrets");
    rig.assert_healthy().await;
}
