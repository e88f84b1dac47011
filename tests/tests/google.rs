//! Vertex AI and Gemini behind callers of other APIs, and tokens that the gateway fetches: the mock gives them, and takes none that has
//! expired.

use std::time::Duration;

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::policy::ALICE;
use weir_e2e::scripts::client;
use weir_e2e::sdks::{anthropic_sdk, openai_sdk, recorded};
use weir_e2e::{Addresses, Call, Endpoint, Policy, Rig, Setup};

const CHAT: &str = "llm/v1/chat";
const KEY: &str = include_str!("../../filter/core/tests/keys/rsa-2048.pem");
/// How every token of the mock begins.
const TOKEN: &str = "weir-mock-token";

/// What a mock speaks, by its name. Tokens come from the mock `tokens` where there is one, else from the model's own.
fn model(at: &Addresses, name: &str, tokens: &str, task: &str) -> Value {
    let base = |mock: &str| format!("http://127.0.0.1:{}", at.mock(mock));
    let key = format!("{{{{secrets/e2e/{name}}}}}");
    let account = json!({"client_email": "e2e@p.iam.gserviceaccount.com", "private_key_id": "k1", "private_key": KEY});
    let (provider, member, config) = match name {
        "vertex" => (
            "google-cloud-vertex-ai",
            "google_cloud_vertex_ai_config",
            json!({
                "project_id": "p", "region": "europe-west4", "private_key_plaintext": account.to_string(),
                "google_cloud_vertex_ai_api_base": base(name),
                "google_cloud_vertex_ai_token_url": format!("{}/token", base(tokens)),
            }),
        ),
        "gemini" => (
            "google-cloud-vertex-ai",
            "google_cloud_vertex_ai_config",
            json!({"gemini_api_key": key, "google_cloud_vertex_ai_api_base": base(name)}),
        ),
        "azure" => (
            "openai",
            "openai_config",
            json!({
                "openai_api_type": "azuread", "openai_api_base": base(name), "openai_api_version": "2024-10-21",
                "openai_deployment_name": "depth", "microsoft_entra_tenant_id": "tenant",
                "microsoft_entra_client_id": "client", "microsoft_entra_client_secret": key,
                "microsoft_entra_api_base": base(tokens),
            }),
        ),
        _ => {
            ("openai", "openai_config", json!({"openai_api_base": format!("{}/v1", base(name)), "openai_api_key": key}))
        }
    };
    json!({"name": name, "external_model": {"provider": provider, "name": format!("{name}-model"), "task": task, member: config}})
}

/// An endpoint whose first entity takes all the traffic and falls back to the others.
fn endpoint(at: &Addresses, name: &str, task: &str, tokens: &str, entities: &[&str]) -> Endpoint {
    let models: Vec<_> = entities.iter().map(|entity| model(at, entity, tokens, task)).collect();
    let endpoint = Endpoint::new(name)
        .set("/config/served_entities", json!(models))
        .set("/config/traffic_config/routes", json!([{"served_entity_name": entities[0], "traffic_percentage": 100}]));
    if entities.len() > 1 { endpoint.fallback() } else { endpoint }
}

