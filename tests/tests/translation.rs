//! Callers of one API over providers of another, as primary and as fallback: the real SDKs read everything that Weir makes.

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::{ALICE, secret};
use weir_e2e::scripts::client;
use weir_e2e::sdks::{anthropic_sdk, openai_sdk, recorded};
use weir_e2e::{Addresses, Call, Endpoint, Policy, Rig, Setup};

/// What a mock speaks, by its name.
fn model(at: &Addresses, name: &str, task: &str) -> Value {
    let (port, key) = (at.mock(name), format!("{{{{secrets/e2e/{name}}}}}"));
    let (provider, member, config) = match name {
        "anthropic" => (
            "anthropic",
            "anthropic_config",
            json!({"anthropic_api_base": format!("http://127.0.0.1:{port}"), "anthropic_api_key": key}),
        ),
        "databricks" => (
            "databricks-model-serving",
            "databricks_model_serving_config",
            json!({"databricks_workspace_url": format!("http://127.0.0.1:{port}"), "databricks_api_token": key}),
        ),
        "azure" => (
            "openai",
            "openai_config",
            json!({
                "openai_api_type": "azure", "openai_api_base": format!("http://127.0.0.1:{port}"),
                "openai_api_version": "2024-10-21", "openai_deployment_name": "depth", "openai_api_key": key,
            }),
        ),
        "custom" => (
            "custom",
            "custom_provider_config",
            json!({
                "custom_provider_url": format!("http://127.0.0.1:{port}/v1/chat/completions"),
                "api_key_auth": {"key": "X-Own-Key", "value": key},
            }),
        ),
        _ => (
            "openai",
            "openai_config",
            json!({"openai_api_base": format!("http://127.0.0.1:{port}/v1"), "openai_api_key": key}),
        ),
    };
    json!({"name": name, "external_model": {"provider": provider, "name": format!("{name}-model"), "task": task, member: config}})
}

/// An endpoint whose first entity takes all the traffic and falls back to the others.
fn endpoint(at: &Addresses, name: &str, task: &str, entities: &[&str]) -> Endpoint {
    let models: Vec<_> = entities.iter().map(|entity| model(at, entity, task)).collect();
    let endpoint = Endpoint::new(name)
        .set("/config/served_entities", json!(models))
        .set("/config/traffic_config/routes", json!([{"served_entity_name": entities[0], "traffic_percentage": 100}]));
    if entities.len() > 1 { endpoint.fallback() } else { endpoint }
}

const CHAT: &str = "llm/v1/chat";

async fn rig(entities: &[&str]) -> Rig {
    let policy = |at: &Addresses| Policy::new(at).endpoint(endpoint(at, "chat", CHAT, entities));
    Setup::new(entities, policy).start().await
}

/// The same with a primary that fails before its first byte.
async fn falling_back(entities: &[&str], failure: &str) -> Rig {
    let policy = |at: &Addresses| Policy::new(at).endpoint(endpoint(at, "chat", CHAT, entities));
    Setup::new(entities, policy).behave(entities[0], failure).start().await
}

#[tokio::test]
async fn the_openai_sdk_over_anthropic() {
    let mut rig = rig(&["anthropic"]).await;
    openai_sdk(&rig, "anthropic").await;
    recorded(&rig, 9, "/v1/chat/completions", 1).await;
    recorded(&rig, 9, "/v1/responses", 1).await;
    rig.assert_healthy().await;
}

#[tokio::test]
async fn the_openai_sdk_falls_back_from_openai_to_anthropic() {
    let mut rig = falling_back(&["openai", "anthropic"], "503").await;
    openai_sdk(&rig, "anthropic").await;
    recorded(&rig, 9, "/v1/chat/completions", 2).await;
    rig.assert_healthy().await;
}

#[tokio::test]
async fn the_openai_sdk_falls_back_from_anthropic_to_others() {
    for (fallback, failure) in [("openai", "reset"), ("azure", "529"), ("databricks", "429"), ("custom", "503")] {
        let rig = falling_back(&["anthropic", fallback], &failure.replace("529", "503")).await;
        let answer = rig.send(Call::chat(ALICE, &chat("chat", json!({})))).await;
        assert_eq!(answer.status, 200, "{fallback}: {}", answer.text());
        assert!(answer.content().starts_with(&format!("Hello from {fallback}")), "{}", answer.text());
        let received = rig.mock(fallback).last().await;
        let foreign = ["x-api-key", "anthropic-version", "x-own-key", "api-key", "authorization"];
        let own = match fallback {
            "azure" => ("api-key", secret(fallback)),
            "custom" => ("x-own-key", secret(fallback)),
            _ => ("authorization", format!("Bearer {}", secret(fallback))),
        };
        for name in foreign {
            let expected = if name == own.0 { vec![own.1.as_str()] } else { Vec::new() };
            assert_eq!(received.header(name), expected, "{fallback}: {name}");
        }
        let path = match fallback {
            "azure" => "/openai/deployments/depth/chat/completions?api-version=2024-10-21",
            "databricks" => "/serving-endpoints/chat/completions",
            _ => "/v1/chat/completions",
        };
        assert_eq!(received.path(), path);
        assert_eq!(received.json()["model"], format!("{fallback}-model"));
    }
}

