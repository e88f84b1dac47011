//! What several limits, units, periods and modes mean in the real Envoy, what a caller is told of his own, and what a reload
//! changes.

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::{ALICE, BATCH, BOB};
use weir_e2e::{Addresses, Call, Client, Endpoint, Policy, Reload, Rig, Setup};

fn policy(at: &Addresses, limits: &[Value], top: &[(&str, Value)]) -> Policy {
    let price = json!({"input_per_million_usd": 1, "cached_input_per_million_usd": 0.1, "output_per_million_usd": 10});
    let endpoint = Endpoint::new("chat").entity(at, "a", 100).set("/config/served_entities/0/price", price);
    let endpoint = limits.iter().cloned().fold(endpoint, Endpoint::limit);
    top.iter().fold(Policy::new(at).endpoint(endpoint), |policy, (pointer, value)| policy.set(pointer, value.clone()))
}

async fn rig(limits: &[Value], top: &[(&str, Value)]) -> Rig {
    Setup::new(&["a"], |at| policy(at, limits, top)).start().await
}

fn call(key: &str) -> Call {
    Call::chat(key, &chat("chat", json!({})))
}

fn call_of(key: &str, usage: &Value) -> Call {
    Call::chat(key, &chat("chat", json!({"mock": {"a": {"usage": usage}}})))
}

async fn admitted(rig: &Rig, most: usize, call: impl Fn() -> Call) -> usize {
    for n in 0..most {
        match rig.send(call()).await.status {
            200 => {}
            429 => return n,
            other => panic!("expected 200 or 429, found {other}"),
        }
    }
    most
}

#[tokio::test]
async fn both_rules_for_two_groups_and_a_custom_limit() {
    let limits = [
        json!({"key": "user_group", "principal": "research", "calls": 3}),
        json!({"key": "user_group", "principal": "team", "calls": 5}),
        json!({"key": "user", "principal": "bob@example.com", "calls": 9}),
    ];
    let groups = json!({"alice@example.com": ["team"], "bob@example.com": ["team"]});
    // Alice is in two groups; Bob, who has a limit of his own, in one of them.
    for (rule, alice, bob) in [("strictest", 3, 2), ("databricks", 5, 9)] {
        let top = [("/limit_conflict", json!(rule)), ("/identity/groups_of", groups.clone())];
        let rig = rig(&limits, &top).await;
        assert_eq!(admitted(&rig, 20, || call(ALICE)).await, alice, "{rule}");
        assert_eq!(admitted(&rig, 20, || call(BOB)).await, bob, "{rule}");
    }
}

#[tokio::test]
async fn a_limit_per_member_is_each_members_own() {
    let limits = [json!({"key": "user_group", "principal": "team", "per": "member", "calls": 3})];
    let groups = json!({"alice@example.com": ["team"], "bob@example.com": ["team"], "batch-job": ["team"]});
    let rig = rig(&limits, &[("/identity/groups_of", groups)]).await;
    for key in [ALICE, BOB, BATCH] {
        assert_eq!(admitted(&rig, 20, || call(key)).await, 3, "{key}");
    }
}

#[tokio::test]
async fn a_day_a_month_and_money_are_quotas() {
    for (limit, admitted_calls) in [
        (json!({"key": "user", "calls": 3, "renewal_period": "day"}), 3),
        (json!({"key": "user", "calls": 4, "renewal_period": "month"}), 4),
        // A call costs 40 + 0.1 x 20 + 10 x 10 = 142 millionths of a dollar.
        (json!({"key": "user", "cost_usd": 0.0003, "renewal_period": "hour", "name": "budget"}), 3),
    ] {
        let rig = rig(std::slice::from_ref(&limit), &[]).await;
        let usage =
            json!({"prompt_tokens": 60, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 20}});
        assert_eq!(admitted(&rig, 9, || call_of(ALICE, &usage)).await, admitted_calls, "{limit}");
        let refused = rig.send(call(ALICE)).await;
        assert_eq!(refused.json()["error"]["code"], "insufficient_quota", "{limit}");
        assert_eq!(refused.header("x-should-retry"), Some("false"), "{limit}");
        assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok()), "{limit}");
        assert_eq!(rig.send(call(BOB)).await.status, 200, "{limit}");
    }
}

#[tokio::test]
async fn cached_tokens_weigh_what_the_limit_says() {
    let limits = [json!({"key": "user", "input_tokens": 100, "cached_input_weight": 0})];
    let rig = rig(&limits, &[]).await;
    let usage = json!({"prompt_tokens": 60, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 50}});
    assert_eq!(admitted(&rig, 30, || call_of(ALICE, &usage)).await, 10);
}

