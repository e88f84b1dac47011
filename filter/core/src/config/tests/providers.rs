//! `external_model`: each provider's own object, and which tasks it has.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const MODEL: &str = "endpoints[0].config.served_entities[0].external_model";

/// The header of a credential and its value.
pub fn credential(entity: &ServedEntity) -> (&str, &str) {
    match &entity.credential {
        Credential::Header { name, value } => (name, value.expose()),
        Credential::Aws(key) => (&key.region, key.secret.expose()),
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

fn bedrock(more: Value) -> Value {
    let mut config = json!({"aws_region": "eu-west-1", "bedrock_provider": "anthropic"});
    merge(&mut config, more);
    model("amazon-bedrock", "amazon_bedrock_config", config)
}

#[test]
fn bedrock_cohere_and_ai21() {
    let (id, secret) = ("{{env/KEY}}", "{{env/KEY}}");
    let signed = json!({"aws_access_key_id": id, "aws_secret_access_key": secret});
    let mut profile = bedrock(signed.clone());
    profile["name"] = json!("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude");
    let path = "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.anthropic.claude";
    let amz = ["authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];
    let aws = ("eu-west-1", "value-of-KEY");
    let bearer = ("authorization", "Bearer value-of-KEY");
    let own = ["authorization"];
    let key = |name: &str| json!({name: secret});
    for (model, host, credentials, headers) in [
        (bedrock(signed.clone()), "bedrock-runtime.eu-west-1.amazonaws.com/model/the-model", aws, &amz[..]),
        (profile, &*format!("bedrock-runtime.eu-west-1.amazonaws.com{path}"), aws, &amz),
        (
            bedrock(json!({"amazon_bedrock_api_key": secret, "amazon_bedrock_api_base": "http://b:1/p/"})),
            "b:1/p/model/the-model",
            bearer,
            &own,
        ),
        (model("cohere", "cohere_config", key("cohere_api_key")), "api.cohere.com", bearer, &own),
        (model("ai21labs", "ai21labs_config", key("ai21labs_api_key")), "api.ai21.com/studio/v1", bearer, &own),
    ] {
        let compiled = compile(&with(model)).unwrap_or_else(|error| panic!("{error}"));
        let endpoint = &compiled.config.endpoints[0];
        let entity = &endpoint.entities[0];
        let model_path = match &entity.provider {
            Provider::Bedrock { model_path, .. } => model_path.as_str(),
            _ => "",
        };
        let found = format!("{}{}{model_path}", entity.upstream.authority, entity.upstream.path_prefix);
        assert_eq!((found.as_str(), credential(entity)), (host, credentials));
        assert_eq!(endpoint.own_headers, headers);
    }
    let mut token = signed.clone();
    token["aws_session_token"] = json!("{{env/KEY}}");
    let config = compile(&with(bedrock(token))).unwrap_or_else(|error| panic!("{error}")).config;
    let Credential::Aws(key) = &config.endpoints[0].entities[0].credential else { panic!("not signed") };
    assert_eq!(key.session_token.as_ref().map(Secret::expose), Some("value-of-KEY"));
}

#[test]
fn what_bedrock_cannot_be() {
    let config = ".amazon_bedrock_config";
    let reference = "expected a reference such as `{{secrets/SCOPE/KEY}}` or `{{env/NAME}}`, or";
    check(
        bedrock(json!({"aws_region": "eu/west", "bedrock_provider": "meta"})),
        &[
            &format!(
                "{config}.aws_region: found `eu/west`, expected lower-case letters, digits and `-`: it goes into the host"
            ),
            &format!(
                "{config}.bedrock_provider: found `meta`, expected one of `ai21labs`, `amazon`, `anthropic`, `cohere`, `other`"
            ),
            &format!("{config}.aws_access_key_id: found nothing, {reference} `aws_access_key_id_plaintext`"),
            &format!("{config}.aws_secret_access_key: found nothing, {reference} `aws_secret_access_key_plaintext`"),
        ],
    );
    check(
        bedrock(
            json!({"amazon_bedrock_api_key": "{{env/KEY}}", "aws_session_token": "{{env/TOKEN}}", "instance_profile_arn": "a"}),
        ),
        &[
            &format!(
                "{config}.instance_profile_arn: found `a`, expected no such key: Weir signs with `aws_access_key_id`, or \
                 sends `amazon_bedrock_api_key`"
            ),
            &format!(
                "{config}.aws_session_token: found a value that is not shown here, expected no such key beside \
                 `amazon_bedrock_api_key`"
            ),
        ],
    );
    let key = "{{env/KEY}}";
    let refused = |model: Value, task: &str, provider: &str| {
        let mut model = model;
        model["task"] = json!(task);
        check(model, &[&format!(".task: found `{task}`, expected another task: provider {provider} has none such")]);
    };
    refused(bedrock(json!({"amazon_bedrock_api_key": key})), "llm/v1/embeddings", "amazon-bedrock");
    refused(bedrock(json!({"amazon_bedrock_api_key": key})), "llm/v1/completions", "amazon-bedrock");
    refused(model("cohere", "cohere_config", json!({"cohere_api_key": key})), "llm/v1/completions", "cohere");
    let ai21 = model("ai21labs", "ai21labs_config", json!({"ai21labs_api_key": key}));
    refused(ai21.clone(), "llm/v1/embeddings", "ai21labs");
    refused(ai21, "llm/v1/completions", "ai21labs");
}

#[test]
fn providers_that_are_none() {
    let known = "one of `ai21labs`, `amazon-bedrock`, `anthropic`, `cohere`, `custom`, `databricks-model-serving`, \
                 `google-cloud-vertex-ai`, `openai`";
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