/// Endpoint `chat` over these; each mock gives its own tokens.
fn setup<'a>(entities: &'a [&'a str]) -> Setup<'a> {
    Setup::new(entities, move |at: &Addresses| {
        Policy::new(at).endpoint(endpoint(at, "chat", CHAT, entities[0], entities))
    })
}

/// Until every worker has its token: so many good answers one after the other. How many requests that took.
async fn ready(rig: &Rig) -> usize {
    let mut good = 0;
    for sent in 1..200 {
        let answer = rig.send(Call::chat(ALICE, &chat("chat", json!({})))).await;
        good = if answer.status == 200 { good + 1 } else { 0 };
        if good > 8 {
            return sent;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no token came");
}

/// A token is in nobody's sight but the provider's.
async fn assert_unseen(rig: &Rig) {
    assert!(!rig.envoy.log().contains(TOKEN), "a token is in Envoy's log");
    let dump = rig.envoy.config_dump().await.to_string();
    assert!(!dump.contains(TOKEN), "a token is in the config dump");
    let lines = rig.collector.lines("endpoint_usage");
    assert!(!lines.is_empty() && !json!(lines).to_string().contains(TOKEN), "a token is in a record");
}

#[tokio::test]
async fn the_openai_sdk_over_vertex_and_gemini() {
    for (entity, path, stream) in [
        (
            "vertex",
            "/v1/projects/p/locations/europe-west4/publishers/google/models/vertex-model:generateContent",
            "/v1/projects/p/locations/europe-west4/publishers/google/models/vertex-model:streamGenerateContent?alt=sse",
        ),
        (
            "gemini",
            "/v1beta/models/gemini-model:generateContent",
            "/v1beta/models/gemini-model:streamGenerateContent?alt=sse",
        ),
    ] {
        let entities = [entity];
        let mut rig = setup(&entities).start().await;
        let sent = ready(&rig).await;
        openai_sdk(&rig, entity).await;
        recorded(&rig, sent + 9, "/v1/chat/completions", 1).await;
        recorded(&rig, sent + 9, "/v1/responses", 1).await;
        let received = rig.mock(entity).received().await;
        let paths: Vec<_> = received.iter().map(|one| one.path()).filter(|path| *path != "/token").collect();
        assert!(paths.contains(&path) && paths.contains(&stream), "{paths:?}");
        assert!(paths.iter().all(|one| *one == path || *one == stream), "{paths:?}");
        for one in received.iter().filter(|one| one.path() != "/token") {
            let (own, foreign) = if entity == "gemini" {
                ("x-goog-api-key", "authorization")
            } else {
                ("authorization", "x-goog-api-key")
            };
            assert_eq!((one.header(own).len(), one.header(foreign).len()), (1, 0), "{one:?}");
            assert!(!one.header(own)[0].contains(ALICE), "the caller's own key");
        }
        assert_unseen(&rig).await;
        rig.assert_healthy().await;
    }
}

#[tokio::test]
async fn the_anthropic_sdk_over_vertex_and_gemini() {
    for entity in ["vertex", "gemini"] {
        let entities = [entity];
        let mut rig = setup(&entities).start().await;
        let sent = ready(&rig).await;
        anthropic_sdk(&rig, entity).await;
        recorded(&rig, sent + 7, "/v1/messages", 1).await;
        rig.assert_healthy().await;
    }
}

#[tokio::test]
async fn the_openai_sdk_falls_back_between_vertex_and_openai() {
    for (entities, failure) in
        [(["vertex", "openai"], "503"), (["openai", "vertex"], "reset"), (["gemini", "openai"], "429")]
    {
        let mut rig = setup(&entities).start().await;
        ready(&rig).await;
        let orders = if failure == "reset" {
            json!({"reset": true})
        } else {
            json!({"status": failure.parse::<u16>().unwrap()})
        };
        rig.mock(entities[0]).behave(&orders).await;
        openai_sdk(&rig, entities[1]).await;
        let last = rig.mock("openai").last().await;
        assert!(!last.header("authorization").iter().any(|value| value.contains(TOKEN)), "Google's token");
        rig.assert_healthy().await;
    }
}

#[tokio::test]
async fn embeddings() {
    for (entity, path) in [
        ("vertex", "/v1/projects/p/locations/europe-west4/publishers/google/models/vertex-model:predict"),
        ("gemini", "/v1beta/models/gemini-model:batchEmbedContents"),
    ] {
        let mut rig = Setup::new(&[entity], |at: &Addresses| {
            let chat = endpoint(at, "chat", CHAT, entity, &[entity]);
            Policy::new(at).endpoint(chat).endpoint(endpoint(at, "vectors", "llm/v1/embeddings", entity, &[entity]))
        })
        .start()
        .await;
        ready(&rig).await;
        let got = client("translated_embeddings.py", &rig.base(), ALICE, rig.folder()).await;
        assert_eq!((&got["same"], &got["indices"]), (&json!([true, true]), &json!([0, 1])), "{got:#}");
        assert_eq!((&got["differ"], &got["short"]), (&json!(true), &json!(3)), "{got:#}");
        assert!(got["tokens"][0].as_u64() > Some(0), "{got:#}");
        assert_eq!(got["wrong"]["status"], 400, "{got:#}");
        assert_eq!(rig.mock(entity).last().await.path(), path);
        rig.assert_healthy().await;
    }
}

/// Until the first token comes the entity counts as failed: the next one is asked, and where there is none the caller is told.
#[tokio::test]
async fn without_a_token() {
    let policy = |at: &Addresses| {
        let alone = endpoint(at, "alone", CHAT, "tokens", &["vertex"]);
        let first = endpoint(at, "chat", CHAT, "tokens", &["vertex", "openai"]);
        let azure = endpoint(at, "azure", CHAT, "tokens", &["azure", "openai"]);
        let second = endpoint(at, "second", CHAT, "tokens", &["down", "vertex", "openai"]);
        Policy::new(at).endpoint(alone).endpoint(first).endpoint(azure).endpoint(second)
    };
    let mocks = ["tokens", "vertex", "azure", "openai", "down"];
    let mut rig = Setup::new(&mocks, policy).behave("tokens", "503").behave("down", "503").start().await;
    let ask = |endpoint: &str| Call::chat(ALICE, &chat(endpoint, json!({})));
    let answer = rig.send(ask("alone")).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("no token for the model's provider"), "{}", answer.text());
    for (sent, endpoint, attempts) in [(2, "chat", 2), (3, "azure", 2), (4, "second", 3)] {
        let answer = rig.send(ask(endpoint)).await;
        assert_eq!(answer.status, 200, "{endpoint}: {}", answer.text());
        assert!(answer.content().starts_with("Hello from openai"), "{endpoint}: {}", answer.text());
        let lines = rig.collector.usage(sent).await;
        let line = lines.iter().find(|line| line["detail"]["endpoint_name"] == endpoint).unwrap();
        assert_eq!(line["detail"]["attempts"].as_array().map(Vec::len), Some(attempts), "{line:#}");
    }
    // The tokenless saw nothing of the request and no credential.
    for entity in ["vertex", "azure"] {
        for received in rig.mock(entity).received().await {
            let credentials = ["authorization", "api-key", "x-goog-api-key"].map(|name| received.header(name).len());
            assert_eq!((received.path(), received.body(), credentials), ("/", "", [0; 3]), "{entity}");
        }
    }
    assert!(rig.envoy.log().contains("no token for alone/vertex: its server answered 503"), "nothing is logged");
    rig.envoy.wait_for_stat("wasmcustom.weir.tokens_failing", 4, Duration::from_secs(10)).await;
    rig.mock("tokens").behave(&json!({})).await;
    rig.envoy.wait_for_stat("wasmcustom.weir.tokens_failing", 0, Duration::from_secs(20)).await;
    for (endpoint, entity) in [("alone", "vertex"), ("chat", "vertex"), ("azure", "azure"), ("second", "vertex")] {
        let mut answer = rig.send(ask(endpoint)).await;
        for _ in 0..50 {
            if answer.content().starts_with(&format!("Hello from {entity}")) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            answer = rig.send(ask(endpoint)).await;
        }
        assert!(answer.content().starts_with(&format!("Hello from {entity}")), "{endpoint}: {}", answer.text());
        let received = rig.mock(entity).last().await;
        assert!(received.header("authorization")[0].starts_with(&format!("Bearer {TOKEN}")), "{received:?}");
    }
    assert_unseen(&rig).await;
    rig.assert_healthy().await;
}

/// Requests go on without one failing while the token is renewed, twice.
#[tokio::test]
async fn a_token_is_renewed_under_load() {
    let policy = |at: &Addresses| Policy::new(at).endpoint(endpoint(at, "chat", CHAT, "tokens", &["vertex"]));
    let setup = Setup::new(&["vertex", "tokens"], policy).behave("tokens", r#"{"expires_in": 8}"#);
    let mut rig = setup.start().await;
    ready(&rig).await;
    let begun = rig.mock("tokens").count().await;
    assert_eq!(begun, 1, "one worker fetches for all");
    for _ in 0..400 {
        let tally = rig.load(100, 8, |_| Call::chat(ALICE, &chat("chat", json!({})))).await;
        assert_eq!(tally.count(200), 100, "{tally:?}");
        if rig.mock("tokens").count().await > 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ready(&rig).await;
    assert_eq!(rig.mock("tokens").count().await, 3, "two renewals, by one worker each");
    let last = rig.mock("vertex").last().await.header("authorization")[0].to_owned();
    assert!(last.starts_with(&format!("Bearer {TOKEN}")), "{last}");
    rig.assert_healthy().await;
}
