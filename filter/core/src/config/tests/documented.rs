//! docs/policy.md against the parser: every key that it knows is on the page, and no table there names another one.

use std::collections::BTreeSet;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::config::reader::LATER;

const PAGE: &str = include_str!("../../../../../docs/policy.md");

/// Far from every key, so that the parser names all that it knows instead of the one that may be meant.
const UNKNOWN: &str = "zzzzzzzzzzzzzzzz";

/// The contract's example with every object that the parser reads: in each stands one unknown key.
fn everywhere_unknown() -> (Value, usize) {
    let mut policy: Value = serde_json::from_str(include_str!("design.json")).unwrap();
    policy["endpoints"][0]["tags"] = json!([{"key": "team", "value": "a"}]);
    policy["endpoints"][0]["config"]["served_entities"].as_array_mut().unwrap().extend(providers());
    edit(&mut policy, "/endpoints/0/ai_gateway/guardrails", json!(1));
    edit(&mut policy, "/limits_store", json!({"rls": {"url": "http://127.0.0.1:8081"}}));
    edit(&mut policy, "/identity/groups_of", json!("()"));
    edit(&mut policy, "/identity/sources/-", json!({"workload": {}}));
    let objects = mark(&mut policy);
    (policy, objects)
}

/// An entity of each other kind.
fn providers() -> Vec<Value> {
    let external = |provider: &str, key: &str, config: Value| {
        json!({"name": provider, "external_model": {
            "provider": provider, "name": "m", "task": "llm/v1/chat", key: config,
        }})
    };
    let custom = |auth: &str| {
        let config = json!({"custom_provider_url": "https://c", auth: {}});
        external("custom", "custom_provider_config", config)
    };
    vec![
        external("openai", "openai_config", json!({"openai_api_type": "azure"})),
        external("google-cloud-vertex-ai", "google_cloud_vertex_ai_config", json!({})),
        external("google-cloud-vertex-ai", "google_cloud_vertex_ai_config", json!({"gemini_api_key": "k"})),
        external("openai", "openai_config", json!({"openai_api_type": "azuread"})),
        external("amazon-bedrock", "amazon_bedrock_config", json!({})),
        external("cohere", "cohere_config", json!({})),
        external("ai21labs", "ai21labs_config", json!({})),
        external("databricks-model-serving", "databricks_model_serving_config", json!({})),
        custom("bearer_token_auth"),
        custom("api_key_auth"),
        json!({"name": "own", "entity_name": "main.m.iris"}),
    ]
}

/// Puts the unknown key into every object; says into how many.
fn mark(value: &mut Value) -> usize {
    match value {
        Value::Object(object) => {
            let inside: usize = object.values_mut().map(mark).sum();
            object.insert(UNKNOWN.to_owned(), json!(1));
            inside + 1
        }
        Value::Array(items) => items.iter_mut().map(mark).sum(),
        _ => 0,
    }
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Every key that the parser knows somewhere.
fn known() -> BTreeSet<String> {
    let (policy, objects) = everywhere_unknown();
    let problems = compile(&policy).unwrap_err().problems;
    let unknown: Vec<_> = problems.iter().filter(|problem| problem.path.ends_with(UNKNOWN)).collect();
    assert_eq!(unknown.len(), objects, "an object was not read: {unknown:#?}");
    unknown.iter().flat_map(|problem| quoted(&problem.expected)).map(str::to_owned).collect()
}

#[test]
fn every_key_is_on_the_page() {
    let page: BTreeSet<_> = quoted(PAGE).flat_map(|text| text.split([':', ' ', '.', '['])).collect();
    let missing: Vec<_> = known().into_iter().filter(|key| !page.contains(key.as_str())).collect();
    assert_eq!(missing, [""; 0], "keys that docs/policy.md does not name");
    let later: Vec<_> = LATER.iter().filter(|key| !page.contains(**key)).collect();
    assert_eq!(later, [&""; 0], "later keys that docs/policy.md does not name");
}

#[test]
fn no_table_names_another_key() {
    let known = known();
    let (built, _) = PAGE.split_once("\n## Not built yet").unwrap();
    let rows = built.lines().filter(|line| line.starts_with("| `"));
    let keys: Vec<_> = rows.filter_map(|row| row.split('|').nth(1)).flat_map(quoted).collect();
    assert!(keys.len() > 50, "{}", keys.len());
    let strange: Vec<_> = keys.into_iter().filter(|key| !known.contains(*key)).collect();
    assert_eq!(strange, [""; 0], "keys of docs/policy.md that the parser does not know");
}
