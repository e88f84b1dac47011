//! `external_model`: each provider's own object, and which tasks it has.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const MODEL: &str = "endpoints[0].config.served_entities[0].external_model";

/// The header of a credential and its value.
pub fn credential(entity: &ServedEntity) -> (&str, &str) {
    match &entity.credential {
        Credential::Header { name, value } => (name, value.expose()),
        Credential::Fetched(grant) => (&grant.cluster, &grant.upstream.path_prefix),
        Credential::None => ("", ""),
    }
}

/// A policy with one endpoint of one entity.
pub fn with(model: Value) -> Value {
    let mut policy = good();
    let entity = json!({"name": "m", "external_model": model});
    policy["endpoints"] = json!([{"name": "chat", "config": {"served_entities": [entity]}}]);
    policy
}

pub fn model(provider: &str, key: &str, config: Value) -> Value {
    json!({"provider": provider, "name": "the-model", "task": "llm/v1/chat", key: config})
}

#[track_caller]
pub fn check(model: Value, expected: &[&str]) {
    let problems = compile(&with(model)).unwrap_err().problems;
    let expected: Vec<_> = expected.iter().map(|rest| format!("{MODEL}{rest}")).collect();
    assert_eq!(lines(&problems), expected);
}

#[test]
fn servers_and_credentials() {
    let key = "{{env/KEY}}";
    let azure = json!({
        "openai_api_type": "azure", "openai_api_key": key, "openai_api_base": "https://r.openai.azure.com/",
        "openai_deployment_name": "gpt-4o", "openai_api_version": "2024-10-21",
    });
    let custom = "custom_provider_config";
    let databricks = json!({"databricks_workspace_url": "https://dbc.example.com", "databricks_api_token": key});
    let bearer = "Bearer value-of-KEY";
    let cases = [
        // (model, host and prefix, credential, headers that attempts set)
        (
            model("anthropic", "anthropic_config", json!({"anthropic_api_key": key})),
            "api.anthropic.com",
            ("x-api-key", "value-of-KEY"),
            vec!["anthropic-version", "x-api-key"],
        ),
        (
            model(
                "anthropic",
                "anthropic_config",
                json!({"anthropic_api_key": key, "anthropic_api_base": "http://a:1/x/"}),
            ),
            "a:1/x",
            ("x-api-key", "value-of-KEY"),
            vec!["anthropic-version", "x-api-key"],
        ),
        (model("openai", "openai_config", azure), "r.openai.azure.com", ("api-key", "value-of-KEY"), vec!["api-key"]),
        (
            model("databricks-model-serving", "databricks_model_serving_config", databricks),
            "dbc.example.com",
            ("authorization", bearer),
            vec!["authorization"],
        ),
        (
            model(
                "custom",
                custom,
                json!({"custom_provider_url": "https://c/v1/chat/completions", "bearer_token_auth": {"token": key}}),
            ),
            "c/v1",
            ("authorization", bearer),
            vec!["authorization"],
        ),
        (
            model(
                "custom",
                custom,
                json!({"custom_provider_url": "http://c/v1", "api_key_auth": {"key": "X-Own-Key", "value": key}}),
            ),
            "c/v1",
            ("x-own-key", "value-of-KEY"),
            vec!["x-own-key"],
        ),
    ];
    for (model, server, expected, headers) in cases {
        let compiled = compile(&with(model)).unwrap_or_else(|error| panic!("{error}"));
        let endpoint = &compiled.config.endpoints[0];
        let entity = &endpoint.entities[0];
        assert_eq!(format!("{}{}", entity.upstream.authority, entity.upstream.path_prefix), server);
        assert_eq!(credential(entity), expected);
        assert_eq!(endpoint.own_headers, headers);
    }
}

