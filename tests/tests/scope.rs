//! The door: what Weir does not touch passes byte for byte, what it does touch is cleaned of what a client could spoof.

use serde_json::{Value, json};
use weir_e2e::bootstrap::Bootstrap;
use weir_e2e::client::chat;
use weir_e2e::policy::{ALICE, sha256};
use weir_e2e::raw::Raw;
use weir_e2e::{Addresses, Call, Endpoint, Policy, Setup};

fn policy(at: &Addresses) -> Policy {
    Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100))
}

/// The operator's other service: the mock `other`, under `/other`.
fn other_service(bootstrap: &mut Bootstrap, at: &Addresses) {
    bootstrap.add_cluster("other", at.mock("other"));
    bootstrap.add_route("/other", "other");
}

#[tokio::test]
async fn what_is_outside_the_scope_passes_byte_for_byte() {
    let mut rig = Setup::new(&["a", "other"], policy).edit(other_service).behave("other", "echo").start().await;
    // Not JSON, no key, a spoofed header, more than any default buffer: none of Weir's business.
    let body = "\u{0}not json ".repeat(200_000);
    let call = Call::post("/other/upload?x=1", body.clone()).header("x-weir-primary", "mine").header("cookie", "a=b");
    let answer = rig.send(call).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("x-databricks-request-id").is_none() && answer.header("served-model-name").is_none());
    let received = rig.mock("other").last().await;
    assert_eq!((received.path(), received.body_sha256()), ("/other/upload?x=1", sha256(body.as_bytes()).as_str()));
    assert_eq!(received.header("x-weir-primary"), ["mine"]);
    assert_eq!(received.header("cookie"), ["a=b"]);
    // Envoy's own, which a service behind it may go by; to a provider it does not go.
    assert_eq!(received.header("x-forwarded-proto"), ["http"]);
    // Only the request after it is recorded.
    assert_eq!(rig.send(Call::chat(ALICE, &chat("chat", json!({})))).await.status, 200);
    rig.collector.usage(1).await;
    rig.assert_healthy().await;
}

#[tokio::test]
async fn an_upload_outside_the_scope_is_not_held_back() {
    let rig = Setup::new(&["a", "other"], policy).edit(other_service).start().await;
    let mut raw = Raw::connect(rig.envoy.port).await;
    raw.write(b"POST /other/x HTTP/1.1\r\nhost: e2e\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n").await;
    // Unpaused, Envoy lets the body come at once.
    assert!(raw.read_until(|text| text.contains("100 Continue")).await.contains("100 Continue"));
}

#[tokio::test]
async fn hosts_bound_the_scope() {
    let policy = |at: &Addresses| policy(at).set("/scope", json!({"hosts": ["ai.example.com"]}));
    let edit = |bootstrap: &mut Bootstrap, at: &Addresses| {
        bootstrap.add_cluster("other", at.mock("other"));
        bootstrap.add_route("/v1/chat/completions", "other");
        // On Weir's own host its routes stay ahead: this one is for the other hosts alone.
        let hosts = bootstrap.http_manager()["route_config"]["virtual_hosts"].as_array_mut().expect("virtual hosts");
        for host in hosts.iter_mut().filter(|host| host["domains"].to_string().contains("ai.example.com")) {
            host["routes"].as_array_mut().expect("routes").remove(0);
        }
        if !hosts.iter().any(|host| host["domains"].to_string().contains("\"*\"")) {
            let route = json!({"match": {"prefix": "/"}, "route": {"cluster": "other"}});
            hosts.push(json!({"name": "rest", "domains": ["*"], "routes": [route]}));
        }
    };
    let rig = Setup::new(&["a", "other"], policy).edit(edit).start().await;
    let body = chat("chat", json!({})).to_string();
    let inside = Call::post("/v1/chat/completions", body.clone()).header("host", "ai.example.com");
    assert_eq!(rig.send(inside.clone()).await.status, 401);
    assert_eq!(rig.send(inside.key(ALICE)).await.status, 200);
    let outside = Call::post("/v1/chat/completions", body).header("host", "shop.example.com");
    assert_eq!(rig.send(outside).await.status, 200);
    assert_eq!((rig.mock("a").count().await, rig.mock("other").count().await), (1, 1));
    rig.collector.usage(2).await;
}

