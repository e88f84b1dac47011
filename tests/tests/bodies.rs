//! Bodies as they may come: with trailers, in parts, after `expect: 100-continue`, and at the very edge of what is allowed.

use std::time::Duration;

use hyper::HeaderMap;
use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::ALICE;
use weir_e2e::raw::{Raw, chunk, chunked_head};
use weir_e2e::wire::over_http2;
use weir_e2e::{Addresses, Call, Endpoint, Policy, Rig, Setup};

const PATH: &str = "/v1/chat/completions";
const MAX: usize = 100_000;

fn policy(at: &Addresses) -> Policy {
    Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100)).set("/max_request_bytes", json!(MAX))
}

async fn rig() -> Rig {
    Setup::new(&["a"], policy).start().await
}

fn body() -> Value {
    chat("chat", json!({"temperature": 0.25}))
}

/// A body of so many bytes.
fn body_of(size: usize) -> String {
    let empty = chat("chat", json!({"padding": ""})).to_string().len();
    chat("chat", json!({"padding": "x".repeat(size - empty)})).to_string()
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("x-checksum".parse().expect("a name"), "42".parse().expect("a value"))])
}

/// As the provider gets it: with the model's own name.
fn as_sent(mut body: Value) -> Value {
    body["model"] = json!("a-model");
    body
}

/// The head of a POST with this header, alone on its connection.
fn head(header: &str) -> String {
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: e2e\r\nauthorization: Bearer {ALICE}\r\nconnection: close\r\n{header}\r\n\r\n"
    )
}

async fn assert_whole(rig: &Rig, records: usize, what: &str) {
    let received = rig.mock("a").last().await;
    assert_eq!(received.json(), as_sent(body()), "{what}");
    assert_eq!(rig.mock("a").count().await, records as u64, "{what}: one request");
    let lines = rig.collector.usage(records).await;
    assert!(lines.iter().all(|line| line["row"]["status_code"] == 200), "{what}: {lines:?}");
}

#[tokio::test]
async fn http2_bodies_in_frames_with_and_without_trailers() {
    let mut rig = rig().await;
    let text = body().to_string();
    let (first, rest) = text.as_bytes().split_at(20);
    let (second, third) = rest.split_at(1);
    let rows = [
        ("trailers behind three frames", vec![first, second, third], trailers(), 0),
        ("no trailers", vec![first, rest], HeaderMap::new(), 0),
        ("trailers after a pause", vec![text.as_bytes()], trailers(), 200),
    ];
    for (number, (what, pieces, trailers, pause)) in rows.into_iter().enumerate() {
        let call = Call::post(PATH, "").key(ALICE);
        let answer = over_http2(rig.envoy.port, &call, &pieces, Duration::from_millis(pause), trailers).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        assert_whole(&rig, number + 1, what).await;
        assert!(rig.mock("a").last().await.header("x-checksum").is_empty(), "{what}");
    }
    // Trailers and nothing else: there is no body.
    let call = Call::post(PATH, "").key(ALICE);
    let answer = over_http2(rig.envoy.port, &call, &[], Duration::ZERO, trailers()).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!("invalid_request_error")));
    rig.collector.usage(4).await;
    rig.assert_healthy().await;
}

