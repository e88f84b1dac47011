//! Limits that a fleet shares through envoyproxy/ratelimit and Redis, where there is a Go to build the one: else each test says
//! that it was skipped. And `cargo test -p weir-e2e --test shared_limits_redis -- --ignored --nocapture`: what `local` and `rls`
//! cost, the table of docs/limits.md.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::engine::{delayed, policy_file};
use weir_e2e::policy::{ALICE, BOB};
use weir_e2e::process::{Folder, poll};
use weir_e2e::{Addresses, Call, Endpoint, Engine, Policy, Rig, Setup};

/// A bound for waits, not a measure.
const SOON: Duration = Duration::from_secs(15);
const PATIENT: u64 = 5_000;

fn policy(at: &Addresses, store: &Value, limits: &[Value]) -> Policy {
    let endpoint = limits.iter().cloned().fold(Endpoint::new("chat").entity(at, "a", 100), Endpoint::limit);
    Policy::new(at).set("/limits_store", store.clone()).endpoint(endpoint)
}

fn rls(port: u16, timeout_ms: u64, on_error: &str) -> Value {
    json!({"rls": {"url": format!("http://127.0.0.1:{port}"), "timeout_ms": timeout_ms, "on_error": on_error}})
}

async fn rig(store: &Value, limits: &[Value]) -> Rig {
    Setup::new(&["a"], |at| policy(at, store, limits)).workers(2).start().await
}

fn call(key: &str) -> Call {
    Call::chat(key, &chat("chat", json!({})))
}

/// The engine, configured by `weir render ratelimit` from the policy that the Envoys get.
async fn engine(folder: &Folder, redis: &Engine, limits: &[Value]) -> Option<Engine> {
    let file = policy_file(folder.path(), limits);
    let engine = Engine::ratelimit(folder.path(), redis, &file).await;
    if engine.is_none() {
        eprintln!("SKIPPED: no Go here, so no envoyproxy/ratelimit");
    }
    engine
}

/// The engine's minutes are the clock's: waits for one that has `seconds` left at least.
async fn within_a_minute(seconds: u64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_secs();
    if 60 - now % 60 < seconds {
        tokio::time::sleep(Duration::from_secs(61 - now % 60)).await;
    }
}

#[tokio::test]
async fn two_envoys_admit_a_thousand_together() {
    let folder = Folder::new("engine");
    let limits = [json!({"calls": 1_000, "renewal_period": "minute"})];
    let redis = Engine::redis(folder.path()).await;
    let Some(engine) = engine(&folder, &redis, &limits).await else { return };
    let store = rls(engine.port, PATIENT, "deny");
    let (one, two) = tokio::join!(rig(&store, &limits), rig(&store, &limits));
    within_a_minute(40).await;
    let (a, b) = tokio::join!(one.load(2_000, 32, |_| call(ALICE)), two.load(2_000, 32, |_| call(BOB)));
    assert_eq!(a.count(200) + b.count(200), 1_000, "{:?} {:?}", a.by_status, b.by_status);
    assert_eq!(a.count(429) + b.count(429), 3_000, "{:?} {:?}", a.by_status, b.by_status);
    assert_eq!(one.mock("a").count().await + two.mock("a").count().await, 1_000);
    let refused = one.send(call(ALICE)).await;
    let wait: u64 = refused.header("retry-after").and_then(|wait| wait.parse().ok()).expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
}

