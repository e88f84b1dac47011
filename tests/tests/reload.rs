//! A policy that changes while Envoy runs: nothing in flight notices, no counter forgets, no record is lost, and a wrong policy
//! changes nothing but a gauge and the log.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::{ALICE, BOB, api_key};
use weir_e2e::raw::Raw;
use weir_e2e::{Addresses, Call, Client, Endpoint, Policy, Reload, Rig, Setup};

const REJECTED: &str = "weir.config_rejected";
const QUEUED: &str = "weir.records_queued";
const SOON: Duration = Duration::from_secs(5);

fn policy(at: &Addresses, calls: u32) -> Policy {
    let limit = json!({"key": "user", "calls": calls});
    Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100).limit(limit))
}

async fn rig(calls: u32) -> Rig {
    Setup::new(&["a"], move |at| policy(at, calls)).reloads().start().await
}

fn call(key: &str) -> Call {
    Call::chat(key, &chat("chat", json!({})))
}

/// A call whose answer is a stream of about 3 s.
fn long_call() -> Call {
    let orders = json!({"content_tokens": 60, "chunks": 60, "chunk_delay_ms": 50});
    Call::chat(ALICE, &chat("chat", json!({"stream": true, "mock": {"a": orders}})))
}

/// How many of `n` calls one after the other are admitted.
async fn admitted(client: &Client, key: &str, n: usize) -> usize {
    client.load(n, 1, |_| call(key)).await.count(200)
}

/// A client on connections of its own: the rig's keep the configuration that they began with.
fn new_client(rig: &Rig) -> Client {
    Client::new(&rig.base())
}

/// A connection that Envoy has accepted: what comes on it meets the policy of now, also after a reload. Envoy closes such a
/// connection behind the first answer, so it is good for one request.
async fn connection(rig: &Rig) -> Raw {
    let accepted = rig.envoy.stat(ACCEPTED).await;
    let raw = Raw::connect(rig.envoy.port).await;
    assert_eq!(rig.envoy.wait_for_stat(ACCEPTED, accepted + 1, SOON).await, accepted + 1);
    raw
}

const ACCEPTED: &str = "http.weir.downstream_cx_total";