#[tokio::test]
async fn unmatched_models_pass_where_the_policy_says_so() {
    let policy = |at: &Addresses| policy(at).set("/unmatched", json!("pass")).set("/unmatched_cluster", json!("other"));
    let edit = |bootstrap: &mut Bootstrap, at: &Addresses| bootstrap.add_cluster("other", at.mock("other"));
    let rig = Setup::new(&["a", "other"], policy).edit(edit).start().await;
    let body = chat("somebody-elses-model", json!({"usage_context": {"kept": "as it is"}})).to_string();
    let answer = rig.send(Call::post("/v1/chat/completions", body.clone()).key(ALICE)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = rig.mock("other").last().await;
    assert_eq!((received.body(), received.header("authorization")), (body.as_str(), vec!["Bearer alice-key"]));
    assert_eq!(received.header("x-forwarded-proto"), ["http"]);
    assert!(received.header("x-weir-cluster").is_empty());
    assert_eq!(rig.mock("a").count().await, 0);
}

#[tokio::test]
async fn five_megabytes_arrive_whole_beside_another_filter_that_reads_bodies() {
    let buffer = |bootstrap: &mut Bootstrap, last: bool| {
        let config = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer", "max_request_bytes": 33_554_432});
        bootstrap.add_filter(json!({"name": "envoy.filters.http.buffer", "typed_config": config}), last);
    };
    let edits: [&dyn Fn(&mut Bootstrap); 3] =
        [&|_| {}, &|bootstrap| buffer(bootstrap, false), &|bootstrap| buffer(bootstrap, true)];
    // Text that no repetition could repair: each line has its number.
    let text: String = (0..500_000).map(|line| format!("{line:09} ")).collect();
    for (number, edit) in edits.iter().enumerate() {
        let rig = Setup::new(&["a"], policy).edit(|bootstrap, _| edit(bootstrap)).start().await;
        let body = json!({"messages": [{"role": "user", "content": text}], "model": "chat", "max_tokens": 5});
        let answer = rig.send(Call::chat(ALICE, &body)).await;
        assert_eq!(answer.status, 200, "edit {number}: {}", answer.text());
        let expected = body.to_string().replace("\"model\":\"chat\"", "\"model\":\"a-model\"");
        let received = rig.mock("a").last().await;
        assert_eq!(received.header("content-length"), [expected.len().to_string()], "edit {number}");
        assert_eq!(received.body_sha256(), sha256(expected.as_bytes()), "edit {number}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let rig = Setup::new(&["a"], policy).start().await;
    let mut raw = Raw::connect(rig.envoy.port).await;
    let request = |content: &str, close: &str| {
        let body = chat("chat", json!({"mock": {"a": {"content": content}}})).to_string();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: e2e\r\ncontent-type: application/json\r\n";
        format!("{head}authorization: Bearer {ALICE}\r\ncontent-length: {}\r\n{close}\r\n{body}", body.len())
    };
    raw.write((request("first-answer", "") + &request("second-answer", "connection: close\r\n")).as_bytes()).await;
    let answers = raw.read_to_end().await;
    let (first, second) = (answers.find("first-answer"), answers.find("second-answer"));
    assert!(first.is_some() && first < second, "{answers}");
    rig.collector.usage(2).await;
    assert_eq!(rig.mock("a").count().await, 2, "no smuggled request");
}

#[tokio::test]
async fn a_client_cannot_steer_the_router() {
    let policy = |at: &Addresses| {
        Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100).entity(at, "b", 0).fallback())
    };
    let rig = Setup::new(&["a", "b"], policy).start().await;
    let spoofed = [
        ("x-weir-cluster", "weir-chat-b"),
        ("x-weir-authority", "evil.example.com"),
        ("x-weir-primary", "weir-chat-b"),
        ("x-weir-plan", "b"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-max-retries", "9"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
        ("x-envoy-upstream-alt-stat-name", "mine"),
        ("x-envoy-expected-rq-timeout-ms", "1"),
        ("x-envoy-decorator-operation", "mine"),
        ("x-envoy-original-dst-host", "127.0.0.1:1"),
        ("x-envoy-upstream-rq-per-try-timeout-ms", "1"),
        ("x-envoy-retriable-status-codes", "200"),
        ("x-envoy-hedge-on-per-try-timeout", "true"),
    ];
    let slow = json!({"mock": {"a": {"delay_ms": 100}}});
    let call =
        spoofed.iter().fold(Call::chat(ALICE, &chat("chat", slow)), |call, (name, value)| call.header(name, value));
    let answer = rig.send(call).await;
    assert_eq!((answer.status, answer.header("served-model-name")), (200, Some("a")), "{}", answer.text());
    let received = rig.mock("a").last().await;
    let strange: Vec<_> = received.header_names().into_iter().filter(|name| name.starts_with("x-")).collect();
    assert!(strange.is_empty(), "these went to the provider: {strange:?}");
    assert_eq!(received.header("host"), [format!("127.0.0.1:{}", rig.at.mock("a"))]);
    let theirs = ["x-envoy", "x-weir"]
        .map(|prefix| answer.headers.keys().filter(|name| name.as_str().starts_with(prefix)).count());
    assert_eq!(theirs, [0, 0], "{:?}", answer.headers);
}

#[tokio::test]
async fn weir_answers_its_own_paths() {
    let policy = |at: &Addresses| {
        policy(at).endpoint(
            Endpoint::new("hidden")
                .entity(at, "a", 100)
                .set("/permissions", json!([{"user_name": "nobody@example.com", "permission_level": "CAN_QUERY"}])),
        )
    };
    let rig = Setup::new(&["a"], policy).start().await;
    assert_eq!(rig.send(Call::get("/health")).await.status, 200);
    assert_eq!(rig.send(Call::get("/v1/models")).await.status, 401);
    let models = rig.send(Call::get("/v1/models").key(ALICE)).await;
    assert_eq!(models.status, 200, "{}", models.text());
    let models = models.json();
    let ids: Vec<&Value> = models["data"].as_array().into_iter().flatten().map(|model| &model["id"]).collect();
    assert!(ids.contains(&&json!("chat")), "{models}");
    assert_eq!(models["object"], "list");
}

/// An operator's listener that does not take the routing headers off as Weir's does.
#[tokio::test]
async fn a_client_names_no_cluster_even_where_nobody_takes_its_header_off() {
    let edit = |bootstrap: &mut Bootstrap, at: &Addresses| {
        bootstrap.http_manager().as_object_mut().expect("an object").remove("early_header_mutation_extensions");
        bootstrap.add_cluster("other", at.mock("other"));
    };
    let rig = Setup::new(&["a", "other"], policy).edit(edit).start().await;
    let spoofing = |call: Call| call.header("x-weir-cluster", "other").header("x-weir-authority", "evil.example.com");
    for path in ["/elsewhere", "/v1/chat/completions/"] {
        let answer = rig.send(spoofing(Call::post(path, "hello"))).await;
        assert!(matches!(answer.status, 404 | 503), "{path}: {} {}", answer.status, answer.text());
    }
    let answer = rig.send(spoofing(Call::chat(ALICE, &chat("chat", json!({}))))).await;
    assert_eq!((answer.status, answer.header("served-model-name")), (200, Some("a")), "{}", answer.text());
    assert_eq!(rig.mock("a").last().await.header("host"), [format!("127.0.0.1:{}", rig.at.mock("a"))]);
    assert_eq!(rig.mock("other").count().await, 0);
}