/// A look is 0 hits, what was used comes after; the engine's own month has 30 days, and money is counted in millionths.
#[tokio::test]
async fn tokens_are_looked_at_and_reported() {
    let folder = Folder::new("engine");
    let limits = [json!({"key": "user", "tokens": 100, "output_tokens": 1_000, "renewal_period": "month"})];
    let redis = Engine::redis(folder.path()).await;
    let Some(engine) = engine(&folder, &redis, &limits).await else { return };
    let store = rls(engine.port, PATIENT, "deny");
    let (one, two) = tokio::join!(rig(&store, &limits), rig(&store, &limits));
    let usage = json!({"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60});
    let body = chat("chat", json!({"mock": {"a": {"usage": usage}}}));
    let looks_at = async |rig: &Rig, left: &str| {
        let found = poll(SOON, async || {
            let answer = rig.send(Call::chat(ALICE, &chat("chat", json!({"mock": {"a": {"status": 400}}})))).await;
            (answer.header("x-ratelimit-remaining-tokens") == Some(left)).then_some(())
        });
        assert!(found.await.is_some(), "{left} remaining");
    };
    looks_at(&one, "100").await;
    assert_eq!(one.send(Call::chat(ALICE, &body)).await.status, 200);
    looks_at(&two, "40").await;
    assert_eq!(two.send(Call::chat(ALICE, &body)).await.status, 200, "burst, then pause");
    looks_at(&one, "0").await;
    assert_eq!(one.send(Call::chat(ALICE, &body)).await.status, 429);
    assert_eq!(one.send(Call::chat(BOB, &body)).await.status, 200, "each user on his own");
    let own = one.send(Call::get("/weir/v1/limits").key(ALICE)).await.json();
    let row = |at: usize| (own["data"][at]["used"].clone(), own["data"][at]["remaining"].clone());
    assert_eq!((row(0), row(1)), ((json!(100), json!(0)), (json!(40), json!(960))), "{own}");
    assert!(own["data"][0]["reset_time"].is_string(), "{own}");
}

#[tokio::test]
async fn the_engine_and_its_redis_may_go_and_come_back() {
    let folder = Folder::new("engine");
    let limits = [json!({"key": "user", "calls": 3, "renewal_period": "day"})];
    let mut redis = Engine::redis(folder.path()).await;
    let Some(mut engine) = engine(&folder, &redis, &limits).await else { return };
    let mut rig = rig(&rls(engine.port, 1_000, "local"), &limits).await;
    let statuses = async |rig: &Rig, key: &str| {
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(rig.send(call(key)).await.status);
        }
        statuses
    };
    assert_eq!(statuses(&rig, BOB).await, [200, 200, 200, 429]);
    redis.kill();
    assert_eq!(statuses(&rig, ALICE).await, [200, 200, 200, 429], "this Envoy's own counters");
    assert!(rig.envoy.stat("weir.rls_failed").await > 0);
    redis.restart().await;
    // Redis kept nothing: Bob's are counted anew, by the engine, which alone knows nothing of his three.
    let is_back = async |rig: &Rig, times: usize| {
        let back = poll(SOON, async || {
            rig.send(call(ALICE)).await;
            (rig.envoy.log().matches("answers again").count() >= times).then_some(())
        });
        assert!(back.await.is_some(), "the engine is asked again\n{}", rig.envoy.tail());
    };
    is_back(&rig, 1).await;
    assert_eq!(rig.send(call(BOB)).await.status, 200);
    engine.kill();
    for _ in 0..20 {
        rig.send(call(ALICE)).await;
    }
    let again = rig.envoy.log().matches("answers again").count();
    engine.restart().await;
    is_back(&rig, again + 1).await;
    // Redis lived on, and the engine's counts with it: one of Bob's is used.
    assert_eq!(statuses(&rig, BOB).await, [200, 200, 429, 429]);
    rig.assert_healthy().await;
}

#[tokio::test]
async fn latency_of_200_ms_is_waited_for_or_not() {
    let folder = Folder::new("engine");
    let limits = [json!({"key": "user", "calls": 2, "renewal_period": "day"})];
    let redis = Engine::redis(folder.path()).await;
    let Some(engine) = engine(&folder, &redis, &limits).await else { return };
    let slow = delayed(engine.port, Duration::from_millis(100)).await;
    for (timeout_ms, key, fails) in [(PATIENT, ALICE, false), (20, BOB, true)] {
        let rig = rig(&rls(slow, timeout_ms, "local"), &limits).await;
        for expected in [200, 200, 429] {
            assert_eq!(rig.send(call(key)).await.status, expected, "{timeout_ms}");
        }
        assert_eq!(rig.envoy.stat("weir.rls_failed").await > 0, fails, "{timeout_ms}");
    }
}

const ROUNDS: usize = 11;

/// What the stores cost, in one run: prints docs/limits.md's table.
#[tokio::test]
#[ignore = "a measurement, not a test"]
async fn cost() {
    let folder = Folder::new("engine");
    let limits =
        [json!({"calls": 100_000_000, "renewal_period": "day"}), json!({"key": "user", "tokens": 1_000_000_000})];
    let redis = Engine::redis(folder.path()).await;
    let limitador = Engine::limitador(folder.path()).await;
    let ratelimit = engine(&folder, &redis, &limits).await;
    let mut stores = vec![("no limits", json!("local"), &limits[..0]), ("`local`", json!("local"), &limits[..])];
    stores.push(("`rls`: limitador in memory", rls(limitador.port, PATIENT, "deny"), &limits));
    if let Some(ratelimit) = &ratelimit {
        stores.push(("`rls`: envoyproxy/ratelimit, Redis", rls(ratelimit.port, PATIENT, "deny"), &limits));
    }
    let mut rigs = Vec::new();
    for (name, store, limits) in stores {
        let rig = rig(&store, limits).await;
        rig.load(500, 8, |_| call(ALICE)).await;
        rigs.push((name, rig, [const { Vec::new() }; 3]));
    }
    // By turns, and the median of the rounds: what else the machine does meets all of them alike.
    for _ in 0..ROUNDS {
        for (_, rig, [p50, p99, rate]) in &mut rigs {
            let mut times = Vec::new();
            for _ in 0..200 {
                let begin = Instant::now();
                assert_eq!(rig.send(call(ALICE)).await.status, 200);
                times.push(begin.elapsed().as_secs_f64() * 1_000.0);
            }
            times.sort_by(f64::total_cmp);
            p50.push(times[100]);
            p99.push(times[198]);
            let begin = Instant::now();
            assert_eq!(rig.load(600, 32, |_| call(ALICE)).await.count(200), 600);
            rate.push(600.0 / begin.elapsed().as_secs_f64());
        }
    }
    println!("| store | one at a time, p50 | p99 | 32 at a time, requests a second |\n|---|---|---|---|");
    for (name, _, columns) in rigs {
        let [p50, p99, rate] = columns.map(|mut column| {
            column.sort_by(f64::total_cmp);
            column[ROUNDS / 2]
        });
        println!("| {name} | {p50:.2} ms | {p99:.2} ms | {rate:.0} |");
    }
}
