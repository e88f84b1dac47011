//! What becomes of limits that an engine counts when Envoy's policy is replaced in the middle of traffic, and when Envoy is
//! started again: no count is lost. On the limitador crate; on envoyproxy/ratelimit too where there is a Go to build it.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::engine::policy_file;
use weir_e2e::policy::{ALICE, BOB};
use weir_e2e::process::{Folder, poll};
use weir_e2e::{Addresses, Call, Client, Endpoint, Engine, Policy, Reload, Rig, Setup};

/// A bound for waits, not a measure.
const SOON: Duration = Duration::from_secs(15);

fn policy(at: &Addresses, port: u16, limits: &[Value]) -> Policy {
    let endpoint = limits.iter().cloned().fold(Endpoint::new("chat").entity(at, "a", 100), Endpoint::limit);
    // Far above what an engine takes on a busy machine: it is about its counts.
    let rls = json!({"url": format!("http://127.0.0.1:{port}"), "timeout_ms": 5_000, "on_error": "deny"});
    Policy::new(at).set("/limits_store", json!({ "rls": rls })).endpoint(endpoint)
}

async fn rig(port: u16, limits: &[Value]) -> Rig {
    Setup::new(&["a"], |at| policy(at, port, limits)).workers(2).reloads().start().await
}

/// All engines that there are here, with Redis where one needs it.
async fn engines(folder: &Folder, limits: &[Value]) -> Vec<(Engine, Option<Engine>)> {
    let redis = Engine::redis(folder.path()).await;
    let mut engines = vec![(Engine::limitador(folder.path()).await, None)];
    match Engine::ratelimit(folder.path(), &redis, &policy_file(folder.path(), limits)).await {
        Some(engine) => engines.push((engine, Some(redis))),
        None => eprintln!("SKIPPED: no Go here, so no envoyproxy/ratelimit"),
    }
    engines
}

fn call(key: &str) -> Call {
    Call::chat(key, &chat("chat", json!({})))
}

/// What the engine says of the caller's one counter of this unit.
async fn used(rig: &Rig, key: &str, unit: &str) -> Value {
    let answer = rig.send(Call::get("/weir/v1/limits").key(key)).await.json();
    let rows = answer["data"].as_array().cloned().unwrap_or_default();
    rows.iter().find(|row| row["unit"] == unit).map(|row| row["used"].clone()).unwrap_or_default()
}

#[tokio::test]
async fn reloads_in_the_middle_of_traffic_lose_no_count() {
    let folder = Folder::new("engine");
    let limits = |name: &str| {
        let user =
            json!({"key": "user", "calls": 150, "output_tokens": 100_000, "renewal_period": "day", "name": name});
        [user, json!({"calls": 100_000, "renewal_period": "day"})]
    };
    for (engine, _redis) in engines(&folder, &limits("first")).await {
        let mut rig = rig(engine.port, &limits("first")).await;
        // Under way while policies come and go, and settled with the one that it began with.
        let usage = json!({"usage": {"prompt_tokens": 3, "completion_tokens": 40, "total_tokens": 43}});
        let slow =
            json!({"stream": true, "mock": {"a": {"chunks": 40, "chunk_delay_ms": 50, "usage": usage["usage"]}}});
        let (long, base) = (Client::new(&rig.base()), rig.base());
        let stream = tokio::spawn(async move { long.stream(&Call::chat(BOB, &chat("chat", slow))).await });
        let load = tokio::spawn(async move {
            let mut admitted = 0;
            // Each on connections of its own, so that they meet the policy of their time.
            for _ in 0..10 {
                admitted += Client::new(&base).load(30, 8, |_| call(ALICE)).await.count(200);
            }
            admitted
        });
        for name in ["second", "third", "first"] {
            assert_eq!(rig.reload(policy(&rig.at, engine.port, &limits(name))).await, Reload::Accepted);
        }
        assert_eq!(load.await.expect("the load ran to its end"), 150);
        assert_eq!(stream.await.expect("the stream ran to its end").status, 200);
        rig.client = Client::new(&rig.base());
        let settled = poll(SOON, async || (used(&rig, BOB, "output_tokens").await == 40).then_some(()));
        assert!(
            settled.await.is_some(),
            "the stream's tokens reach the engine: {}",
            used(&rig, BOB, "output_tokens").await
        );
        assert_eq!((used(&rig, ALICE, "calls").await, used(&rig, BOB, "calls").await), (json!(150), json!(1)));
        assert_eq!(rig.envoy.stat("weir.rls_failed").await + rig.envoy.stat("weir.rls_reports_lost").await, 0);
        rig.assert_healthy().await;
    }
}

#[tokio::test]
async fn an_envoy_that_starts_again_finds_its_counts() {
    let folder = Folder::new("engine");
    let limits = [json!({"key": "user", "calls": 5, "tokens": 1_000, "renewal_period": "day"})];
    for (engine, _redis) in engines(&folder, &limits).await {
        let mut first = rig(engine.port, &limits).await;
        let usage = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15});
        for _ in 0..3 {
            let call = Call::chat(ALICE, &chat("chat", json!({"mock": {"a": {"usage": usage}}})));
            assert_eq!(first.send(call).await.status, 200);
        }
        let told = poll(SOON, async || (used(&first, ALICE, "tokens").await == 45).then_some(())).await;
        assert!(told.is_some(), "what the answers used is told behind them");
        first.envoy.terminate().await;
        let second = rig(engine.port, &limits).await;
        assert_eq!((used(&second, ALICE, "calls").await, used(&second, ALICE, "tokens").await), (json!(3), json!(45)));
        for expected in [200, 200, 429] {
            assert_eq!(second.send(call(ALICE)).await.status, expected);
        }
        assert_eq!(second.send(call(BOB)).await.status, 200);
    }
}

/// By the number that goes along with each question: neither the engine nor its file is touched.
#[tokio::test]
async fn a_limit_is_raised_and_lowered_at_once() {
    let folder = Folder::new("engine");
    let limits = |calls: u64| [json!({"key": "user", "calls": calls, "renewal_period": "day"})];
    let Some((engine, _redis)) = engines(&folder, &limits(5)).await.into_iter().nth(1) else { return };
    let rig = rig(engine.port, &limits(5)).await;
    // Who is refused is counted there all the same.
    for (most, expected) in [(5, 5), (8, 2), (4, 0), (100, 10)] {
        assert_eq!(rig.reload(policy(&rig.at, engine.port, &limits(most))).await, Reload::Accepted);
        let client = Client::new(&rig.base());
        let mut admitted = 0;
        while admitted < 10 && client.send(&call(ALICE)).await.status == 200 {
            admitted += 1;
        }
        assert_eq!(admitted, expected, "{most} a day");
    }
}
