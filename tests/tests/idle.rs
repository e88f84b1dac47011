//! A model that takes its time: a route's own idle timeout counts, not the listener's, also after the filter has sent the request
//! on another way.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::bootstrap::Bootstrap;
use weir_e2e::client::chat;
use weir_e2e::policy::ALICE;
use weir_e2e::{Addresses, Call, Endpoint, Policy, Rig, Setup};

fn policy(at: &Addresses) -> Policy {
    Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100).entity(at, "b", 0).fallback())
}

/// Envoy with a second for a silent stream, unless a route says otherwise; `edit` may change the routes.
async fn rig(edit: impl Fn(&mut Bootstrap)) -> Rig {
    let setup = Setup::new(&["a", "b"], policy).edit(move |bootstrap, _| {
        bootstrap.http_manager()["stream_idle_timeout"] = json!("1s");
        edit(bootstrap);
    });
    setup.start().await
}

fn body(orders: Value, more: Value) -> Value {
    let mut body = chat("chat", json!({"mock": {"a": orders}}));
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    body
}

fn hanging() -> Call {
    Call::chat(ALICE, &body(json!({"delay_ms": 3_000}), json!({})))
}

#[tokio::test]
async fn a_slow_model_is_not_cut_by_the_listeners_idle_timeout() {
    let mut rig = rig(|_| {}).await;
    assert_eq!(rig.send(hanging()).await.status, 200, "an answer after 3 s");
    let orders = json!({"content_tokens": 4, "chunks": 4, "chunk_delay_ms": 1_500});
    let streamed = rig.stream(Call::chat(ALICE, &body(orders, json!({"stream": true})))).await;
    assert!(streamed.clean_end && streamed.text().ends_with("data: [DONE]\n\n"), "{}", streamed.text());
    let lines = rig.collector.usage(2).await;
    assert!(lines.iter().all(|line| line["detail"]["complete"] == true), "{lines:?}");
    rig.assert_healthy().await;
}

#[tokio::test]
async fn a_slow_upload_is_not_cut_either() {
    let rig = rig(|_| {}).await;
    let text = body(json!({}), json!({})).to_string();
    let mut raw = weir_e2e::raw::Raw::connect(rig.envoy.port).await;
    let head = weir_e2e::raw::chunked_head("/v1/chat/completions", ALICE);
    raw.write(head.as_bytes()).await;
    raw.write(&weir_e2e::raw::chunk(&text.as_bytes()[..20])).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    raw.write(&[&weir_e2e::raw::chunk(&text.as_bytes()[20..])[..], b"0\r\n\r\n"].concat()).await;
    let answer = raw.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Whose timeout counts once the request is on its way to the model: that of the route that it takes then.
#[tokio::test]
async fn the_rewritten_requests_route_has_the_say() {
    for (incoming, rewritten, status) in [("1s", "300s", 200), ("300s", "1s", 504)] {
        let mut rig = rig(|bootstrap| bootstrap.set_idle_timeouts(incoming, rewritten)).await;
        let answer = rig.send(hanging()).await;
        assert_eq!(answer.status, status, "{incoming}, then {rewritten}: {}", answer.text());
        let line = &rig.collector.usage(1).await[0];
        assert_eq!(line["row"]["status_code"], status, "{line}");
        rig.assert_healthy().await;
    }
}
