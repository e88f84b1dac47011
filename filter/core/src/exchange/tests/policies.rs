//! Policies and bodies of the tests.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Endpoint `chat` with entities a, b and c, all traffic on a, fallback armed, no limits.
pub fn policy() -> Value {
    let key = |key: &str, owner: Value| {
        let mut entry = json!({"sha256": format!("{:x}", Sha256::digest(key))});
        entry.as_object_mut().unwrap().extend(owner.as_object().unwrap().clone());
        entry
    };
    json!({
        "account_id": "acme", "workspace_id": "prod",
        "identity": {"sources": [
            {"api_keys": [
                key("alice-key", json!({"user": "alice", "groups": ["research"]})),
                key("bob-key", json!({"user": "bob", "groups": ["interns"]})),
                key("batch-key", json!({"service_principal": "batch"})),
            ]},
            {"header": {"user": "x-user", "groups": "x-groups", "trusted_from": ["10.0.0.0/8"]}},
        ]},
        "logging": {"url": "http://127.0.0.1:9902/v1/records"},
        "max_request_bytes": 4096,
        "endpoints": [endpoint("chat", &["a", "b", "c"])],
    })
}

/// Entity `x` is model `x-model` at `https://x.example.com/x/v1`, paid with `secret-x`; a belongs to an organization.
pub fn endpoint(name: &str, entities: &[&str]) -> Value {
    let entity = |entity: &&str| {
        let mut config = json!({
            "openai_api_base": format!("https://{entity}.example.com/{entity}/v1"),
            "openai_api_key": format!("{{{{env/KEY_{}}}}}", entity.to_uppercase()),
        });
        if *entity == "a" {
            config["openai_organization"] = json!("org-a");
        }
        json!({"name": entity, "external_model": {
            "provider": "openai", "name": format!("{entity}-model"), "task": "llm/v1/chat", "openai_config": config,
        }})
    };
    let mut ai_gateway = json!({"usage_tracking_config": {"enabled": true}});
    if entities.len() > 1 {
        ai_gateway["fallback_config"] = json!({"enabled": true});
    }
    json!({
        "name": name,
        "config": {
            "served_entities": entities.iter().map(entity).collect::<Vec<_>>(),
            "traffic_config": {"routes": [{"served_entity_name": entities[0], "traffic_percentage": 100}]},
        },
        "ai_gateway": ai_gateway,
    })
}

/// A good chat request with these members besides.
pub fn chat(more: Value) -> String {
    let mut body = json!({"model": "chat", "messages": [{"role": "user", "content": "hello"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}
