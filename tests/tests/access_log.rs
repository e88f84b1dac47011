//! An access log of the operator's that prints what it should not: however a request ends, a line has the caller's host and
//! path, and no credential of anybody's. In every version and mode.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::ALICE;
use weir_e2e::process::poll;
use weir_e2e::{Addresses, Call, Endpoint, Policy, Setup};

const FORMAT: &str = "LINE %REQ(:PATH)% [%REQ(authorization)%] %REQ(:AUTHORITY)% %REQ(user-agent)% END\n";

fn policy(at: &Addresses) -> Policy {
    Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100).entity(at, "b", 0).fallback())
}

fn call(orders: Value) -> Call {
    Call::chat(ALICE, &chat("chat", orders)).header("user-agent", "tester").header("host", "ai.example.com")
}

#[tokio::test]
async fn a_line_is_the_callers_however_the_request_ends() {
    let setup = Setup::new(&["a", "b"], policy).edit(|bootstrap, _| {
        bootstrap.http_manager()["access_log"] = json!([{
            "name": "envoy.access_loggers.stdout",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
                "log_format": {"text_format_source": {"inline_string": FORMAT}},
            },
        }]);
    });
    let mut rig = setup.start().await;
    assert_eq!(rig.send(call(json!({}))).await.status, 200);
    assert_eq!(rig.send(call(json!({"mock": {"a": {"status": 503}}}))).await.status, 200);
    assert_eq!(rig.send(call(json!({"mock": {"a": {"status": 503}, "b": {"status": 429}}}))).await.status, 429);
    let slow = json!({"content_tokens": 200, "chunks": 200, "chunk_delay_ms": 50});
    drop(rig.client.stream_until(&call(json!({"stream": true, "mock": {"a": slow}})), 4).await);
    for orders in [json!({"a": {"hang": true}}), json!({"a": {"status": 503}, "b": {"hang": true}})] {
        let gone = tokio::time::timeout(Duration::from_secs(2), rig.send(call(json!({"mock": orders})))).await;
        assert!(gone.is_err(), "it hangs");
    }
    let lines = || rig.envoy.log().lines().filter(|line| line.contains("LINE")).map(str::to_owned).collect::<Vec<_>>();
    let all = poll(Duration::from_secs(30), async || Some(lines()).filter(|lines| lines.len() >= 6)).await;
    for line in all.unwrap_or_else(|| panic!("{:?}", lines())) {
        assert!(line.contains("LINE /v1/chat/completions [-] ai.example.com tester END"), "{line}");
    }
    // What the providers got was theirs.
    assert_eq!(rig.mock("a").received().await[0].header("authorization"), ["Bearer secret-of-a"]);
    assert_eq!(rig.mock("b").received().await[0].header("authorization"), ["Bearer secret-of-b"]);
    rig.assert_healthy().await;
}
