//! Limits that a fleet shares: two Envoys behind one engine, and what becomes of requests when it is slow, dead or back.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::engine::{delayed, policy_file};
use weir_e2e::policy::{ALICE, BATCH, BOB};
use weir_e2e::process::{Folder, poll};
use weir_e2e::{Addresses, Call, Endpoint, Engine, Policy, Rig, Setup};

/// A bound for waits, not a measure.
const SOON: Duration = Duration::from_secs(10);
/// Far above what an engine takes on a busy machine: where a test is about its verdicts.
const PATIENT: u64 = 5_000;

fn policy(at: &Addresses, rls: &Value, limits: &[Value]) -> Policy {
    let endpoint = limits.iter().cloned().fold(Endpoint::new("chat").entity(at, "a", 100), Endpoint::limit);
    Policy::new(at).set("/limits_store", json!({ "rls": rls })).endpoint(endpoint)
}

fn store(port: u16, timeout_ms: u64, on_error: &str) -> Value {
    json!({"url": format!("http://127.0.0.1:{port}"), "timeout_ms": timeout_ms, "on_error": on_error})
}

async fn rig(rls: &Value, limits: &[Value]) -> Rig {
    Setup::new(&["a"], |at| policy(at, rls, limits)).workers(2).start().await
}

fn call(key: &str) -> Call {
    Call::chat(key, &chat("chat", json!({})))
}

async fn statuses(rig: &Rig, key: &str, n: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..n {
        statuses.push(rig.send(call(key)).await.status);
    }
    statuses
}

async fn stat(rig: &Rig, name: &str) -> u64 {
    rig.envoy.stat(name).await
}

/// Sends 4,000 requests, 64 at a time, half of them through each Envoy.
async fn a_thousand_of_four_thousand(one: &mut Rig, two: &mut Rig) {
    let (a, b) = tokio::join!(one.load(2_000, 32, |_| call(ALICE)), two.load(2_000, 32, |_| call(BOB)));
    assert_eq!(a.count(200) + b.count(200), 1_000, "{:?} {:?}", a.by_status, b.by_status);
    assert_eq!(a.count(429) + b.count(429), 3_000, "{:?} {:?}", a.by_status, b.by_status);
    let served = one.mock("a").count().await + two.mock("a").count().await;
    assert_eq!(served, 1_000, "requests that reached a provider");
    for rig in [one, two] {
        assert_eq!(stat(rig, "weir.rls_failed").await, 0);
        rig.assert_healthy().await;
    }
}

#[tokio::test]
async fn two_envoys_admit_a_thousand_together() {
    let folder = Folder::new("engine");
    for blind in [false, true] {
        let limits = [json!({"calls": 1_000, "renewal_period": "hour"})];
        let engine = match blind {
            false => Engine::limitador(folder.path()).await,
            true => Engine::limitador_by_file(folder.path(), &policy_file(folder.path(), &limits)).await,
        };
        let rls = store(engine.port, PATIENT, "deny");
        let (mut one, mut two) = tokio::join!(rig(&rls, &limits), rig(&rls, &limits));
        a_thousand_of_four_thousand(&mut one, &mut two).await;
        let refused = two.send(call(BOB)).await;
        assert_eq!(refused.status, 429);
        let remaining = refused.header("x-ratelimit-remaining-requests");
        assert_eq!(remaining, if blind { None } else { Some("0") });
        assert!(refused.header("retry-after").is_some());
    }
}