/// Trailers are no part of any provider's API, and may hold what is nobody else's business.
#[tokio::test]
async fn a_clients_trailers_reach_no_provider() {
    let (port, mut seen) = weir_e2e::wire::http2_provider().await;
    let policy = |at: &Addresses| {
        let base = format!("http://127.0.0.1:{port}/v1");
        let endpoint = Endpoint::new("chat").entity_at("a", 50, &base).entity_at("b", 50, &base).fallback();
        Policy::new(at).endpoint(endpoint)
    };
    let rig = Setup::new(&[], policy).edit(|bootstrap, _| bootstrap.use_http2("weir-chat-")).start().await;
    let text = body().to_string();
    for _ in 0..4 {
        let call = Call::post(PATH, "").key(ALICE);
        let answer = over_http2(rig.envoy.port, &call, &[text.as_bytes()], Duration::ZERO, trailers()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let (received, trailers) = seen.recv().await.expect("a request");
        assert_eq!(received["messages"], body()["messages"]);
        assert!(trailers.is_empty(), "{trailers:?}");
    }
}

#[tokio::test]
async fn a_body_with_trailers_is_whole_for_the_fallback_too() {
    let policy = |at: &Addresses| {
        Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100).entity(at, "b", 0).fallback())
    };
    let rig = Setup::new(&["a", "b"], policy).behave("a", "503").start().await;
    let text = body().to_string();
    let call = Call::post(PATH, "").key(ALICE);
    let pieces = [&text.as_bytes()[..20], &text.as_bytes()[20..]];
    let answer = over_http2(rig.envoy.port, &call, &pieces, Duration::from_millis(50), trailers()).await;
    assert_eq!((answer.status, answer.header("served-model-name")), (200, Some("b")), "{}", answer.text());
    for name in ["a", "b"] {
        let mut expected = body();
        expected["model"] = json!(format!("{name}-model"));
        assert_eq!(rig.mock(name).last().await.json(), expected);
    }
}

#[tokio::test]
async fn a_chunked_body_with_trailers() {
    let rig = rig().await;
    let mut raw = Raw::connect(rig.envoy.port).await;
    raw.write(chunked_head(PATH, ALICE).as_bytes()).await;
    let text = body().to_string();
    let (first, rest) = text.as_bytes().split_at(20);
    raw.write(&chunk(first)).await;
    raw.write(&[&chunk(rest)[..], b"0\r\nx-checksum: 42\r\n\r\n"].concat()).await;
    let answer = raw.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_whole(&rig, 1, "chunked").await;
}

#[tokio::test]
async fn a_body_in_two_parts_with_a_pause() {
    let rig = rig().await;
    let text = body().to_string();
    let mut raw = Raw::connect(rig.envoy.port).await;
    raw.write(head(&format!("content-length: {}", text.len())).as_bytes()).await;
    raw.write(&text.as_bytes()[..30]).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    raw.write(&text.as_bytes()[30..]).await;
    let answer = raw.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_whole(&rig, 1, "two parts").await;
}

#[tokio::test]
async fn who_expects_100_continue_gets_it_once() {
    let rig = rig().await;
    let text = body().to_string();
    let mut raw = Raw::connect(rig.envoy.port).await;
    raw.write(head(&format!("content-length: {}\r\nexpect: 100-continue", text.len())).as_bytes()).await;
    let go_on = raw.read_until(|text| text.contains("\r\n\r\n")).await;
    assert!(go_on.starts_with("HTTP/1.1 100"), "{go_on}");
    raw.write(text.as_bytes()).await;
    let answer = raw.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_whole(&rig, 1, "expect").await;
    assert!(rig.mock("a").last().await.header("expect").is_empty());

    // Refused by its length, before a byte of it is sent.
    let mut raw = Raw::connect(rig.envoy.port).await;
    raw.write(head(&format!("content-length: {}\r\nexpect: 100-continue", MAX + 1)).as_bytes()).await;
    let answer = raw.read_until(|text| text.contains("request_too_large")).await;
    assert!(answer.contains("HTTP/1.1 413"), "{answer}");
    rig.collector.usage(2).await;
}

#[tokio::test]
async fn a_body_of_no_bytes_is_refused() {
    let rig = rig().await;
    for (number, rest) in ["content-length: 0", "transfer-encoding: chunked\r\n\r\n0"].into_iter().enumerate() {
        let mut raw = Raw::connect(rig.envoy.port).await;
        raw.write(head(rest).as_bytes()).await;
        let answer = raw.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("invalid_request_error"), "{answer}");
        rig.collector.usage(number + 1).await;
    }
    assert_eq!(rig.mock("a").count().await, 0);
}

