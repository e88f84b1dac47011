//! A record for every request, whichever way it ends: callers that go away at each point, models that break off, answers of Envoy's own.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::HeaderMap;
use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::ALICE;
use weir_e2e::process::{free_port, poll};
use weir_e2e::raw::Raw;
use weir_e2e::wire::over_http2;
use weir_e2e::{Addresses, Call, Endpoint, Policy, Rig, Setup};

const PATH: &str = "/v1/chat/completions";

/// With payloads and without: the two have phases of their own.
fn policy(at: &Addresses, dead: u16) -> Policy {
    let table = json!({"enabled": true, "catalog_name": "c", "schema_name": "s", "table_name_prefix": "p"});
    let two = |name: &str| Endpoint::new(name).entity(at, "a", 100).entity(at, "b", 0).fallback();
    let nowhere = Endpoint::new("dead").entity_at("nowhere", 100, &format!("http://127.0.0.1:{dead}/v1"));
    Policy::new(at)
        .endpoint(two("plain"))
        .endpoint(two("logged").set("/ai_gateway/inference_table_config", table))
        .endpoint(nowhere)
}

/// How a caller that has sent something ends.
#[derive(Clone, Copy)]
enum Then {
    /// The connection is reset after so many milliseconds.
    Reset(u64),
    Close,
    /// It reads to the end.
    Read,
}
use Then::{Close, Read, Reset};

fn head(case: &str, more: &str) -> String {
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: e2e\r\nauthorization: Bearer {ALICE}\r\nconnection: close\r\n\
         x-weir-usage-context: {{\"case\":\"{case}\"}}\r\n{more}\r\n\r\n"
    )
}

fn whole(case: &str, endpoint: &str, more: Value) -> String {
    let body = chat(endpoint, more).to_string();
    format!("{}{body}", head(case, &format!("content-length: {}", body.len())))
}

fn slow_stream() -> Value {
    json!({"stream": true, "mock": {"a": {"content_tokens": 200, "chunks": 100, "chunk_delay_ms": 30}}})
}

/// `(name, what is sent, how it ends, status, complete)`.
fn cases(endpoint: &str) -> Vec<(String, String, Then, u16, bool)> {
    let orders = |a: Value| json!({"mock": {"a": a, "b": {"status": 503}}});
    let streamed = |a: Value| json!({"stream": true, "mock": {"a": a}});
    let half = |text: String| text[..text.len() - 20].to_owned();
    let late = json!({"mock": {"a": {"delay_ms": 3_000}}});
    let second = json!({"mock": {"a": {"status": 503}, "b": {"delay_ms": 3_000}}});
    let name = |case: &str| format!("{endpoint}-{case}");
    let sent = |case: &str, more: Value| whole(&name(case), endpoint, more);
    vec![
        ("no-body", head(&name("no-body"), "content-length: 50"), Reset(100), 499, false),
        ("expect", head(&name("expect"), "content-length: 50\r\nexpect: 100-continue"), Reset(100), 499, false),
        ("half-body", half(sent("half-body", json!({}))), Reset(100), 499, false),
        ("half-body-closed", half(sent("half-body-closed", json!({}))), Close, 499, false),
        ("waiting", sent("waiting", late.clone()), Reset(300), 499, false),
        ("waiting-closed", sent("waiting-closed", late), Close, 499, false),
        ("second-attempt", sent("second-attempt", second), Reset(500), 499, false),
        ("mid-stream", sent("mid-stream", slow_stream()), Reset(800), 200, false),
        ("all-fail", sent("all-fail", orders(json!({"reset": true}))), Read, 503, true),
        ("broken-json", sent("broken-json", orders(json!({"midreset": 1}))), Read, 200, false),
        ("broken-stream", sent("broken-stream", streamed(json!({"midreset": 3}))), Read, 200, false),
        ("no-end", sent("no-end", streamed(json!({"no_done": true}))), Read, 200, false),
        ("short", sent("short", orders(json!({"wrong_content_length": true}))), Read, 200, false),
        ("no-json", head(&name("no-json"), "content-length: 5") + "nope!", Read, 400, true),
    ]
    .into_iter()
    .map(|(case, sent, then, status, complete)| (name(case), sent, then, status, complete))
    .collect()
}

async fn play(rig: &Rig, sent: &str, then: Then) {
    let mut raw = Raw::connect(rig.envoy.port).await;
    raw.try_write(sent.as_bytes()).await;
    match then {
        Reset(after) => {
            tokio::time::sleep(Duration::from_millis(after)).await;
            raw.abort();
        }
        Close => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(raw);
        }
        Read => drop(raw.read_to_end().await),
    }
}

