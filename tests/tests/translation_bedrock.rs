//! Bedrock, Cohere and AI21 behind callers of other APIs. The mock of Bedrock takes no request whose signature is wrong, as it was
//! when it arrived.

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::{ALICE, secret};
use weir_e2e::scripts::client;
use weir_e2e::sdks::{anthropic_sdk, openai_sdk, recorded};
use weir_e2e::{Addresses, Call, Endpoint, Policy, Rig, Setup};

const CHAT: &str = "llm/v1/chat";
const EMBEDDINGS: &str = "llm/v1/embeddings";
const ID: &str = "AKIDE2E";
const REGION: &str = "eu-west-1";
/// With all that must be encoded in a path.
const PROFILE: &str = "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-v1:0";
const MODEL_PATH: &str = "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.anthropic.claude-v1%3A0";

/// What a mock speaks, by its name.
fn model(at: &Addresses, name: &str, task: &str) -> Value {
    let (base, key) = (format!("http://127.0.0.1:{}", at.mock(name)), format!("{{{{secrets/e2e/{name}}}}}"));
    let (provider, model, member, config) = match name {
        "bedrock" | "titan" | "command" => {
            let (model, maker) = match name {
                "titan" => ("amazon.titan-embed-text-v2:0", "amazon"),
                "command" => ("cohere.embed-multilingual-v3", "cohere"),
                _ => (PROFILE, "anthropic"),
            };
            let config = json!({
                "aws_region": REGION, "bedrock_provider": maker, "amazon_bedrock_api_base": base,
                "aws_access_key_id_plaintext": ID, "aws_secret_access_key": key,
            });
            ("amazon-bedrock", model, "amazon_bedrock_config", config)
        }
        "bearer" => {
            let config = json!({
                "aws_region": REGION, "bedrock_provider": "amazon", "amazon_bedrock_api_base": base, "amazon_bedrock_api_key": key,
            });
            ("amazon-bedrock", "amazon.nova-pro-v1:0", "amazon_bedrock_config", config)
        }
        "cohere" => ("cohere", "command-a", "cohere_config", json!({"cohere_api_base": base, "cohere_api_key": key})),
        "ai21" => {
            let config = json!({"ai21labs_api_base": format!("{base}/studio/v1"), "ai21labs_api_key": key});
            ("ai21labs", "jamba-large", "ai21labs_config", config)
        }
        _ => {
            let config = json!({"openai_api_base": format!("{base}/v1"), "openai_api_key": key});
            ("openai", "gpt", "openai_config", config)
        }
    };
    json!({"name": name, "external_model": {"provider": provider, "name": model, "task": task, member: config}})
}

/// An endpoint whose first entity takes all the traffic and falls back to the others.
fn endpoint(at: &Addresses, name: &str, task: &str, entities: &[&str]) -> Endpoint {
    let models: Vec<_> = entities.iter().map(|entity| model(at, entity, task)).collect();
    let endpoint = Endpoint::new(name)
        .set("/config/served_entities", json!(models))
        .set("/config/traffic_config/routes", json!([{"served_entity_name": entities[0], "traffic_percentage": 100}]));
    if entities.len() > 1 { endpoint.fallback() } else { endpoint }
}

/// Mocks that insist on their credentials.
fn insisting<'a>(entities: &[&'a str], policy: impl Fn(&Addresses) -> Policy + 'a) -> Setup<'a> {
    let setup = Setup::new(entities, policy);
    entities.iter().fold(setup, |setup, name| match *name {
        "bedrock" | "titan" | "command" => setup.option(name, "--aws-key", &format!("{ID}:{}:{REGION}", secret(name))),
        _ => setup.option(name, "--key", &secret(name)),
    })
}

fn setup<'a>(entities: &'a [&'a str]) -> Setup<'a> {
    insisting(entities, move |at: &Addresses| Policy::new(at).endpoint(endpoint(at, "chat", CHAT, entities)))
}

async fn rig(entities: &[&str]) -> Rig {
    setup(entities).start().await
}

#[tokio::test]
async fn the_openai_sdk_over_each() {
    for entity in ["bedrock", "bearer", "cohere", "ai21"] {
        let mut rig = rig(&[entity]).await;
        openai_sdk(&rig, entity).await;
        recorded(&rig, 9, "/v1/chat/completions", 1).await;
        recorded(&rig, 9, "/v1/responses", 1).await;
        rig.assert_healthy().await;
    }
}

#[tokio::test]
async fn the_anthropic_sdk_over_each() {
    for entity in ["bedrock", "cohere", "ai21"] {
        let mut rig = rig(&[entity]).await;
        anthropic_sdk(&rig, entity).await;
        recorded(&rig, 7, "/v1/messages", 1).await;
        rig.assert_healthy().await;
    }
}

/// What arrives is what was signed: path, host and body, and no header of the caller's or of another provider's.
#[tokio::test]
async fn a_signed_request() {
    let rig = rig(&["bedrock"]).await;
    for (stream, path) in [(false, "/converse"), (true, "/converse-stream")] {
        let call = Call::chat(ALICE, &chat("chat", json!({"stream": stream})))
            .header("x-amz-date", "19700101T000000Z")
            .header("x-amz-meta", "mine");
        let answer = rig.send(call).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("x-amzn-")), "{:?}", answer.headers);
        let received = rig.mock("bedrock").last().await;
        assert_eq!(received.path(), format!("{MODEL_PATH}{path}"));
        assert_eq!(received.header("x-amz-content-sha256"), [received.body_sha256()]);
        assert_eq!((received.header("x-amz-date").len(), received.header("x-amz-meta").len()), (1, 0));
        let scope = format!("AWS4-HMAC-SHA256 Credential={ID}/");
        assert!(matches!(&*received.header("authorization"), [one] if one.starts_with(&scope)), "{received:?}");
    }
    let answer = rig.send(Call::chat(ALICE, &chat("chat", json!({})))).await;
    assert_eq!((&answer.json()["id"], &answer.json()["model"]), (&json!("mock00000003"), &json!(PROFILE)));
}

