//! Limits that hold exactly in the real Envoy, however many requests and workers there are: calls, reservations, and keys that
//! the first charges create together.

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::{ALICE, BOB};
use weir_e2e::{Call, Client, Endpoint, Policy, Rig, Setup};

async fn rig(workers: usize, reserve: bool, limits: &[Value]) -> Rig {
    let setup = Setup::new(&["a"], |at| {
        let endpoint = Endpoint::new("chat").entity(at, "a", 100);
        let accounting = if reserve { "reserve" } else { "after_response" };
        let policy = Policy::new(at).set("/accounting", json!(accounting));
        policy.endpoint(limits.iter().cloned().fold(endpoint, Endpoint::limit))
    });
    setup.workers(workers).start().await
}

fn call(key: &str) -> Call {
    Call::chat(key, &chat("chat", json!({})))
}

/// The caller's own limits: used, by unit.
async fn used(rig: &Rig, key: &str, unit: &str) -> Value {
    let answer = rig.send(Call::get("/weir/v1/limits").key(key)).await;
    let rows = answer.json()["data"].as_array().cloned().unwrap_or_default();
    rows.iter().find(|row| row["unit"] == unit).map(|row| row["used"].clone()).unwrap_or_default()
}

#[tokio::test]
async fn a_thousand_of_four_thousand_64_at_a_time() {
    let mut rig = rig(2, false, &[json!({"calls": 1_000})]).await;
    let tally = rig.load(4_000, 64, |_| call(ALICE)).await;
    assert_eq!((tally.count(200), tally.count(429)), (1_000, 3_000), "{:?}", tally.by_status);
    assert_eq!(rig.mock("a").count().await, 1_000, "requests that reached the provider");
    rig.assert_healthy().await;
}

/// Each Envoy begins without any key: the first charges of all workers create them at once.
#[tokio::test]
async fn the_first_charges_of_1_2_and_8_workers_lose_nothing() {
    for workers in [1, 2, 8] {
        let mut rig = rig(workers, false, &[json!({"calls": 60}), json!({"key": "user", "calls": 40})]).await;
        let base = rig.base();
        // Each request on a connection of its own: all workers have some.
        let clients: Vec<_> = (0..48).map(|_| Client::new(&base)).collect();
        let requests = (0..144).map(|n| {
            let (client, key) = (&clients[n % 48], [ALICE, BOB][n / 48 % 2]);
            async move { client.send(&call(key)).await.status }
        });
        let statuses = futures_util::future::join_all(requests).await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 60, "{workers} workers");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{workers} workers: {statuses:?}");
        assert_eq!(rig.envoy.stat("weir.limits_contended").await, 0);
        assert_eq!(rig.envoy.stat("weir.limit_counters").await, 2, "two users, a counter each");
        rig.assert_healthy().await;
    }
}

/// Each answer is as long as its `max_tokens` allows; 64 run at once.
#[tokio::test]
async fn output_tokens_are_never_passed_by_64_parallel_streams() {
    let mut rig = rig(2, true, &[json!({"key": "user", "output_tokens": 1_000})]).await;
    let orders = json!({"content_tokens": 20, "chunks": 4, "chunk_delay_ms": 20});
    let body = chat("chat", json!({"stream": true, "max_tokens": 30, "mock": {"a": orders}}));
    let tally = rig.load(256, 64, |_| Call::chat(ALICE, &body)).await;
    let admitted = tally.count(200);
    assert_eq!(admitted + tally.count(429), 256, "{:?}", tally.by_status);
    // Reserved are 30 each, used 20: at least 33 fit at once, and never more than 50 together.
    assert!((33..=50).contains(&admitted), "{admitted} admitted");
    let lines = rig.collector.usage(256).await;
    let output: u64 = lines.iter().filter_map(|line| line["row"]["output_token_count"].as_u64()).sum();
    assert_eq!(output, 20 * admitted as u64);
    assert!(output <= 1_000);
    assert_eq!(used(&rig, ALICE, "output_tokens").await, json!(output), "all reservations are settled");
    rig.assert_healthy().await;
}

/// What is reserved comes back on every way out, and what was used stays.
#[tokio::test]
async fn reservations_are_settled_on_every_way_out() {
    let setup = Setup::new(&["a", "b"], |at| {
        let endpoint = Endpoint::new("chat").entity(at, "a", 100).entity(at, "b", 0).fallback();
        let first_byte = json!({"first_byte_ms": 700});
        let endpoint = endpoint
            .set("/config/served_entities/0/timeouts", first_byte.clone())
            .set("/config/served_entities/1/timeouts", first_byte)
            .limit(json!({"key": "user", "output_tokens": 100, "calls": 100}));
        Policy::new(at).set("/accounting", json!("reserve")).endpoint(endpoint)
    });
    let mut rig = setup.start().await;
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7});
    let good = json!({"usage": usage});
    let slow = json!({"content_tokens": 40, "chunks": 40, "chunk_delay_ms": 50});
    let ways = [
        ("whole", json!({"a": good}), Some(200), 4),
        ("refused by the provider", json!({"a": {"status": 400}}), Some(400), 0),
        ("after a fallback", json!({"a": {"status": 503}, "b": good}), Some(200), 4),
        ("both fail", json!({"a": {"status": 503}, "b": {"status": 500}}), Some(500), 0),
        ("timeout", json!({"a": {"hang": true}, "b": {"hang": true}}), Some(504), 0),
        ("reset", json!({"a": {"reset": true}, "b": {"reset": true}}), Some(502), 0),
        ("cut by the client", json!({"a": slow}), None, 1),
    ];
    let mut before = 0;
    for (calls, (name, orders, status, least)) in ways.into_iter().enumerate() {
        let body = chat("chat", json!({"stream": status.is_none(), "max_tokens": 50, "mock": orders}));
        let call = Call::chat(ALICE, &body);
        match status {
            Some(status) => assert_eq!(rig.send(call).await.status, status, "{name}"),
            None => drop(rig.client.stream_until(&call, 8).await),
        }
        rig.collector.usage(calls + 1).await;
        let now = used(&rig, ALICE, "output_tokens").await.as_u64().unwrap_or_default();
        let more = now - before;
        assert!(if least == 1 { (1..40).contains(&more) } else { more == least }, "{name}: {more} more");
        before = now;
    }
    rig.assert_healthy().await;
}
