//! `endpoints`: their entities, models and other keys.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const ENTITIES: &str = "/endpoints/0/config/served_entities";
const ROUTES: &str = "/endpoints/0/config/traffic_config/routes";

/// The first entity's `external_model`, changed at a pointer.
fn model(pointer: &str, value: Value) -> [(String, Value); 1] {
    [(format!("{ENTITIES}/0/external_model{pointer}"), value)]
}

#[track_caller]
fn check_model(pointer: &str, value: Value, expected: &[&str]) {
    let edits = model(pointer, value);
    let edits: Vec<_> = edits.iter().map(|(pointer, value)| (pointer.as_str(), value.clone())).collect();
    let expected: Vec<_> =
        expected.iter().map(|rest| format!("endpoints[0].config.served_entities[0].external_model{rest}")).collect();
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    check_errors(&[(&edits, &expected)]);
}

#[test]
fn entities_are_compiled() {
    let config = compiled(&[
        (&format!("{ENTITIES}/0/name"), json!("()")),
        (&format!("{ENTITIES}/0/external_model/name"), json!("gpt-4.1:mini")),
        (&format!("{ENTITIES}/0/external_model/openai_config/openai_api_base"), json!("http://vllm:8000/api/v1/")),
        (&format!("{ENTITIES}/0/external_model/openai_config/openai_organization"), json!("org-1")),
        (&format!("{ENTITIES}/0/price"), json!({"input_per_million_usd": 2.5, "output_per_million_usd": 10})),
        (&format!("{ROUTES}/0/served_entity_name"), json!("gpt-4-1-mini")),
    ]);
    let entity = &config.endpoints[0].entities[0];
    assert_eq!((entity.name.as_str(), entity.model.as_str()), ("gpt-4-1-mini", "gpt-4.1:mini"));
    assert_eq!(entity.cluster, Cluster::Rendered("weir-chat-gpt-4-1-mini".to_owned()));
    assert_eq!((entity.upstream.authority.as_str(), entity.upstream.path_prefix.as_str()), ("vllm:8000", "/api/v1"));
    assert_eq!(entity.first_byte_ms, 297_000);
    let price = entity.price.unwrap();
    assert_eq!((price.cached_input_per_million_usd, price.output_per_million_usd), (2.5, 10.0));
    let Provider::OpenAi { organization } = &entity.provider else { panic!("{:?}", entity.provider) };
    assert_eq!(organization.as_deref(), Some("org-1"));
    assert_eq!(providers::credential(entity), ("authorization", "Bearer value-of-KEY"));
    let other = &config.endpoints[0].entities[1];
    assert_eq!((other.upstream.authority.as_str(), other.upstream.path_prefix.as_str()), ("api.openai.com", "/v1"));
    assert!(other.upstream.tls);
    assert_ne!(entity.id, other.id);
}

#[test]
fn models() {
    check_model("/name", json!("()"), &[".name: found nothing, expected the provider's own name of the model"]);
    check_model(
        "/task",
        json!("chat"),
        &[".task: found `chat`, expected one of `llm/v1/chat`, `llm/v1/completions`, `llm/v1/embeddings`"],
    );
    check_model(
        "/anthropic_config",
        json!({}),
        &[".anthropic_config: found an object, expected no such key with `provider: openai`"],
    );
    check_model("/openai_config", json!("sk-123"), &[".openai_config: found a text, expected an object"]);
    check_model(
        "/openai_config/openai_api_base",
        json!("http://vllm/v1/chat/completions"),
        &[".openai_config.openai_api_base: found `http://vllm/v1/chat/completions`, expected a base that ends before \
             `/chat/completions`"],
    );
    check_model(
        "/openai_config/openai_api_base",
        json!("localhost"),
        &[".openai_config.openai_api_base: found `localhost`, expected a URL: http:// or https://, a host, and if \
             need be a port and a path"],
    );
}

#[test]
fn entities() {
    let path = "endpoints[0].config.served_entities";
    let rest = ["b", "c"].map(|name| entity(name, json!({})));
    let first = |first: Value| [(ENTITIES, json!([first, rest[0], rest[1]]))];
    let with = |key: &str, value: Value| {
        let mut a = entity("a", json!({}));
        edit(&mut a, key, value);
        first(a)
    };
    check_errors(&[
        (
            &first(json!({"name": "a", "entity_name": "main.m.v", "entity_version": "1"})),
            &[
                &format!("{path}[0].url: found nothing, expected the URL of the server that has the model"),
            ],
        ),
        (
            &first(json!({"name": "a"})),
            &[&format!("{path}[0].external_model: found nothing, expected the model that serves")],
        ),
        (
            &with("/name", json!("a b")),
            &[&format!("{path}[0].name: found `a b`, expected letters, digits, `-` and `_`, at most 63 of them")],
        ),
        (
            &with("/tokenizer", json!("p50k_base")),
            &[&format!(
                "{path}[0].tokenizer: found `p50k_base`, expected one of `o200k_base`, `cl100k_base`, `ratio`"
            )],
        ),
        (
            &with("/max_concurrency", json!(5)),
            &[&format!("{path}[0].max_concurrency: found `5`, expected no such key: `max_concurrency` is not built yet")],
        ),
        (
            &with("/timeouts", json!({"first_byte_ms": 1000})),
            &[1, 2].map(|at| {
                format!(
                    "{path}[{at}]: found 297000 ms until the first byte, expected 1000 as in the endpoint's first entity: \
                     Envoy's router reads one timeout per try for a request (default 297000)"
                )
            })
            .each_ref()
            .map(String::as_str),
        ),
        (
            &with("/timeouts", json!({"first_byte_ms": 0})),
            &[&format!("{path}[0].timeouts.first_byte_ms: found `0`, expected a whole number from 1 to 3600000")],
        ),
        (
            &with("/external_model/task", json!("llm/v1/embeddings")),
            &[1, 2].map(|at| {
                format!(
                    "{path}[{at}].external_model.task: found `llm/v1/chat`, expected the same task as the endpoint's \
                     first entity"
                )
            })
            .each_ref()
            .map(String::as_str),
        ),
        (
            &with("/price", json!({"input_per_million_usd": -1})),
            &[
                &format!("{path}[0].price.input_per_million_usd: found `-1`, expected a number of at least 0"),
                &format!(
                    "{path}[0].price.output_per_million_usd: found nothing, expected US dollars for a million tokens"
                ),
            ],
        ),
        (
            &[(&format!("{ENTITIES}/2/name"), json!("a"))],
            &[&format!("{path}[2]: found the name `a`, expected a `name` of its own: served_entities[0] has this one")],
        ),
        (
            &[
                (&format!("{ENTITIES}/2/name"), json!("()")),
                (&format!("{ENTITIES}/2/external_model/name"), json!("meta/llama")),
            ],
            &[&format!(
                "{path}[2].name: found nothing, expected letters, digits, `-` and `_`, at most 63 of them: the model's \
                 own name cannot be turned into such a one"
            )],
        ),
    ]);
}

