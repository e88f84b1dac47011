//! Limits in the real Envoy: exact under parallel load, strictest wins, tokens after the response, and what a 429 says.

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::{ALICE, BATCH, BOB};
use weir_e2e::{Addresses, Answer, Call, Endpoint, Policy, Rig, Setup};

/// One mock behind one endpoint `chat` with these limits.
fn limited<'a>(limits: &'a [Value]) -> impl Fn(&Addresses) -> Policy + 'a {
    move |at| {
        let endpoint = Endpoint::new("chat").entity(at, "a", 100);
        Policy::new(at).endpoint(limits.iter().cloned().fold(endpoint, Endpoint::limit))
    }
}

async fn rig(limits: &[Value]) -> Rig {
    Setup::new(&["a"], limited(limits)).start().await
}

fn call(key: &str) -> Call {
    Call::chat(key, &chat("chat", json!({})))
}

/// A call whose answer reports this usage.
fn call_of(key: &str, input: u64, output: u64) -> Call {
    let usage = json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output});
    Call::chat(key, &chat("chat", json!({"mock": {"a": {"usage": usage}}})))
}

/// Sends calls one after the other until one is refused; how many were admitted, at most `most`.
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
async fn a_limit_is_exact_in_ten_fresh_envoys() {
    for round in 0..10 {
        let mut rig = rig(&[json!({"key": "endpoint", "calls": 100})]).await;
        let tally = rig.load(400, 32, |_| call(ALICE)).await;
        assert_eq!((tally.count(200), tally.count(429)), (100, 300), "round {round}: {:?}", tally.by_status);
        assert_eq!(rig.mock("a").count().await, 100, "round {round}: requests that reached the provider");
        rig.assert_healthy().await;
    }
}

#[tokio::test]
async fn users_and_a_group_that_overlap_give_the_strictest_counts() {
    let limits = [
        json!({"key": "user", "calls": 60}),
        json!({"key": "user", "principal": "alice@example.com", "calls": 80}),
        json!({"key": "user_group", "principal": "team", "calls": 100}),
    ];
    let rig = Setup::new(&["a"], |at| {
        let team = json!({"alice@example.com": ["team"], "bob@example.com": ["team"]});
        limited(&limits)(at).set("/identity/groups_of", team)
    });
    let rig = rig.start().await;
    let caller = |n: usize| if n.is_multiple_of(2) { ALICE } else { BOB };
    let (alice, bob) = tokio::join!(rig.load(200, 16, |_| call(caller(0))), rig.load(200, 16, |_| call(caller(1))));
    let (alice, bob) = (alice.count(200), bob.count(200));
    assert_eq!(alice + bob, 100, "the group's limit; Alice {alice}, Bob {bob}");
    assert!(alice <= 80 && bob <= 60, "the users' limits; Alice {alice}, Bob {bob}");
    // Who stands in no group has his own limit alone.
    assert_eq!(rig.load(200, 16, |_| call(BATCH)).await.count(200), 200, "a service principal is no user");
}

#[tokio::test]
async fn a_custom_limit_stands_in_place_of_the_default() {
    let limits = [
        json!({"key": "user", "calls": 3}),
        json!({"key": "user", "principal": "alice@example.com", "calls": 7}),
        json!({"key": "service_principal", "principal": "batch-job", "calls": 5}),
    ];
    let rig = rig(&limits).await;
    for (key, calls) in [(ALICE, 7), (BOB, 3), (BATCH, 5)] {
        assert_eq!(admitted(&rig, 20, || call(key)).await, calls, "{key}");
    }
}

#[tokio::test]
async fn a_group_limit_is_shared_by_its_members_alone() {
    let rig = rig(&[json!({"key": "user_group", "principal": "interns", "calls": 4})]).await;
    assert_eq!(admitted(&rig, 20, || call(BOB)).await, 4);
    assert_eq!(admitted(&rig, 20, || call(ALICE)).await, 20);
}

#[tokio::test]
async fn tokens_are_charged_after_the_response() {
    // Each answer uses 30 in and 10 out: admitted while used < limit, so the one that crosses the limit is served.
    for (unit, limit, expected) in
        [("tokens", 100, 3), ("tokens", 120, 3), ("tokens", 121, 4), ("input_tokens", 50, 2), ("output_tokens", 50, 5)]
    {
        let mut limit_json = json!({"key": "user"});
        limit_json[unit] = json!(limit);
        let rig = rig(&[limit_json]).await;
        assert_eq!(admitted(&rig, 10, || call_of(ALICE, 30, 10)).await, expected, "{unit}: {limit}");
        assert_eq!(rig.send(call(BOB)).await.status, 200, "{unit}: {limit}: another user");
    }
}

#[tokio::test]
async fn a_streams_tokens_count_too() {
    let rig = rig(&[json!({"key": "endpoint", "tokens": 50})]).await;
    let usage = json!({"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60});
    let body = chat("chat", json!({"stream": true, "mock": {"a": {"usage": usage}}}));
    assert_eq!(rig.stream(Call::chat(ALICE, &body)).await.status, 200);
    assert_eq!(rig.send(call(ALICE)).await.status, 429);
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let limits = [json!({"key": "endpoint", "calls": 100}), json!({"key": "user", "calls": 2})];
    let rig = rig(&limits).await;
    let first = rig.send(call(ALICE)).await;
    // The tightest one by remaining / limit.
    assert_eq!(first.header("x-ratelimit-limit-requests"), Some("2"));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("1"));
    assert!(
        first.header("x-ratelimit-reset-requests").is_some_and(|reset| reset.ends_with('s')),
        "{:?}",
        first.headers
    );
    assert_eq!(rig.send(call(ALICE)).await.status, 200);

    let refused = rig.send(call(ALICE)).await;
    assert_refused(&refused);
    assert_eq!(refused.json()["error"]["code"], "rate_limit_exceeded");
    let message = refused.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    for part in ["2 calls", "minute", "user", "chat"] {
        assert!(message.contains(part), "`{part}` is missing: {message}");
    }

    let path = "/serving-endpoints/chat/invocations";
    let refused = rig.send(Call::post(path, chat("chat", json!({})).to_string()).key(ALICE)).await;
    assert_refused(&refused);
    assert_eq!(refused.json()["error_code"], "REQUEST_LIMIT_EXCEEDED");

    let lines = rig.collector.usage(4).await;
    let refusals: Vec<_> = lines.iter().filter(|line| line["row"]["status_code"] == 429).collect();
    assert_eq!(refusals.len(), 2);
    assert!(refusals.iter().all(|line| !line["detail"]["limit"].is_null()), "{refusals:?}");
    assert!(refusals.iter().all(|line| line["row"]["input_token_count"] == 0), "{refusals:?}");
}

fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    let wait: u64 =
        answer.header("retry-after").and_then(|seconds| seconds.parse().ok()).expect("Retry-After in seconds");
    assert!((1..=120).contains(&wait), "Retry-After: {wait}");
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("2"));
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("0"));
    assert!(answer.header("x-databricks-request-id").is_some());
}

#[tokio::test]
async fn a_limit_of_zero_blocks() {
    let rig = rig(&[json!({"key": "user", "principal": "bob@example.com", "calls": 0})]).await;
    let refused = rig.send(call(BOB)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("60")));
    assert_eq!(rig.send(call(ALICE)).await.status, 200);
}