fn raw_request() -> String {
    let body = chat("chat", json!({})).to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: e2e\r\nauthorization: Bearer {ALICE}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_new_policy_is_in_force_and_streams_go_on() {
    let mut rig = rig(1_000).await;
    let client = rig.client.clone();
    let stream = tokio::spawn(async move { client.stream(&long_call()).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let client = rig.client.clone();
    let load = tokio::spawn(async move { client.load(300, 4, |_| call(BOB)).await });

    let mut new = policy(&rig.at, 1_000);
    let carol = api_key("carol-key", json!({"user": "carol@example.com"}));
    new.0["identity"]["sources"][0]["api_keys"].as_array_mut().expect("keys").push(carol);
    assert_eq!(new_client(&rig).send(&call("carol-key")).await.status, 401);
    assert_eq!(rig.reload(new).await, Reload::Accepted);
    assert_eq!(new_client(&rig).send(&call("carol-key")).await.status, 200, "the new key is in force");

    let load = load.await.expect("the load ran to its end");
    assert_eq!(load.count(200), 300, "{:?}", load.by_status);
    let stream = stream.await.expect("the stream ran to its end");
    assert!(stream.clean_end && stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());

    let lines = rig.collector.usage(303).await;
    let streamed: Vec<_> = lines.iter().filter(|line| line["row"]["request_streaming"] == true).collect();
    assert_eq!(streamed.len(), 1);
    assert_eq!(
        (&streamed[0]["row"]["output_token_count"], &streamed[0]["detail"]["complete"]),
        (&json!(60), &json!(true))
    );
    let hash = |line: &Value| line["detail"]["config_hash"].clone();
    let carol = lines.iter().find(|line| line["row"]["requester"] == "carol@example.com").expect("her record");
    assert_ne!(hash(carol), hash(streamed[0]), "each record names the policy that it was made under");
    assert_eq!(rig.envoy.stat(REJECTED).await, 0);
    rig.assert_healthy().await;
}

#[tokio::test]
async fn used_calls_stay_used_under_old_and_new_policies() {
    let rig = rig(5).await;
    assert_eq!(admitted(&rig.client, ALICE, 3).await, 3);
    let old = [connection(&rig).await, connection(&rig).await, connection(&rig).await];
    assert_eq!(rig.reload(policy(&rig.at, 7)).await, Reload::Accepted);
    let new = new_client(&rig);
    assert_eq!(admitted(&new, ALICE, 1).await, 1);
    // 4 are used: the old connections' policy has room for one more, the new one's for three.
    let mut statuses = Vec::new();
    for mut raw in old {
        raw.write(raw_request().as_bytes()).await;
        statuses.push(raw.read_until(|text| text.contains("\r\n\r\n")).await[9..12].to_owned());
    }
    assert_eq!(statuses, ["200", "429", "429"], "by the limit of 5 that old connections keep");
    assert_eq!(admitted(&new, ALICE, 5).await, 2, "by the limit of 7");
    assert_eq!(rig.reload(policy(&rig.at, 6)).await, Reload::Accepted);
    assert_eq!(admitted(&new_client(&rig), ALICE, 1).await, 0, "by the limit of 6");
    assert_eq!(rig.reload(policy(&rig.at, 8)).await, Reload::Accepted);
    assert_eq!(admitted(&new_client(&rig), ALICE, 3).await, 1, "by the limit of 8");
}

#[tokio::test]
async fn a_wrong_policy_is_rejected_and_the_old_one_stays() {
    let mut rig = rig(5).await;
    assert_eq!(admitted(&rig.client, ALICE, 3).await, 3);
    let wrong = json!({"account_id": 5, "endpoints": [], "no_such_key": true}).to_string();
    let before = rig.envoy.log().len();
    let edit = |bootstrap: &mut weir_e2e::bootstrap::Bootstrap| bootstrap.set_policies(&wrong);
    assert_eq!(rig.reload_edited(policy(&rig.at, 9), &edit).await, Reload::Rejected);
    assert_eq!(rig.envoy.wait_for_stat(REJECTED, 1, SOON).await, 1);
    let log = rig.envoy.log()[before..].to_owned();
    let problems: Vec<_> = log.lines().filter(|line| line.contains("policy rejected: ")).collect();
    let told = |path: &str| problems.iter().filter(|line| line.contains(&format!("policy rejected: {path}:"))).count();
    let paths = ["account_id", "endpoints", "no_such_key"];
    assert_eq!((paths.map(told), problems.len()), ([1, 1, 1], 3), "one line per problem: {problems:#?}");
    assert_eq!(admitted(&rig.client, ALICE, 1).await, 1);
    assert_eq!(admitted(&new_client(&rig), ALICE, 2).await, 1, "the old limit of 5");

    assert_eq!(rig.reload(policy(&rig.at, 6)).await, Reload::Accepted);
    assert_eq!(rig.envoy.wait_for_stat(REJECTED, 0, SOON).await, 0);
    assert_eq!(admitted(&new_client(&rig), ALICE, 2).await, 1, "the new limit of 6");
    rig.collector.usage(8).await;
    rig.assert_healthy().await;
}

/// Who goes back to exactly the policy in force changes nothing for Envoy, which does not ask the filter again.
#[tokio::test]
async fn the_gauge_falls_with_the_next_policy_that_is_not_yet_in_force() {
    let rig = rig(5).await;
    let edit = |bootstrap: &mut weir_e2e::bootstrap::Bootstrap| bootstrap.set_policies("{}");
    assert_eq!(rig.reload_edited(policy(&rig.at, 5), &edit).await, Reload::Rejected);
    assert_eq!(rig.envoy.wait_for_stat(REJECTED, 1, SOON).await, 1);
    assert_eq!(rig.reload(policy(&rig.at, 5)).await, Reload::Accepted);
    assert_eq!(rig.envoy.stat(REJECTED).await, 1);
    assert_eq!(rig.reload(policy(&rig.at, 6)).await, Reload::Accepted);
    assert_eq!(rig.envoy.wait_for_stat(REJECTED, 0, SOON).await, 0);
}

#[tokio::test]
async fn a_new_entity_with_a_secret_of_its_own() {
    let both = |at: &Addresses| {
        let endpoint = Endpoint::new("chat").entity(at, "a", 0).entity(at, "b", 100);
        Policy::new(at).endpoint(endpoint.limit(json!({"key": "user", "calls": 5})))
    };
    let mut rig = Setup::new(&["a", "b"], |at| policy(at, 5)).environment_of(both).reloads().start().await;
    assert_eq!(admitted(&rig.client, ALICE, 4).await, 4);
    assert_eq!(rig.reload(both(&rig.at)).await, Reload::Accepted);
    assert_eq!(admitted(&new_client(&rig), ALICE, 3).await, 1, "the calls of before are still used");
    assert_eq!(rig.mock("b").last().await.header("authorization"), ["Bearer secret-of-b"]);
    rig.collector.usage(7).await;
    rig.assert_healthy().await;
}

#[tokio::test]
async fn rows_queued_before_a_reload_arrive() {
    // Rows would wait for 20 s; the old configuration goes after 1 s.
    let policy = |at: &Addresses, calls| policy(at, calls).set("/logging/flush_interval_ms", json!(20_000));
    let setup = Setup::new(&["a"], |at| policy(at, 100)).argument("--drain-time-s").argument("1");
    let rig = setup.reloads().start().await;
    assert_eq!(admitted(&rig.client, ALICE, 20).await, 20);
    assert!(rig.envoy.stat(QUEUED).await >= 20);
    assert_eq!(rig.reload(policy(&rig.at, 101)).await, Reload::Accepted);
    rig.collector.wait_for("endpoint_usage", 20, Duration::from_secs(8)).await;
}

#[tokio::test]
async fn a_stream_that_is_cut_when_its_configuration_goes_is_recorded() {
    let setup = Setup::new(&["a"], |at| policy(at, 100)).argument("--drain-time-s").argument("1");
    let mut rig = setup.reloads().start().await;
    let client = rig.client.clone();
    let orders = json!({"content_tokens": 60, "chunks": 60, "chunk_delay_ms": 200});
    let body = chat("chat", json!({"stream": true, "mock": {"a": orders}}));
    let stream = tokio::spawn(async move { client.stream(&Call::chat(ALICE, &body)).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.reload(policy(&rig.at, 101)).await, Reload::Accepted);
    let stream = stream.await.expect("the stream ran to its end");
    assert!(!stream.clean_end && !stream.text().contains("[DONE]"), "{}", stream.text());
    let line = &rig.collector.usage(1).await[0];
    assert_eq!(line["detail"]["complete"], false, "{line}");
    rig.assert_healthy().await;
}

#[tokio::test]
async fn a_reload_while_the_collector_is_away_loses_nothing() {
    let setup = Setup::new(&["a"], |at| policy(at, 1_000)).argument("--drain-time-s").argument("1");
    let mut rig = setup.reloads().start().await;
    rig.collector.kill();
    assert_eq!(admitted(&rig.client, ALICE, 20).await, 20);
    assert_eq!(rig.reload(policy(&rig.at, 1_001)).await, Reload::Accepted);
    assert_eq!(admitted(&new_client(&rig), ALICE, 20).await, 20);
    // The old configuration has begun to go, and waits.
    tokio::time::sleep(Duration::from_secs(3)).await;
    rig.collector.restart().await;
    rig.collector.usage(40).await;
    assert_eq!(rig.envoy.wait_for_stat(QUEUED, 0, SOON).await, 0);
    assert_eq!(rig.envoy.stat("weir.records_dropped").await, 0);
}

#[tokio::test]
async fn what_a_configuration_that_goes_cannot_send_is_counted() {
    let setup = Setup::new(&["a"], |at| policy(at, 1_000)).argument("--drain-time-s").argument("1");
    let mut rig = setup.reloads().start().await;
    rig.collector.wait_for("served_entities", 1, SOON).await;
    rig.collector.kill();
    assert_eq!(admitted(&rig.client, ALICE, 20).await, 20);
    assert_eq!(rig.reload(policy(&rig.at, 1_001)).await, Reload::Accepted);
    // 1 s of draining and 5 s of waiting.
    assert_eq!(rig.envoy.wait_for_stat("weir.records_dropped", 20, Duration::from_secs(12)).await, 20);
    rig.collector.restart().await;
    assert_eq!(rig.envoy.wait_for_stat(QUEUED, 0, Duration::from_secs(10)).await, 0);
    rig.assert_healthy().await;
}

#[tokio::test]
async fn shutdown_without_loss() {
    let policy = |at: &Addresses| policy(at, 100_000).set("/logging/flush_interval_ms", json!(2_000));
    let mut rig = Setup::new(&["a"], policy).start().await;
    assert_eq!(rig.load(500, 16, |_| call(ALICE)).await.count(200), 500);
    let client = rig.client.clone();
    let stream = tokio::spawn(async move { client.stream(&long_call()).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(rig.envoy.admin_post("/drain_listeners?graceful").await, 200);
    let stream = stream.await.expect("the stream ran to its end");
    assert!(stream.clean_end, "{}", stream.text());
    assert_eq!(rig.envoy.wait_for_stat(QUEUED, 0, Duration::from_secs(10)).await, 0);
    rig.assert_healthy().await;
    rig.envoy.terminate().await;
    rig.collector.usage(501).await;
}