#[test]
fn endpoints() {
    let add = |endpoint: Value| [("/endpoints/-", endpoint)];
    let with = |key: &str, value: Value| {
        let mut more = endpoint("more");
        edit(&mut more, key, value);
        add(more)
    };
    let permission = |permission: Value| with("/permissions", json!([permission]));
    check_errors(&[
        (
            &add(endpoint("chat")),
            &["endpoints[1].name: found `chat`, expected a name of its own: endpoints[0] has this one"],
        ),
        (
            &add(endpoint(&"x".repeat(64))),
            &[&format!(
                "endpoints[1].name: found `{}`, expected letters, digits, `-` and `_`, at most 63 of them",
                "x".repeat(64)
            )],
        ),
        (
            &add(json!({})),
            &[
                "endpoints[1].name: found nothing, expected the endpoint's name",
                "endpoints[1].config: found nothing, expected an object with `served_entities`",
            ],
        ),
        (
            &add(json!({"name": "more", "config": {"served_models": []}})),
            &[
                "endpoints[1].config.served_models: found an empty list, expected no such key: Databricks gave it up for \
                 `served_entities`",
            ],
        ),
        (
            &add(json!({"name": "more", "config": {}})),
            &["endpoints[1].config.served_entities: found nothing, expected a list of the models that serve this \
                 endpoint"],
        ),
        (
            &with("/rate_limits", json!([])),
            &[
                "endpoints[1].rate_limits: found an empty list, expected no such key: Databricks gave it up, limits belong in \
                 `ai_gateway.rate_limits`",
            ],
        ),
        (&with("/config/name", json!("more")), &[]),
        (
            &with("/config/name", json!("other")),
            &["endpoints[1].config.name: found `other`, expected the endpoint's own name (`more`), or no such key"],
        ),
        (
            &with("/config/auto_capture_config", json!({"enabled": true})),
            &[
                "endpoints[1].config.auto_capture_config: found an object, expected no such key: Databricks gave it up for \
                 `ai_gateway.inference_table_config`",
            ],
        ),
        (&permission(json!({"group_name": "staff", "permission_level": "CAN_QUERY"})), &[]),
        (
            &permission(json!({"group_name": "staff", "user_name": "a", "permission_level": "CAN_VIEW"})),
            &[
                "endpoints[1].permissions[0].permission_level: found `CAN_VIEW`, expected one of `CAN_QUERY`, `CAN_MANAGE`",
                "endpoints[1].permissions[0]: found an object, expected exactly one of `user_name`, `group_name`, \
                 `service_principal_name`",
            ],
        ),
        (&with("/tags", json!([{"key": "team", "value": "ml"}, {"key": "x"}])), &[]),
        (
            &with("/tags", json!([{"value": "ml"}])),
            &["endpoints[1].tags[0].key: found nothing, expected the tag's name"],
        ),
        (&with("/description", json!("")), &[]),
    ]);
}

#[test]
fn warnings() {
    let only = |key: &str, value: Value| {
        let mut only = endpoint("more");
        edit(&mut only, key, value);
        [("/endpoints/-", only)]
    };
    let no_effect = "found a key of Databricks' own platform, expected nothing: it has no effect in Weir";
    check_warnings(&[
        (&only("/budget_policy_id", json!("x")), &[&format!("endpoints[1].budget_policy_id: {no_effect}")]),
        (&only("/route_optimized", json!(true)), &[&format!("endpoints[1].route_optimized: {no_effect}")]),
        (
            &only("/config/served_entities/0/workload_size", json!("Small")),
            &[&format!("endpoints[1].config.served_entities[0].workload_size: {no_effect}")],
        ),
        (
            &only(
                "/config/served_entities/0/external_model/openai_config/openai_api_base",
                json!("https://api.openai.com"),
            ),
            &["endpoints[1].config.served_entities[0].external_model.openai_config.openai_api_base: found \
                 `https://api.openai.com`, expected `https://api.openai.com/v1`: OpenAI's API begins at `/v1`"],
        ),
        (
            &only("/permissions", json!([])),
            &[
                "endpoints[1].permissions: found an empty list, expected an entry, or no `permissions`: nobody may query this endpoint",
            ],
        ),
        (
            &only("/ai_gateway", json!({"fallback_config": {"enabled": true}})),
            &["endpoints[1].config: found one served entity, expected several: `fallback_config` has nowhere to go"],
        ),
    ]);
}