/// A key that is refused is the next one's turn, and so is a provider that fails; the other's credential goes to nobody.
#[tokio::test]
async fn falls_back_either_way() {
    for (entities, failure) in [
        (["bedrock", "openai"], "503"),
        (["bedrock", "openai"], "429"),
        (["openai", "bedrock"], "reset"),
        (["openai", "bedrock"], "503"),
        (["cohere", "bedrock"], "503"),
        (["bedrock", "cohere"], "reset"),
        (["bearer", "bedrock"], "503"),
    ] {
        let mut rig = setup(&entities).behave(entities[0], failure).start().await;
        let mut sent = 0;
        for (call, text) in [
            (Call::chat(ALICE, &chat("chat", json!({}))), "Hello"),
            (Call::chat(ALICE, &chat("chat", json!({"stream": true}))), "[DONE]"),
            (Call::post("/v1/messages", chat("chat", json!({"max_tokens": 99})).to_string()).key(ALICE), "Hello"),
        ] {
            let answer = rig.send(call).await;
            assert_eq!(answer.status, 200, "{entities:?}: {}", answer.text());
            assert!(answer.text().contains(text), "{entities:?}: {}", answer.text());
            sent += 1;
        }
        for line in rig.collector.usage(sent).await {
            assert_eq!(line["detail"]["attempts"].as_array().map(Vec::len), Some(2), "{line:#}");
            assert_eq!(line["detail"]["token_source"], "reported", "{line:#}");
            assert_eq!(line["row"]["status_code"], 200, "{line:#}");
        }
        for received in rig.mock(entities[1]).received().await {
            let amz = received.header_names().into_iter().filter(|name| name.starts_with("x-amz-")).count();
            assert_eq!(amz, if entities[1] == "bedrock" { 2 } else { 0 }, "{received:?}");
            assert_eq!(received.header("authorization").len(), 1, "{received:?}");
        }
        rig.assert_healthy().await;
    }
}

#[tokio::test]
async fn the_sdks_fall_back_between_bedrock_and_openai() {
    for (entities, failure) in [(["bedrock", "openai"], "503"), (["openai", "bedrock"], "reset")] {
        let mut rig = setup(&entities).behave(entities[0], failure).start().await;
        openai_sdk(&rig, entities[1]).await;
        recorded(&rig, 9, "/v1/chat/completions", 2).await;
        rig.assert_healthy().await;
    }
    let mut rig = setup(&["openai", "bedrock"]).behave("openai", "503").start().await;
    anthropic_sdk(&rig, "bedrock").await;
    recorded(&rig, 7, "/v1/messages", 2).await;
    rig.assert_healthy().await;
}

/// A secret that is not the key's: the provider's words are for the operator, who finds that the gateway's own credential was
/// refused.
#[tokio::test]
async fn a_wrong_secret() {
    let policy = |at: &Addresses| Policy::new(at).endpoint(endpoint(at, "chat", CHAT, &["bedrock"]));
    let rig = Setup::new(&["bedrock"], policy).option("bedrock", "--aws-key", &format!("{ID}:another")).start().await;
    let answer = rig.send(Call::chat(ALICE, &chat("chat", json!({})))).await;
    assert_eq!(answer.json()["error"]["code"], "upstream_auth_failed", "{}", answer.text());
    let lines = rig.collector.usage(1).await;
    assert_eq!(lines[0]["detail"]["attempts"][0]["status_code"], 403, "{lines:#?}");
    assert!(!rig.envoy.log().contains(&secret("bedrock")), "the secret is in Envoy's log");
}