/// The records by the name that their request gave; each exactly once.
async fn records(rig: &Rig, most: usize) -> BTreeMap<String, Value> {
    let lines = poll(Duration::from_secs(15), async || {
        Some(rig.collector.lines("endpoint_usage")).filter(|lines| lines.len() >= most)
    });
    drop(lines.await);
    // Had one a second record, it would be here by then.
    rig.envoy.wait_for_stat("weir.records_queued", 0, Duration::from_secs(5)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut found = BTreeMap::new();
    for line in rig.collector.lines("endpoint_usage") {
        let case = line["row"]["usage_context"]["case"].as_str().unwrap_or("(none)").to_owned();
        assert!(found.insert(case.clone(), line).is_none(), "{case} has two records");
    }
    found
}

#[tokio::test]
async fn every_request_has_one_record_whatever_ends_it() {
    let dead = free_port();
    let mut rig = Setup::new(&["a", "b"], |at| policy(at, dead)).start().await;
    let mut cases: Vec<_> = ["plain", "logged"].into_iter().flat_map(cases).collect();
    cases.push(("dead".to_owned(), whole("dead", "dead", json!({})), Read, 502, true));
    for (_, sent, then, ..) in &cases {
        play(&rig, sent, *then).await;
    }
    let found = records(&rig, cases.len()).await;
    let seen: Vec<_> = cases
        .iter()
        .map(|(case, ..)| {
            let line = found.get(case);
            let part = |pointer| line.and_then(|line| line.pointer(pointer)).cloned().unwrap_or_default();
            (case.as_str(), part("/row/status_code"), part("/detail/complete"))
        })
        .collect();
    let want: Vec<_> =
        cases.iter().map(|(case, _, _, status, complete)| (case.as_str(), json!(status), json!(complete))).collect();
    assert_eq!(seen, want);
    assert_eq!(found.len(), cases.len(), "{:?}", found.keys());
    rig.assert_healthy().await;
}

#[tokio::test]
async fn a_stream_of_http2_that_is_cancelled_has_one_record() {
    let dead = free_port();
    let mut rig = Setup::new(&["a", "b"], |at| policy(at, dead)).start().await;
    let late = json!({"mock": {"a": {"delay_ms": 3_000}}});
    let cases = [("h2-waiting", late, 499), ("h2-mid-stream", slow_stream(), 200)];
    for (case, more, _) in &cases {
        let call = Call::post(PATH, "").key(ALICE).header("x-weir-usage-context", &json!({"case": case}).to_string());
        let body = chat("plain", more.clone()).to_string();
        let pieces = [body.as_bytes()];
        let exchange = over_http2(rig.envoy.port, &call, &pieces, Duration::ZERO, HeaderMap::new());
        assert!(tokio::time::timeout(Duration::from_millis(800), exchange).await.is_err(), "{case} was over too soon");
    }
    let call = Call::post(PATH, "").key(ALICE).header("x-weir-usage-context", r#"{"case":"h2-half-body"}"#);
    let body = chat("plain", json!({})).to_string();
    let pieces = [&body.as_bytes()[..20], &body.as_bytes()[20..]];
    let exchange = over_http2(rig.envoy.port, &call, &pieces, Duration::from_millis(600), HeaderMap::new());
    assert!(tokio::time::timeout(Duration::from_millis(900), exchange).await.is_err());
    let found = records(&rig, 3).await;
    for (case, status) in [("h2-waiting", 499), ("h2-mid-stream", 200), ("h2-half-body", 499)] {
        let line = found.get(case).unwrap_or_else(|| panic!("{case} has no record"));
        assert_eq!(
            (&line["row"]["status_code"], &line["detail"]["complete"]),
            (&json!(status), &json!(false)),
            "{case}"
        );
    }
    assert_eq!(found.len(), 3);
    rig.assert_healthy().await;
}