#[tokio::test]
async fn the_anthropic_sdk_over_openai() {
    let mut rig = rig(&["openai"]).await;
    anthropic_sdk(&rig, "openai").await;
    recorded(&rig, 7, "/v1/messages", 1).await;
    rig.assert_healthy().await;
}

#[tokio::test]
async fn the_anthropic_sdk_falls_back_either_way() {
    let mut rig = falling_back(&["anthropic", "openai"], "503").await;
    anthropic_sdk(&rig, "openai").await;
    recorded(&rig, 7, "/v1/messages", 2).await;
    rig.assert_healthy().await;
    let mut rig = falling_back(&["openai", "anthropic"], "reset").await;
    anthropic_sdk(&rig, "anthropic").await;
    recorded(&rig, 7, "/v1/messages", 2).await;
    rig.assert_healthy().await;
}

#[tokio::test]
async fn mlflow_and_databricks_clients() {
    let policy = |at: &Addresses| {
        let custom = json!([{
            "name": "iris", "entity_name": "main.m.iris", "entity_version": "1",
            "url": format!("http://127.0.0.1:{}/serving-endpoints/iris/invocations", at.mock("iris")),
        }]);
        let route = json!([{"served_entity_name": "iris", "traffic_percentage": 100}]);
        Policy::new(at)
            .endpoint(endpoint(at, "chat", CHAT, &["openai", "anthropic"]))
            .endpoint(endpoint(at, "vectors", "llm/v1/embeddings", &["openai", "databricks"]))
            .endpoint(
                Endpoint::new("iris")
                    .set("/config/served_entities", custom)
                    .set("/config/traffic_config/routes", route),
            )
    };
    let setup = Setup::new(&["openai", "anthropic", "databricks", "iris"], policy);
    let rig = setup.behave("openai", "503").start().await;
    let got = client("translated_databricks.py", &rig.base(), ALICE, rig.folder()).await;
    for key in ["queried", "predicted", "streamed", "mlflow"] {
        assert!(got[key].as_str().is_some_and(|text| text.starts_with("Hello from anthropic")), "{key}: {got:#}");
    }
    assert!(got["queried_usage"].as_u64() > Some(0), "{got:#}");
    assert_eq!(got["vectors"], json!([true, true]), "{got:#}");
    assert_eq!(got["called"], "depth", "{got:#}");
    assert_eq!(got["table"].as_array().map(Vec::len), Some(2), "{got:#}");
    assert_eq!(got["detailed"], json!(["chat", CHAT, ["openai", "anthropic"]]), "{got:#}");
    for list in ["listed", "mlflow_listed", "databricks_listed"] {
        let custom =
            if list == "mlflow_listed" { json!(["chat", "vectors"]) } else { json!(["chat", "iris", "vectors"]) };
        assert_eq!(got[list], custom, "{list}: {got:#}");
    }
    assert_eq!((&got["mlflow_endpoint"], &got["databricks_endpoint"]), (&json!(CHAT), &json!("chat")));
}

/// A request that has no translation is refused in the caller's shape, and asks nobody.
#[tokio::test]
async fn what_cannot_be_translated() {
    let mut rig = rig(&["anthropic", "openai"]).await;
    let body = chat("chat", json!({"n": 2}));
    let answer = rig.send(Call::chat(ALICE, &body)).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "invalid_request_error", "{}", answer.text());
    assert!(answer.json()["error"]["message"].as_str().is_some_and(|m| m.contains("`n`")), "{}", answer.text());
    assert_eq!(answer.header("x-weir-refused"), None);
    let answer = rig.send(Call::post("/serving-endpoints/chat/invocations", body.to_string()).key(ALICE)).await;
    assert_eq!((answer.status, &answer.json()["error_code"]), (400, &json!("BAD_REQUEST")), "{answer:?}");
    assert_eq!(rig.mock("anthropic").count().await + rig.mock("openai").count().await, 0);
    let lines = rig.collector.usage(2).await;
    assert!(lines.iter().all(|line| line["row"]["status_code"] == 400), "{lines:#?}");
    rig.assert_healthy().await;
}

