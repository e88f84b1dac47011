//! Google's config, and tokens that must be fetched.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{
    providers::{check, credential, model, with},
    *,
};

const FILE: &str = ".google_cloud_vertex_ai_config.private_key_plaintext: found a value that is not shown here, expected a \
                    service account's key file, all of its JSON: with `client_email` and an RSA `private_key` of 2048 to \
                    4096 bits";

fn account() -> String {
    let key = include_str!("../../../tests/keys/rsa-2048.pem");
    json!({"client_email": "a@p.iam.gserviceaccount.com", "private_key": key}).to_string()
}

fn google(config: Value) -> Value {
    let mut model = model("google-cloud-vertex-ai", "google_cloud_vertex_ai_config", config);
    model["name"] = json!("gemini-2.5-flash");
    model
}

fn vertex(more: Value) -> Value {
    let mut config = json!({"project_id": "p", "region": "europe-west4", "private_key_plaintext": account()});
    merge(&mut config, more);
    google(config)
}

#[test]
fn servers_and_credentials() {
    let key = "{{env/KEY}}";
    let base = |base: &str| json!({"google_cloud_vertex_ai_api_base": base});
    let tokens = ("weir-chat-m.token", "/token");
    let mut gemini = json!({"gemini_api_key": key});
    merge(&mut gemini, base("http://g:1/x/"));
    for (model, server, expected) in [
        (vertex(json!({})), "europe-west4-aiplatform.googleapis.com", tokens),
        (vertex(json!({"region": "global"})), "aiplatform.googleapis.com", tokens),
        (vertex(json!({"region": "eu"})), "aiplatform.eu.rep.googleapis.com", tokens),
        (vertex(base("http://v:1/x")), "v:1/x", tokens),
        (
            vertex(json!({"google_cloud_vertex_ai_token_url": "http://t:1/own/token"})),
            "europe-west4-aiplatform.googleapis.com",
            ("weir-chat-m.token", "/own/token"),
        ),
        (
            google(json!({"gemini_api_key": key})),
            "generativelanguage.googleapis.com",
            ("x-goog-api-key", "value-of-KEY"),
        ),
        (google(gemini), "g:1/x", ("x-goog-api-key", "value-of-KEY")),
    ] {
        let compiled = compile(&with(model)).unwrap_or_else(|error| panic!("{error}"));
        let entity = &compiled.config.endpoints[0].entities[0];
        assert_eq!(format!("{}{}", entity.upstream.authority, entity.upstream.path_prefix), server);
        assert_eq!(credential(entity), expected);
    }
}

#[test]
fn clouds_of_azure_have_their_own_servers_of_tokens() {
    for (base, more, server, path) in [
        ("https://r.openai.azure.com", json!({}), "login.microsoftonline.com", "/t/oauth2/v2.0/token"),
        ("https://r.openai.azure.us", json!({}), "login.microsoftonline.us", "/t/oauth2/v2.0/token"),
        ("https://r.openai.azure.cn", json!({}), "login.chinacloudapi.cn", "/t/oauth2/v2.0/token"),
        ("https://r", json!({"microsoft_entra_api_base": "http://e:1/x"}), "e:1", "/x/t/oauth2/v2.0/token"),
    ] {
        let mut config = json!({
            "openai_api_type": "azuread", "openai_api_base": base, "openai_deployment_name": "d", "openai_api_version": "1",
            "microsoft_entra_tenant_id": "t", "microsoft_entra_client_id": "i", "microsoft_entra_client_secret": "{{env/KEY}}",
        });
        merge(&mut config, more);
        let compiled =
            compile(&with(model("openai", "openai_config", config))).unwrap_or_else(|error| panic!("{error}"));
        let endpoint = &compiled.config.endpoints[0];
        let Credential::Fetched(grant) = &endpoint.entities[0].credential else { panic!("no token") };
        assert_eq!((grant.upstream.authority.as_str(), grant.upstream.path_prefix.as_str()), (server, path));
        assert_eq!((grant.name.as_str(), &*endpoint.own_headers), ("chat/m", &["authorization".into()][..]));
    }
}

#[test]
fn what_google_does_not_take() {
    for file in ["x", "{}", include_str!("../../../tests/keys/rsa-2048.pem")] {
        check(vertex(json!({"private_key_plaintext": file})), &[FILE]);
    }
    let mut completions = vertex(json!({}));
    completions["task"] = json!("llm/v1/completions");
    let none =
        ".task: found `llm/v1/completions`, expected another task: provider google-cloud-vertex-ai has none such";
    check(completions, &[none]);
    let mut name = vertex(json!({}));
    name["name"] = json!("gemini?x=1");
    let expected = ".name: found `gemini?x=1`, expected letters, digits, `-`, `_`, `.`, `@` and `/`: the model's name goes into \
                    the path";
    check(name, &[expected]);
    check(
        google(json!({"gemini_api_key": "{{env/KEY}}", "region": "global"})),
        &[".google_cloud_vertex_ai_config.region: found a value that is not shown here, expected no such key with \
           `gemini_api_key`"],
    );
    check(
        google(json!({})),
        &[
            ".google_cloud_vertex_ai_config.project_id: found nothing, expected the Google Cloud project's id",
            ".google_cloud_vertex_ai_config.region: found nothing, expected a region such as us-central1, or `global`",
            ".google_cloud_vertex_ai_config.private_key: found nothing, expected a reference such as \
             `{{secrets/SCOPE/KEY}}` or `{{env/NAME}}`, or `private_key_plaintext`",
        ],
    );
}

/// Where no request is served, the cluster of its tokens is known all the same.
#[test]
fn a_missing_account_is_a_warning() {
    let policy = with(google(json!({"project_id": "p", "region": "global", "private_key": "{{env/NONE}}"})));
    let compiled = Config::from_slice(policy.to_string().as_bytes(), &|_: &str| None, MissingSecrets::Warn).unwrap();
    assert_eq!(credential(&compiled.config.endpoints[0].entities[0]), ("weir-chat-m.token", "/token"));
}