#[tokio::test]
async fn a_shadow_is_counted_recorded_and_logged() {
    let limits = [json!({"key": "user", "calls": 2, "mode": "shadow", "name": "trial"}), json!({"calls": 100})];
    let rig = rig(&limits, &[]).await;
    assert_eq!(admitted(&rig, 5, || call(ALICE)).await, 5);
    let lines = rig.collector.usage(5).await;
    assert_eq!(lines.iter().filter(|line| line["detail"]["would_limit"] == "trial").count(), 3);
    assert_eq!(rig.envoy.stat("weir.limits_would_refuse").await, 3);
    assert!(rig.envoy.log().contains("shadow: endpoint chat: limit `trial` would have refused a request"));
    let answer = rig.send(call(ALICE)).await;
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("100"));
}

#[tokio::test]
async fn enforcement_in_shadow_refuses_nobody() {
    let only_bob = json!([{"user_name": "bob@example.com", "permission_level": "CAN_QUERY"}]);
    let top = [("/enforcement", json!("shadow")), ("/endpoints/0/permissions", only_bob)];
    let rig = rig(&[json!({"calls": 0})], &top).await;
    assert_eq!((rig.send(call(BOB)).await.status, rig.send(call(ALICE)).await.status), (200, 200));
    let lines = rig.collector.usage(2).await;
    let would = |who: &str| {
        let line = lines.iter().find(|line| line["row"]["requester"] == who).expect("his record");
        line["detail"]["would_limit"].clone()
    };
    assert_eq!(would("bob@example.com"), "endpoint per minute");
    assert_eq!(would("alice@example.com"), "permissions");
}

#[tokio::test]
async fn a_caller_sees_his_own_limits_alone() {
    let limits = [
        json!({"calls": 50}),
        json!({"key": "user", "calls": 10, "tokens": 1_000}),
        json!({"key": "user", "principal": "bob@example.com", "calls": 5}),
        json!({"key": "user_group", "principal": "research", "calls": 20}),
    ];
    let rig = rig(&limits, &[]).await;
    assert_eq!(admitted(&rig, 2, || call(ALICE)).await, 2);
    assert_eq!(admitted(&rig, 3, || call(BOB)).await, 3);
    let seen = async |key: &str| {
        let answer = rig.send(Call::get("/weir/v1/limits").key(key)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let rows = answer.json()["data"].as_array().cloned().expect("a list");
        rows.iter().map(|row| (row["principal"].clone(), row["limit"].clone(), row["used"].clone())).collect::<Vec<_>>()
    };
    let row = |principal: Value, limit: u64, used: u64| (principal, json!(limit), json!(used));
    let alice = seen(ALICE).await;
    assert_eq!(alice[..2], [row(Value::Null, 50, 5), row(Value::Null, 10, 2)]);
    assert_eq!(alice[3..], [row(json!("research"), 20, 2)]);
    let bob = seen(BOB).await;
    assert_eq!((bob.len(), &bob[2]), (3, &row(json!("bob@example.com"), 5, 3)));
    assert_eq!(rig.send(Call::get("/weir/v1/limits")).await.status, 401);
}

/// Who waits exactly as long as he is told is admitted.
#[tokio::test]
async fn waiting_as_told_is_enough() {
    let rig = rig(&[json!({"key": "user", "calls": 2, "renewal_period": "second"})], &[]).await;
    for _ in 0..3 {
        let refused = loop {
            let answer = rig.send(call(ALICE)).await;
            if answer.status == 429 {
                break answer;
            }
        };
        let seconds: u64 = refused.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
        tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
        assert_eq!(rig.send(call(ALICE)).await.status, 200, "after {seconds} s");
    }
}

/// A limit that is raised under load refuses nobody from then on, one that is lowered holds at once, and no count is lost.
#[tokio::test]
async fn a_limit_is_raised_and_lowered_under_load() {
    let with = |at: &Addresses, calls: u64| policy(at, &[json!({"key": "user", "calls": calls})], &[]);
    let mut rig = Setup::new(&["a"], |at| with(at, 20)).reloads().start().await;
    assert_eq!(admitted(&rig, 30, || call(ALICE)).await, 20);
    let client = rig.client.clone();
    let load = tokio::spawn(async move { client.load(400, 8, |_| call(BOB)).await });
    assert_eq!(rig.reload(with(&rig.at, 100_000)).await, Reload::Accepted);
    let raised = Client::new(&rig.base());
    let tally = raised.load(400, 32, |_| call(ALICE)).await;
    assert_eq!(tally.count(200), 400, "{:?}", tally.by_status);
    let bob = load.await.expect("the load ran to its end").count(200);
    assert_eq!(rig.reload(with(&rig.at, 420)).await, Reload::Accepted);
    let lowered = Client::new(&rig.base());
    assert_eq!(lowered.load(50, 8, |_| call(ALICE)).await.count(200), 0, "all 420 of hers are used");
    let rest = lowered.load(500, 16, |_| call(BOB)).await.count(200);
    assert_eq!(bob + rest, 420, "none of his is forgotten, and none counted twice");
    rig.assert_healthy().await;
}