/// Cached tokens, which Bedrock leaves out of its input, are in the caller's prompt, and in the record.
#[tokio::test]
async fn cached_tokens() {
    let setup = setup(&["bedrock"]).behave("bedrock", r#"{"cached_tokens": 4, "cache_write_tokens": 1}"#);
    let rig = setup.start().await;
    for stream in [false, true] {
        let more = json!({"stream": stream, "stream_options": {"include_usage": true}});
        let answer = rig.send(Call::chat(ALICE, &chat("chat", more))).await;
        let usage = match stream {
            false => answer.json()["usage"].clone(),
            true => {
                let text = answer.text();
                let last = text.lines().filter_map(|line| line.strip_prefix("data: {")).next_back().unwrap();
                serde_json::from_str::<Value>(&format!("{{{last}")).unwrap()["usage"].clone()
            }
        };
        assert_eq!(usage["prompt_tokens_details"], json!({"cached_tokens": 4, "cache_write_tokens": 1}), "{usage}");
        assert!(usage["prompt_tokens"].as_u64() > Some(5), "{usage}");
        let (prompt, completion) = (&usage["prompt_tokens"], &usage["completion_tokens"]);
        let lines = rig.collector.usage(1 + usize::from(stream)).await;
        let row = &lines.last().unwrap()["row"];
        assert_eq!((&row["input_token_count"], &row["output_token_count"]), (prompt, completion), "{row:#}");
    }
}

#[tokio::test]
async fn errors_and_broken_streams() {
    for entity in ["bedrock", "cohere"] {
        let rig = rig(&[entity]).await;
        let provider = rig.mock(entity);
        let call = || Call::chat(ALICE, &chat("chat", json!({"stream": true})));
        provider.behave(&json!({"status": 400})).await;
        let answer = rig.send(call()).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error", "{}", answer.text());
        assert!(answer.text().contains("was told to answer 400"), "{}", answer.text());
        for (orders, words) in [
            (json!({"no_done": true}), "ended the stream before the answer was complete"),
            (json!({"half_event": true}), "ended the stream before the answer was complete"),
            (json!({"stream_error": 3}), "\"error\""),
            (json!({"broken_json": true}), "cannot be read"),
        ] {
            provider.behave(&orders).await;
            let cut = rig.stream(call()).await;
            assert!(cut.text().contains(words) && !cut.text().contains("[DONE]"), "{orders}: {}", cut.text());
            assert!(cut.clean_end, "{orders}: {}", cut.text());
        }
        provider.behave(&json!({"midreset": 3})).await;
        let reset = rig.stream(call()).await;
        assert!(!reset.clean_end, "{}", reset.text());
        provider.behave(&json!({"chunk_bytes": 7})).await;
        let cut = rig.send(call()).await;
        assert!(cut.text().contains("[DONE]"), "{}", cut.text());
        let lines = rig.collector.usage(7).await;
        let complete: Vec<_> = lines.iter().map(|line| line["detail"]["complete"] == true).collect();
        assert_eq!(complete[1..], [false, false, false, false, false, true], "{lines:#?}");
    }
}

#[tokio::test]
async fn embeddings() {
    for (entity, path) in [("cohere", "/v2/embed"), ("command", "/model/cohere.embed-multilingual-v3/invoke")] {
        let entities = [entity];
        let policy = |at: &Addresses| Policy::new(at).endpoint(endpoint(at, "vectors", EMBEDDINGS, &[entity]));
        let mut rig = insisting(&entities, policy).start().await;
        let got = client("translated_embeddings.py", &rig.base(), ALICE, rig.folder()).await;
        assert_eq!((&got["same"], &got["indices"]), (&json!([true, true]), &json!([0, 1])), "{got:#}");
        assert_eq!((&got["differ"], &got["wrong"]["status"]), (&json!(true), &json!(400)), "{got:#}");
        assert!(got["tokens"][0].as_u64() > Some(0), "{got:#}");
        assert_eq!(rig.mock(entity).last().await.path(), path);
        let lines = rig.collector.usage(4).await;
        let good = lines.iter().filter(|line| line["row"]["status_code"] == 200);
        assert!(good.clone().count() == 3 && good.clone().all(|line| line["detail"]["token_source"] == "reported"));
        rig.assert_healthy().await;
    }
}

/// Titan takes one text at a time; one that fails is followed by another provider's.
#[tokio::test]
async fn embeddings_of_titan() {
    let entities = ["titan", "openai"];
    let policy = |at: &Addresses| Policy::new(at).endpoint(endpoint(at, "vectors", EMBEDDINGS, &["titan", "openai"]));
    let rig = insisting(&entities, policy).start().await;
    let ask = |input: Value| {
        let body = json!({"model": "vectors", "input": input, "dimensions": 8});
        Call::post("/v1/embeddings", body.to_string()).key(ALICE).header("accept", "*/*")
    };
    let answer = rig.send(ask(json!("How deep?"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["data"][0]["embedding"].as_array().map(Vec::len), Some(8), "{answer}");
    assert!(answer["usage"]["prompt_tokens"].as_u64() > Some(0), "{answer}");
    let received = rig.mock("titan").last().await;
    assert_eq!(received.path(), "/model/amazon.titan-embed-text-v2%3A0/invoke");
    assert_eq!(received.header("accept"), ["application/json"]);
    let refused = rig.send(ask(json!(["one", "two"]))).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("one text at a time"), "{}", refused.text());
    rig.mock("titan").behave(&json!({"status": 503})).await;
    let answer = rig.send(ask(json!("How deep?"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(rig.mock("openai").last().await.json()["model"], "gpt");
}