/// What a provider says of the request arrives in the caller's shape; a stream that it breaks off ends in an error.
#[tokio::test]
async fn errors_and_broken_streams() {
    let rig = rig(&["anthropic"]).await;
    let provider = rig.mock("anthropic");
    let call = || Call::chat(ALICE, &chat("chat", json!({"stream": true})));
    provider.behave(&json!({"status": 400})).await;
    let answer = rig.send(call()).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "invalid_request_error", "{}", answer.text());
    provider.behave(&json!({"no_done": true})).await;
    let cut = rig.stream(call()).await;
    assert!(cut.text().contains("ended the stream before the answer was complete"), "{}", cut.text());
    assert!(!cut.text().contains("[DONE]") && cut.clean_end, "{}", cut.text());
    provider.behave(&json!({"stream_error": 3})).await;
    let broken = rig.stream(call()).await;
    assert!(broken.text().contains("\"error\"") && !broken.text().contains("[DONE]"), "{}", broken.text());
    provider.behave(&json!({"midreset": 3})).await;
    let reset = rig.stream(call()).await;
    assert!(!reset.clean_end, "{}", reset.text());
    let lines = rig.collector.usage(4).await;
    assert!(lines.iter().skip(1).all(|line| line["detail"]["complete"] == false), "{lines:#?}");
}

/// Megabytes both ways: Envoy's buffers hold what the attempt holds back, whatever the pieces it comes in.
#[tokio::test]
async fn large_bodies() {
    let mut rig = rig(&["anthropic"]).await;
    rig.mock("anthropic").behave(&json!({"content_tokens": 400_000, "chunk_bytes": 60_000})).await;
    let text = "weir ".repeat(600_000);
    let body = json!({"model": "chat", "max_tokens": 400_000, "messages": [{"role": "user", "content": text}]});
    let answer = rig.send(Call::chat(ALICE, &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text().chars().take(500).collect::<String>());
    assert!(answer.content().len() > 1 << 20, "{}", answer.content().len());
    assert_eq!(answer.json()["usage"]["completion_tokens"], 400_000);
    let sent = json!({"model": "anthropic-model", "max_tokens": 400_000, "messages": body["messages"]});
    let received = rig.mock("anthropic").last().await;
    assert_eq!(received.header("content-length"), [sent.to_string().len().to_string()]);
    let lines = rig.collector.usage(1).await;
    assert_eq!(
        (&lines[0]["row"]["output_token_count"], &lines[0]["detail"]["complete"]),
        (&json!(400_000), &json!(true))
    );
    rig.assert_healthy().await;
}

/// What a provider speaks itself passes in its own words, and the record has what it reports.
#[tokio::test]
async fn tokens_are_counted_and_responses_pass_untranslated() {
    let mut anthropic = rig(&["anthropic"]).await;
    let count = json!({"model": "chat", "messages": [{"role": "user", "content": "How many tokens are these?"}]});
    let call = Call::post("/v1/messages/count_tokens", count.to_string());
    let answer = anthropic.send(call.header("x-api-key", ALICE).header("anthropic-version", "2023-06-01")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.json()["input_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{}", answer.text());
    assert_eq!(anthropic.mock("anthropic").last().await.path(), "/v1/messages/count_tokens");
    anthropic.assert_healthy().await;

    let mut openai = rig(&["openai"]).await;
    for stream in [false, true] {
        let body = json!({"model": "chat", "input": "Say something.", "stream": stream});
        let answer = openai.send(Call::post("/v1/responses", body.to_string()).key(ALICE)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let received = openai.mock("openai").last().await;
        assert_eq!((received.path(), &received.json()["model"]), ("/v1/responses", &json!("openai-model")));
        assert_eq!(received.json()["input"], "Say something.");
        assert_eq!(answer.text().contains("event: response.completed"), stream, "{}", answer.text());
    }
    for line in openai.collector.usage(2).await {
        assert_eq!(
            (&line["detail"]["token_source"], &line["detail"]["complete"]),
            (&json!("reported"), &json!(true)),
            "{line}"
        );
        assert!(line["row"]["output_token_count"].as_u64().is_some_and(|tokens| tokens > 0), "{line}");
    }
    openai.assert_healthy().await;
}