#[test]
fn what_a_provider_does_not_have() {
    let key = "{{env/KEY}}";
    let anthropic = |config: Value| model("anthropic", "anthropic_config", config);
    for task in ["llm/v1/embeddings", "llm/v1/completions"] {
        let mut model = anthropic(json!({"anthropic_api_key": key}));
        model["task"] = json!(task);
        check(model, &[&format!(".task: found `{task}`, expected another task: provider anthropic has none such")]);
    }
    check(
        anthropic(json!({"anthropic_api_key": key, "anthropic_api_base": "https://api.anthropic.com/v1"})),
        &[
            ".anthropic_config.anthropic_api_base: found `https://api.anthropic.com/v1`, expected a base that ends before \
           `/v1`",
        ],
    );
    let mut other = anthropic(json!({"anthropic_api_key": key}));
    other["openai_config"] = json!({});
    check(other, &[".openai_config: found an object, expected no such key with `provider: anthropic`"]);
    let openai = |config: Value| model("openai", "openai_config", config);
    check(
        openai(json!({"openai_api_key": key, "openai_deployment_name": "d"})),
        &[".openai_config.openai_deployment_name: found a value that is not shown here, expected no such key without \
           `openai_api_type: azure`"],
    );
    check(
        openai(json!({"openai_api_key": key, "openai_api_type": "azure", "openai_api_base": "https://r"})),
        &[
            ".openai_config.openai_deployment_name: found nothing, expected the deployment's name",
            ".openai_config.openai_api_version: found nothing, expected a version such as 2024-10-21",
        ],
    );
    check(
        openai(json!({"openai_api_type": "azuread", "openai_api_key": key, "openai_deployment_name": "d",
            "openai_api_version": "1", "openai_api_base": "https://r", "microsoft_entra_tenant_id": "a/b"})),
        &[
            ".openai_config.openai_api_key: found a value that is not shown here, expected no such key with \
             `openai_api_type: azuread`",
            ".openai_config.microsoft_entra_tenant_id: found `a/b`, expected letters, digits, `-`, `_` and `.`: it goes \
             into the path",
            ".openai_config.microsoft_entra_client_id: found nothing, expected the client's id",
            ".openai_config.microsoft_entra_client_secret: found nothing, expected a reference such as \
             `{{secrets/SCOPE/KEY}}` or `{{env/NAME}}`, or `microsoft_entra_client_secret_plaintext`",
        ],
    );
    let custom = |auth: Value| {
        let mut config = json!({"custom_provider_url": "https://c"});
        config.as_object_mut().unwrap().extend(auth.as_object().unwrap().clone());
        model("custom", "custom_provider_config", config)
    };
    check(
        custom(json!({})),
        &[".custom_provider_config.bearer_token_auth: found nothing, expected this, or `api_key_auth`"],
    );
    check(
        custom(json!({"api_key_auth": {"key": "content-length", "value": key}})),
        &[
            ".custom_provider_config.api_key_auth.key: found `content-length`, expected the name of a header that holds \
           nothing but the key, in letters, digits, `-` and `_`",
        ],
    );
}

#[test]
fn providers_that_are_not_built() {
    let known = "one of `anthropic`, `custom`, `databricks-model-serving`, `google-cloud-vertex-ai`, `openai`";
    for provider in ["ai21labs", "amazon-bedrock", "cohere"] {
        let other = model(provider, "cohere_config", json!({}));
        let expected = format!(".provider: found `{provider}`, expected {known}: provider {provider} is not built yet");
        check(other, &[&expected]);
    }
    check(
        model("palm", "palm_config", json!({})),
        &[".provider: found `palm`, expected another provider: Google has shut the PaLM API down"],
    );
    check(model("open-ai", "openai_config", json!({})), &[&format!(".provider: found `open-ai`, expected {known}")]);
}

#[test]
fn models_of_ones_own() {
    let own = |more: Value| {
        let mut entity =
            json!({"name": "m", "entity_name": "main.m.iris", "entity_version": "3", "url": "http://m:5001"});
        merge(&mut entity, more);
        let mut policy = good();
        policy["endpoints"] = json!([{"name": "iris", "config": {"served_entities": [entity]}}]);
        policy
    };
    for (more, task, prefix) in [
        (json!({}), Task::Predict, "/invocations"),
        (json!({"url": "http://m:5001/own/path"}), Task::Predict, "/own/path"),
        (json!({"task": "llm/v1/chat", "url": "http://m:5001/v1"}), Task::Chat, "/v1"),
    ] {
        let compiled = compile(&own(more)).unwrap_or_else(|error| panic!("{error}"));
        let endpoint = &compiled.config.endpoints[0];
        assert_eq!((endpoint.task, endpoint.entities[0].upstream.path_prefix.as_str()), (task, prefix));
        assert_eq!((endpoint.entities[0].name.as_str(), credential(&endpoint.entities[0])), ("m", ("", "")));
    }
    let entity = "endpoints[0].config.served_entities";
    let mut mixed = own(json!({}));
    mixed["endpoints"][0]["config"]["served_entities"].as_array_mut().unwrap().push(super::entity("b", json!({})));
    mixed["endpoints"][0]["config"]["traffic_config"] =
        json!({"routes": [{"served_entity_name": "m", "traffic_percentage": 100}]});
    mixed["endpoints"][0]["ai_gateway"] = json!({"fallback_config": {"enabled": true}});
    assert_eq!(
        lines(&compile(&mixed).unwrap_err().problems),
        [
            format!(
                "{entity}[1]: found an external model, expected the same kind as the endpoint's first entity: external \
                 models, or others"
            ),
            format!("{entity}[1].external_model.task: found `llm/v1/chat`, expected the same task as the endpoint's first entity"),
            "endpoints[0].config: found entities that are not external models, expected external models, or no fallback"
                .to_owned(),
        ]
    );
    let mut both = own(json!({}));
    both["endpoints"][0]["config"]["served_entities"][0]["external_model"] =
        super::entity("b", json!({}))["external_model"].clone();
    let expected = ["entity_name: found `main.m.iris`", "entity_version: found `3`", "url: found `http://m:5001`"];
    let expected = expected.map(|what| format!("{entity}[0].{what}, expected no such key beside `external_model`"));
    assert_eq!(lines(&compile(&both).unwrap_err().problems), expected);
}
