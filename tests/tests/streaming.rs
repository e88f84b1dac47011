//! Streams: byte for byte, piece by piece as they come, with exact usage, and never a clean end where there was none.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::ALICE;
use weir_e2e::{Addresses, Call, Endpoint, Policy, Rig, Setup};

/// The model's own name is the endpoint's, so that a request passes without a change.
fn same_name(at: &Addresses) -> Policy {
    let endpoint = Endpoint::new("chat").entity(at, "a", 100);
    Policy::new(at).endpoint(endpoint.set("/config/served_entities/0/external_model/name", json!("chat")))
}

async fn rig() -> Rig {
    Setup::new(&["a"], same_name).start().await
}

/// A streamed chat whose answer the mock makes by these orders.
fn body(orders: Value, more: Value) -> Value {
    let mut body = chat("chat", json!({"stream": true, "mock": {"a": orders}}));
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    body
}

fn asking_for_usage() -> Value {
    json!({"stream_options": {"include_usage": true}})
}

#[tokio::test]
async fn two_hundred_chunks_come_byte_for_byte_and_as_they_are_sent() {
    let rig = rig().await;
    let body = body(json!({"content_tokens": 400, "chunks": 200, "chunk_delay_ms": 5}), asking_for_usage());
    let streamed = rig.stream(Call::chat(ALICE, &body)).await;
    assert_eq!((streamed.status, streamed.content_type()), (200, "text/event-stream".to_owned()));
    assert!(streamed.clean_end);

    let direct = rig.mock("a").client().send(&Call::chat(ALICE, &body)).await;
    assert_eq!(streamed.bytes(), direct.body, "the gateway's bytes and the provider's");

    let (first, last) = (streamed.pieces[0].0, streamed.pieces[streamed.pieces.len() - 1].0);
    assert!(last - first >= Duration::from_millis(800), "200 pieces 5 ms apart came within {:?}", last - first);
    assert!(streamed.pieces.len() >= 100, "{} pieces: they were held back", streamed.pieces.len());

    let line = &rig.collector.usage(1).await[0];
    assert_eq!(line["row"]["output_token_count"], 400);
    assert_eq!((&line["row"]["request_streaming"], &line["detail"]["complete"]), (&json!(true), &json!(true)));
    assert_eq!(line["detail"]["token_source"], "reported");
    let first_byte = line["detail"]["time_to_first_byte_ms"].as_f64().expect("a number");
    assert!(first_byte < line["detail"]["latency_ms"].as_f64().expect("a number") - 500.0, "{line}");
}

#[tokio::test]
async fn the_usage_chunk_is_hidden_from_who_did_not_ask() {
    let rig = rig().await;
    let streamed = rig.stream(Call::chat(ALICE, &body(json!({"content_tokens": 30}), json!({})))).await;
    let events = streamed.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let without_choices = events.iter().filter(|event| event.contains("\"choices\":[]")).count();
    assert_eq!(without_choices, 0, "{events:?}");
    assert_eq!(rig.mock("a").last().await.json()["stream_options"]["include_usage"], true, "it is asked for upstream");
    assert_eq!(rig.collector.usage(1).await[0]["row"]["output_token_count"], 30);
}

#[tokio::test]
async fn streams_cut_anywhere_have_the_same_bytes_and_usage() {
    let rig = rig().await;
    let cuts = [1, 2, 3, 7, 64, 1000];
    for cut in cuts {
        let orders = json!({"content": "Ein Wehr mißt den Strom 🌊 für alle", "chunk_bytes": cut});
        let streamed = rig.stream(Call::chat(ALICE, &body(orders.clone(), asking_for_usage()))).await;
        assert_eq!(streamed.content(), "Ein Wehr mißt den Strom 🌊 für alle", "cut every {cut} bytes");
        let hidden = rig.stream(Call::chat(ALICE, &body(orders, json!({})))).await;
        assert_eq!(hidden.content(), streamed.content(), "cut every {cut} bytes, usage chunk dropped");
        assert!(!hidden.text().contains("\"choices\":[]"), "cut every {cut} bytes: {}", hidden.text());
        assert!(hidden.text().ends_with("data: [DONE]\n\n"), "cut every {cut} bytes: {}", hidden.text());
    }
    for line in rig.collector.usage(cuts.len() * 2).await {
        assert_eq!(
            (&line["row"]["output_token_count"], &line["detail"]["token_source"]),
            (&json!(8), &json!("reported"))
        );
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_never_ended_cleanly() {
    let rig = rig().await;
    let reset = rig
        .stream(Call::chat(ALICE, &body(json!({"chunks": 20, "content_tokens": 40, "midreset": 5}), json!({}))))
        .await;
    assert_eq!(reset.status, 200);
    assert!(!reset.text().contains("[DONE]") && !reset.clean_end, "{}", reset.text());
    let line = &rig.collector.usage(1).await[0];
    assert_eq!((&line["row"]["status_code"], &line["detail"]["complete"]), (&json!(200), &json!(false)));
}

#[tokio::test]
async fn a_stream_without_its_terminal_event_gets_an_error_event() {
    let rig = rig().await;
    for orders in [json!({"no_done": true}), json!({"half_event": true})] {
        let streamed = rig.stream(Call::chat(ALICE, &body(orders.clone(), json!({})))).await;
        let events = streamed.events();
        assert!(!streamed.text().contains("[DONE]"), "{orders}: {events:?}");
        let last: Value = events.last().and_then(|event| serde_json::from_str(event).ok()).unwrap_or_default();
        assert!(last["error"]["message"].is_string(), "{orders}: {events:?}");
    }
    let lines = rig.collector.usage(2).await;
    assert!(lines.iter().all(|line| line["detail"]["complete"] == false), "{lines:?}");
}

#[tokio::test]
async fn a_client_that_goes_away_is_recorded_once() {
    let mut rig = rig().await;
    let orders = json!({"content_tokens": 400, "chunks": 200, "chunk_delay_ms": 20});
    let cut_off = rig.client.stream_until(&Call::chat(ALICE, &body(orders, json!({}))), 5).await;
    assert_eq!((cut_off.status, cut_off.pieces.len()), (200, 5));
    drop(cut_off);
    let line = &rig.collector.usage(1).await[0];
    assert_eq!(line["detail"]["complete"], false);
    assert_eq!(line["detail"]["token_source"], "counted");
    assert!(line["row"]["output_token_count"].as_u64().is_some_and(|n| n > 0), "what was said is counted: {line}");
    assert_eq!(rig.send(Call::chat(ALICE, &chat("chat", json!({})))).await.status, 200);
    rig.collector.usage(2).await;
    rig.assert_healthy().await;
}

#[tokio::test]
async fn nothing_is_retried_once_a_stream_has_begun() {
    let policy = |at: &Addresses| {
        Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100).entity(at, "b", 0).fallback())
    };
    let rig = Setup::new(&["a", "b"], policy).start().await;
    let streamed =
        rig.stream(Call::chat(ALICE, &body(json!({"chunks": 9, "content_tokens": 9, "midreset": 3}), json!({})))).await;
    assert!(!streamed.clean_end);
    assert_eq!(rig.mock("b").count().await, 0);
}