/// What answers used is told to the engine behind the answer, through whichever Envoy it went.
#[tokio::test]
async fn tokens_are_shared_too() {
    let folder = Folder::new("engine");
    let engine = Engine::limitador(folder.path()).await;
    let rls = store(engine.port, PATIENT, "deny");
    let limits = [json!({"key": "user", "tokens": 100, "output_tokens": 1_000, "renewal_period": "hour"})];
    let (one, two) = tokio::join!(rig(&rls, &limits), rig(&rls, &limits));
    let usage = json!({"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60});
    let body = chat("chat", json!({"mock": {"a": {"usage": usage}}}));
    let told = async |rig: &Rig, of: &str| {
        let headers = poll(SOON, async || {
            let looked = rig.send(Call::chat(ALICE, &chat("chat", json!({"mock": {"a": {"status": 400}}})))).await;
            looked.header("x-ratelimit-remaining-tokens").filter(|left| *left == of).map(str::to_owned)
        });
        assert!(headers.await.is_some(), "{of} remaining");
    };
    assert_eq!(one.send(Call::chat(ALICE, &body)).await.status, 200);
    told(&two, "40").await;
    assert_eq!(two.send(Call::chat(ALICE, &body)).await.status, 200, "burst, then pause");
    told(&one, "0").await;
    for rig in [&one, &two] {
        let refused = rig.send(Call::chat(ALICE, &body)).await;
        assert_eq!((refused.status, refused.header("retry-after").is_some()), (429, true));
    }
    let other = one.send(Call::chat(BOB, &body)).await;
    assert_eq!(
        (other.status, other.header("x-ratelimit-remaining-tokens")),
        (200, Some("100")),
        "each user on his own"
    );
    assert_eq!(stat(&one, "weir.rls_reports_lost").await + stat(&two, "weir.rls_reports_lost").await, 0);
}

/// A caller's own counters, as the engine has them; what cannot be known is `null`, and looking charges nothing.
#[tokio::test]
async fn a_caller_sees_his_own_counts_of_all_envoys() {
    let folder = Folder::new("engine");
    let limits = [
        json!({"key": "user", "calls": 5, "tokens": 100, "renewal_period": "hour"}),
        json!({"key": "user_group", "principal": "interns", "calls": 9, "renewal_period": "hour"}),
    ];
    let seen = async |rig: &Rig, key: &str| {
        let answer = rig.send(Call::get("/weir/v1/limits").key(key)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let rows = answer.json()["data"].as_array().cloned().unwrap_or_default();
        json!(rows.iter().map(|row| json!([row["limit"], row["used"], row["remaining"]])).collect::<Vec<_>>())
    };
    for blind in [false, true] {
        let mut engine = match blind {
            false => Engine::limitador(folder.path()).await,
            true => Engine::limitador_by_file(folder.path(), &policy_file(folder.path(), &limits)).await,
        };
        let rls = store(engine.port, PATIENT, "local");
        let (one, mut two) = tokio::join!(rig(&rls, &limits), rig(&rls, &limits));
        assert_eq!(statuses(&one, ALICE, 2).await, [200, 200]);
        assert_eq!(statuses(&two, ALICE, 1).await, [200]);
        assert_eq!(statuses(&two, BOB, 1).await, [200]);
        for _ in 0..20 {
            seen(&one, ALICE).await;
        }
        let nothing = json!([[5, null, null], [100, null, null]]);
        if blind {
            assert_eq!(seen(&two, ALICE).await, nothing);
        } else {
            let own = seen(&two, ALICE).await;
            assert_eq!(own[0], json!([5, 3, 2]));
            assert!(own[1][1].is_number(), "{own}");
            assert_eq!(
                (seen(&one, BOB).await[0].clone(), seen(&one, BOB).await[2].clone()),
                (json!([5, 1, 4]), json!([9, 1, 8]))
            );
        }
        assert_eq!(statuses(&one, ALICE, 3).await, [200, 200, 429], "looks are not calls");
        engine.kill();
        assert_eq!(seen(&two, ALICE).await, nothing);
        two.assert_healthy().await;
    }
}

/// Limitador counts a report whole or not at all: the answer that crosses a limit must use it up all the same.
#[tokio::test]
async fn limitador_is_told_of_the_answer_that_crosses_a_limit() {
    let folder = Folder::new("engine");
    let limits = [
        json!({"key": "user", "tokens": 100, "renewal_period": "hour"}),
        json!({"tokens": 1_000, "renewal_period": "hour"}),
    ];
    let engine = Engine::limitador_by_file(folder.path(), &policy_file(folder.path(), &limits)).await;
    let rig = rig(&store(engine.port, PATIENT, "deny"), &limits).await;
    let usage = json!({"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60});
    let of = |key: &str| Call::chat(key, &chat("chat", json!({"mock": {"a": {"usage": usage}}})));
    assert_eq!(rig.send(of(ALICE)).await.status, 200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.send(of(ALICE)).await.status, 200, "burst, then pause");
    // A look adds 1 there: far fewer than are left.
    let mut refused_after = None;
    for look in 0..10 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let looked = rig.send(Call::chat(ALICE, &chat("chat", json!({"mock": {"a": {"status": 400}}})))).await.status;
        if looked == 429 {
            refused_after = Some(look);
            break;
        }
    }
    assert!(refused_after.is_some(), "the limit is used up");
    assert_eq!(
        rig.send(of(BOB)).await.status,
        200,
        "what has no room at one limit does not keep another from counting"
    );
    assert_eq!(stat(&rig, "weir.rls_reports_lost").await, 0);
}

/// Every kind of limit as Limitador's own server knows it: by the file that Weir writes for it.
#[tokio::test]
async fn limitador_goes_by_the_file_that_weir_writes() {
    let folder = Folder::new("engine");
    let hourly = |mut limit: Value| {
        limit["renewal_period"] = json!("hour");
        limit
    };
    let limits = [
        json!({"calls": 9}),
        json!({"key": "user", "calls": 2}),
        json!({"key": "user", "principal": "alice@example.com", "calls": 4}),
        json!({"key": "user_group", "principal": "research", "calls": 3}),
        json!({"key": "user_group", "principal": "interns", "per": "member", "output_tokens": 50}),
        json!({"key": "service_principal", "principal": "batch-job", "calls": 1}),
        json!({"key": "user_group", "principal": "interns", "calls": 1, "mode": "shadow"}),
    ]
    .map(hourly);
    let engine = Engine::limitador_by_file(folder.path(), &policy_file(folder.path(), &limits)).await;
    let rig = rig(&store(engine.port, PATIENT, "deny"), &limits).await;
    assert_eq!(
        statuses(&rig, ALICE, 4).await,
        [200, 200, 200, 429],
        "her group's three, not her own four nor everybody's two"
    );
    assert_eq!(statuses(&rig, BATCH, 2).await, [200, 429]);
    assert_eq!(statuses(&rig, BOB, 3).await, [200, 200, 429], "everybody's two, and the shadow refuses nobody");
    assert_eq!(stat(&rig, "weir.rls_failed").await, 0);
}

#[tokio::test]
async fn a_dead_engine_leaves_it_to_on_error_until_it_is_back() {
    let limits = [json!({"key": "user", "calls": 3, "renewal_period": "hour"})];
    for (on_error, expected) in [("local", [200, 200, 200, 429]), ("allow", [200; 4]), ("deny", [503; 4])] {
        let folder = Folder::new("engine");
        let mut engine = Engine::limitador(folder.path()).await;
        let mut rig = rig(&store(engine.port, 1_000, on_error), &limits).await;
        assert_eq!(statuses(&rig, BOB, 4).await, [200, 200, 200, 429]);
        engine.kill();
        assert_eq!(statuses(&rig, ALICE, 4).await, expected, "{on_error}");
        for _ in 0..40 {
            rig.send(call(ALICE)).await;
        }
        assert!(stat(&rig, "weir.rls_skipped").await > 0, "{on_error}: the circuit is open");
        engine.restart().await;
        let back = poll(SOON, async || {
            rig.send(call(ALICE)).await;
            rig.envoy.log().contains("answers again").then_some(())
        });
        assert!(back.await.is_some(), "{on_error}: the engine is asked again");
        // Its counts were in its memory: it begins anew, of Alice's with the few requests above.
        let answer = rig.send(call(BOB)).await;
        assert_eq!((answer.status, answer.header("x-ratelimit-remaining-requests")), (200, Some("2")), "{on_error}");
        rig.assert_healthy().await;
    }
}

/// 200 ms there and back, by a proxy between Envoy and the engine.
#[tokio::test]
async fn a_slow_engine_is_waited_for_as_long_as_the_policy_says() {
    let folder = Folder::new("engine");
    let engine = Engine::limitador(folder.path()).await;
    let slow = delayed(engine.port, Duration::from_millis(100)).await;
    let limits = [json!({"key": "user", "calls": 2, "renewal_period": "hour"})];
    let (patient, hasty) = (store(slow, PATIENT, "deny"), store(slow, 20, "local"));
    let (patient, hasty) = tokio::join!(rig(&patient, &limits), rig(&hasty, &limits));
    assert_eq!(statuses(&patient, ALICE, 3).await, [200, 200, 429], "the engine's verdicts");
    assert_eq!(stat(&patient, "weir.rls_failed").await, 0);
    assert_eq!(statuses(&hasty, BOB, 3).await, [200, 200, 429], "this Envoy's own");
    assert!(stat(&hasty, "weir.rls_failed").await > 0);
}

/// Envoy takes the request's headers out of the gateway's hands when a request has waited: another role puts them back.
#[tokio::test]
async fn no_credential_shows_in_an_access_log() {
    let folder = Folder::new("engine");
    let engine = Engine::limitador(folder.path()).await;
    let rls = store(engine.port, PATIENT, "deny");
    let setup = Setup::new(&["a"], |at| policy(at, &rls, &[json!({"calls": 100, "renewal_period": "hour"})]));
    let format = "LINE %REQ(:PATH)% [%REQ(authorization)%] %REQ(:AUTHORITY)%\n";
    let mut rig = setup
        .edit(|bootstrap, _| {
            bootstrap.http_manager()["access_log"] = json!([{
                "name": "envoy.access_loggers.stdout",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
                    "log_format": {"text_format_source": {"inline_string": format}},
                },
            }]);
        })
        .start()
        .await;
    let long = chat(
        "chat",
        json!({"stream": true, "mock": {"a": {"content_tokens": 200, "chunks": 200, "chunk_delay_ms": 50}}}),
    );
    let hanging = chat("chat", json!({"mock": {"a": {"hang": true}}}));
    assert_eq!(rig.send(call(ALICE)).await.status, 200);
    drop(rig.client.stream_until(&Call::chat(ALICE, &long), 4).await);
    let gone = tokio::time::timeout(Duration::from_secs(1), rig.send(Call::chat(ALICE, &hanging))).await;
    assert!(gone.is_err(), "it hangs");
    let lines = || rig.envoy.log().lines().filter(|line| line.contains("LINE")).map(str::to_owned).collect::<Vec<_>>();
    let all = poll(SOON, async || Some(lines()).filter(|lines| lines.len() >= 3)).await;
    for line in all.unwrap_or_else(|| panic!("{:?}", lines())) {
        assert!(line.contains("LINE /v1/chat/completions [-]"), "{line}");
        assert!(!line.contains("secret-of-a"), "{line}");
    }
    assert_eq!(rig.mock("a").received().await[0].header("authorization"), ["Bearer secret-of-a"]);
    rig.assert_healthy().await;
}
