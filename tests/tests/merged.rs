//! Weir in an Envoy that there was before (docs/existing-envoy.md): the parts of `weir render envoy --only` in a configuration
//! written by hand, whose other requests must not notice.

use std::path::Path;

use serde_json::{Value, json};
use weir_e2e::bootstrap::Bootstrap;
use weir_e2e::client::chat;
use weir_e2e::envoy::rendered;
use weir_e2e::mock::Received;
use weir_e2e::policy::{ALICE, secret, sha256};
use weir_e2e::process::Folder;
use weir_e2e::raw::Raw;
use weir_e2e::{Addresses, Answer, Call, Endpoint, Policy, Rig, Setup};

fn policy(at: &Addresses) -> Policy {
    Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100).entity(at, "b", 0).fallback())
}

/// What the operator had: a shop on its own host and whatever comes on the others, a filter on all of it, Envoy's defaults.
fn by_hand(bootstrap: &mut Bootstrap, at: &Addresses) {
    let listen = bootstrap.0["static_resources"]["listeners"][0]["address"].clone();
    let to_other =
        |name: &str| json!({"name": name, "match": {"prefix": "/"}, "route": {"cluster": "other", "timeout": "60s"}});
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "use_remote_address": true,
        "route_config": {"name": "edge", "virtual_hosts": [
            {"name": "shop", "domains": ["shop.example.com"], "routes": [to_other("shop")]},
            {"name": "rest", "domains": ["*"], "routes": [to_other("rest")], "include_request_attempt_count": true},
        ]},
        "http_filters": [
            {"name": "operators", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
                "mutations": {
                    "request_mutations": [{"append": {"header": {"key": "x-operator", "value": "in"}}}],
                    "response_mutations": [{"append": {"header": {"key": "x-operator", "value": "out"}}}],
                },
            }},
            {"name": "envoy.filters.http.router", "typed_config":
                {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}},
        ],
    });
    let chain =
        json!({"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]});
    bootstrap.0["static_resources"] =
        json!({"listeners": [{"name": "edge", "address": listen, "filter_chains": [chain]}], "clusters": []});
    bootstrap.add_cluster("other", at.mock("other"));
}

/// What docs/existing-envoy.md says to do.
fn merged(bootstrap: &mut Bootstrap, at: &Addresses) {
    by_hand(bootstrap, at);
    let folder = Folder::new("merged");
    let file = folder.join("policy.json");
    std::fs::write(&file, policy(at).0.to_string()).expect("a policy");
    let part = |name: &str| part(&file, name);

    for cluster in part("clusters").as_array().expect("a list") {
        bootstrap.0["static_resources"]["clusters"].as_array_mut().expect("clusters").push(cluster.clone());
    }
    let filters = part("filters");
    let manager = bootstrap.http_manager();
    manager["early_header_mutation_extensions"] = filters["early_header_mutation_extensions"].clone();
    let chain = manager["http_filters"].as_array_mut().expect("filters");
    let mut router = chain.pop().expect("a router");
    router["typed_config"]["upstream_http_filters"] = filters["upstream_http_filters"].clone();
    chain.extend(filters["http_filters"].as_array().expect("a list").iter().cloned());
    chain.push(router);
    let routes = manager["route_config"]["virtual_hosts"][1]["routes"].as_array_mut().expect("routes");
    routes.splice(0..0, part("routes").as_array().expect("a list").iter().cloned());
}

fn part(policy: &Path, name: &str) -> Value {
    let environment = ["A", "B"].map(|name| (format!("WEIR_SECRET_E2E_{name}"), String::new()));
    serde_yaml_ng::from_str(&rendered(policy, &["--only", name], &environment)).expect("YAML")
}

async fn start(edit: fn(&mut Bootstrap, &Addresses)) -> Rig {
    Setup::new(&["a", "b", "other"], policy).edit(edit).behave("other", "echo").behave("a", "503").start().await
}

/// Requests that are none of Weir's, one of them on a path of its, on another host.
fn others() -> Vec<Call> {
    let upload = "\u{0}not json ".repeat(200_000);
    let spoofed =
        |call: Call| call.header("x-weir-plan", "mine").header("x-envoy-retry-on", "5xx").header("cookie", "a=b");
    vec![
        spoofed(Call::post("/upload?x=1", upload)).header("authorization", "Bearer theirs"),
        Call::post("/v1/chat/completions", "{}").header("host", "shop.example.com").key("their-key"),
        Call::get("/v1/chat"),
    ]
}

/// What both sides see of one, but for what is new with each request and each start.
async fn seen(rig: &Rig, call: Call) -> (u16, Vec<String>, String, String, Vec<(String, Vec<String>)>) {
    let answer: Answer = rig.send(call).await;
    let mut headers: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
    headers.sort();
    let received: Received = rig.mock("other").last().await;
    let mut names: Vec<_> = received.header_names().into_iter().map(str::to_owned).collect();
    names.sort();
    let values = |name: &String| received.header(name).into_iter().map(str::to_owned).collect();
    let all = names.iter().filter(|name| !["x-request-id", "host"].contains(&name.as_str()));
    let all = all.map(|name| (name.clone(), values(name))).collect();
    (answer.status, headers, received.path().to_owned(), received.body_sha256().to_owned(), all)
}

#[tokio::test]
async fn what_an_envoy_served_before_it_serves_as_before() {
    let (before, mut after) = (start(by_hand).await, start(merged).await);
    for call in others() {
        assert_eq!(seen(&after, call.clone()).await, seen(&before, call).await);
    }
    // Not held back until it is whole.
    let mut raw = Raw::connect(after.envoy.port).await;
    raw.write(b"POST /other/x HTTP/1.1\r\nhost: e2e\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n").await;
    assert!(raw.read_until(|text| text.contains("100 Continue")).await.contains("100 Continue"));

    let call = Call::chat(ALICE, &chat("chat", json!({}))).header("cookie", "a=b").header("x-weir-cluster", "other");
    let answer = after.send(call).await;
    assert_eq!((answer.status, answer.header("served-model-name")), (200, Some("b")), "{}", answer.text());
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("x-envoy")), "{:?}", answer.headers);
    for name in ["a", "b"] {
        let received = after.mock(name).last().await;
        assert_eq!(received.header("authorization"), [format!("Bearer {}", secret(name))]);
        let strange: Vec<_> = received.header_names().into_iter().filter(|name| name.starts_with("x-")).collect();
        // The operator's filter stands before Weir's, which takes off what is not of the provider's API.
        assert!(strange.is_empty() && received.header("cookie").is_empty(), "{strange:?}");
        assert_ne!(received.body_sha256(), sha256(b""));
    }
    // Only the request that was Weir's.
    after.collector.usage(1).await;
    after.assert_healthy().await;
}