#[tokio::test]
async fn the_very_edge_of_max_request_bytes() {
    let mut rig = rig().await;
    let chunks = |text: &str, size: usize| -> Vec<u8> {
        let pieces = text.as_bytes().chunks(size).flat_map(chunk);
        pieces.chain(*b"0\r\n\r\n").collect()
    };
    let with_length = |text: &str| head(&format!("content-length: {}", text.len())) + text;
    let rows = [
        ("by length, at the limit", with_length(&body_of(MAX)).into_bytes(), 200),
        ("by length, one over", with_length(&body_of(MAX + 1)).into_bytes(), 413),
        ("chunked, at the limit", [head(CHUNKED).as_bytes(), &chunks(&body_of(MAX), 7_001)].concat(), 200),
        ("chunked, one over", [head(CHUNKED).as_bytes(), &chunks(&body_of(MAX + 1), 7_001)].concat(), 413),
        ("one chunk, one over", [head(CHUNKED).as_bytes(), &chunks(&body_of(MAX + 1), MAX + 1)].concat(), 413),
        ("one chunk, ten times over", [head(CHUNKED).as_bytes(), &chunks(&body_of(MAX * 10), MAX * 10)].concat(), 413),
    ];
    for (number, (what, bytes, status)) in rows.into_iter().enumerate() {
        let mut raw = Raw::connect(rig.envoy.port).await;
        raw.try_write(&bytes).await;
        let answer =
            raw.read_until(|text| text.contains("request_too_large") || text.contains("chat.completion")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {}", answer.get(..300).unwrap_or(&answer));
        assert_eq!(answer.contains(r#""code":"request_too_large""#), status == 413, "{what}: {answer}");
        let lines = rig.collector.usage(number + 1).await;
        assert_eq!(lines[number]["row"]["status_code"], status, "{what}");
    }
    assert_eq!(rig.mock("a").count().await, 2);
    rig.assert_healthy().await;
}

const CHUNKED: &str = "transfer-encoding: chunked";

#[tokio::test]
async fn http2_bodies_over_the_limit() {
    let mut rig = rig().await;
    let call = Call::post(PATH, "").key(ALICE);
    let (whole, over) = (body_of(MAX), body_of(MAX + 1));
    for (number, (body, status)) in [(&whole, 200), (&over, 413)].into_iter().enumerate() {
        let pieces: Vec<_> = body.as_bytes().chunks(16_384).collect();
        let answer = over_http2(rig.envoy.port, &call, &pieces, Duration::ZERO, HeaderMap::new()).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        rig.collector.usage(number + 1).await;
    }
    rig.assert_healthy().await;
}

/// Of a model's own API the gateway knows nothing: whoever makes the request, the body is the caller's.
#[tokio::test]
async fn a_body_of_a_models_own_api_goes_as_it_came() {
    let policy = |at: &Addresses| {
        let model = json!([{"name": "a", "entity_name": "main.m.iris", "entity_version": "1",
            "url": format!("http://127.0.0.1:{}/serving-endpoints/iris/invocations", at.mock("a"))}]);
        let route = json!([{"served_entity_name": "a", "traffic_percentage": 100}]);
        let iris = Endpoint::new("iris");
        Policy::new(at).endpoint(iris.set("/config/served_entities", model).set("/config/traffic_config/routes", route))
    };
    let mut rig = Setup::new(&["a"], policy).start().await;
    let body = r#"{"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}}"#;
    let answer = rig.send(Call::post("/serving-endpoints/iris/invocations", body).key(ALICE)).await;
    assert_eq!((answer.status, answer.header("served-model-name")), (200, Some("a")), "{}", answer.text());
    assert_eq!(rig.mock("a").last().await.body(), body);
    rig.assert_healthy().await;
}
