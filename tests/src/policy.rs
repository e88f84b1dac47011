//! Policies as tests write them: small builders around the JSON of DESIGN.md section 1. They check nothing; Weir does.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::rig::Addresses;

/// The keys of every test policy, until a test sets others: Alice is in research, Bob in interns, `batch-job` is a service principal.
pub const ALICE: &str = "alice-key";
pub const BOB: &str = "bob-key";
pub const BATCH: &str = "batch-key";

/// A policy with the three callers above, a collector, and whatever is added.
#[derive(Clone, Debug)]
pub struct Policy(pub Value);

impl Policy {
    pub fn new(at: &Addresses) -> Self {
        Self(json!({
            "account_id": "acme", "workspace_id": "e2e",
            "identity": {"sources": [{"api_keys": [
                api_key(ALICE, json!({"user": "alice@example.com", "groups": ["research"]})),
                api_key(BOB, json!({"user": "bob@example.com", "groups": ["interns"]})),
                api_key(BATCH, json!({"service_principal": "batch-job"})),
            ]}]},
            "logging": {"url": format!("http://127.0.0.1:{}/v1/records", at.collector), "flush_interval_ms": 200},
            "endpoints": [],
        }))
    }

    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.0["endpoints"].as_array_mut().expect("endpoints").push(endpoint.0);
        self
    }

    /// Sets what a JSON pointer names, making objects on the way.
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        set(&mut self.0, pointer, value);
        self
    }
}

/// An entry of `api_keys`: the key's hash, and its owner.
pub fn api_key(key: &str, owner: Value) -> Value {
    let mut entry = Map::from_iter([("sha256".to_owned(), sha256(key.as_bytes()).into())]);
    entry.extend(owner.as_object().cloned().unwrap_or_default());
    entry.into()
}

/// In hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The credential of the provider behind an entity; it reaches Envoy by the environment.
pub fn secret(entity: &str) -> String {
    format!("secret-of-{entity}")
}

/// One endpoint. Its entities are named after the mocks that serve them.
#[derive(Clone, Debug)]
pub struct Endpoint(pub Value);

impl Endpoint {
    pub fn new(name: &str) -> Self {
        Self(json!({
            "name": name,
            "config": {"served_entities": [], "traffic_config": {"routes": []}},
            "ai_gateway": {"rate_limits": [], "usage_tracking_config": {"enabled": true}},
        }))
    }

    /// An external model at the mock of that name, called `<name>-model` there, with its share of the traffic in percent.
    pub fn entity(self, at: &Addresses, name: &str, percentage: u32) -> Self {
        self.entity_at(name, percentage, &format!("http://127.0.0.1:{}/v1", at.mock(name)))
    }

    /// The same at any base URL.
    pub fn entity_at(mut self, name: &str, percentage: u32, base: &str) -> Self {
        let config = &mut self.0["config"];
        config["served_entities"].as_array_mut().expect("entities").push(json!({
            "name": name,
            "external_model": {
                "provider": "openai", "name": format!("{name}-model"), "task": "llm/v1/chat",
                "openai_config": {"openai_api_base": base, "openai_api_key": format!("{{{{secrets/e2e/{name}}}}}")},
            },
        }));
        let route = json!({"served_entity_name": name, "traffic_percentage": percentage});
        config["traffic_config"]["routes"].as_array_mut().expect("routes").push(route);
        self
    }

    pub fn fallback(self) -> Self {
        self.set("/ai_gateway/fallback_config", json!({"enabled": true}))
    }

    /// An entry of `rate_limits`, per minute where it does not say; its place is its number in messages.
    pub fn limit(mut self, mut limit: Value) -> Self {
        if limit["renewal_period"].is_null() {
            limit["renewal_period"] = json!("minute");
        }
        self.0["ai_gateway"]["rate_limits"].as_array_mut().expect("limits").push(limit);
        self
    }

    /// Sets what a JSON pointer within the endpoint names, making objects on the way.
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        set(&mut self.0, pointer, value);
        self
    }
}

fn set(document: &mut Value, pointer: &str, value: Value) {
    let place = pointer.trim_start_matches('/').split('/').fold(document, |at, key| match key.parse::<usize>() {
        Ok(index) if at.is_array() => &mut at[index],
        _ => &mut at[key],
    });
    *place = value;
}
