//! What is sent, and the policy that it is sent to.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::KEY;

/// Limits at all four scopes, a split, fallback, records: what `make bench` calls the default policy.
pub fn policy(calls: u64) -> Value {
    let digest = Sha256::digest(KEY).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let entity = |name: &str| {
        let openai = json!({"openai_api_key": "{{secrets/bench/key}}", "openai_api_base": "http://127.0.0.1:9911/v1"});
        let model =
            json!({"provider": "openai", "name": "gpt-4o-mini", "task": "llm/v1/chat", "openai_config": openai});
        json!({"name": name, "external_model": model})
    };
    json!({
        "account_id": "bench", "workspace_id": "bench",
        "identity": {"sources": [{"api_keys": [{"sha256": digest, "user": "alice@example.com", "groups": ["research"]}]}]},
        "logging": {"url": "http://127.0.0.1:9902/v1/records"},
        "endpoints": [{
            "name": "chat",
            "config": {
                "served_entities": [entity("primary"), entity("backup")],
                "traffic_config": {"routes": [
                    {"served_entity_name": "primary", "traffic_percentage": 90},
                    {"served_entity_name": "backup", "traffic_percentage": 10},
                ]},
            },
            "ai_gateway": {
                "fallback_config": {"enabled": true},
                "usage_tracking_config": {"enabled": true},
                "rate_limits": [
                    {"key": "endpoint", "calls": calls, "renewal_period": "minute"},
                    {"key": "user", "calls": 1_000_000_000_000u64, "tokens": 1_000_000_000_000u64, "renewal_period": "minute"},
                    {"key": "user", "principal": "alice@example.com", "calls": 1_000_000_000_000u64, "renewal_period": "minute"},
                    {"key": "user_group", "principal": "research", "tokens": 1_000_000_000_000u64, "renewal_period": "minute"},
                ],
            },
        }],
    })
}

/// The same endpoint under so many names, as `make bench-growth` has them.
pub fn many_endpoints(count: u32) -> Value {
    let mut policy = policy(1_000_000_000_000);
    let pattern = policy["endpoints"][0].take();
    let named = |n| {
        let mut endpoint = pattern.clone();
        endpoint["name"] = format!("chat-{n}").into();
        endpoint["models"] = json!([format!("model-{n}-*")]);
        endpoint
    };
    policy["endpoints"] = (0..count).map(named).collect();
    policy
}

pub fn request_body(size: usize, stream: bool) -> Vec<u8> {
    let text =
        |length: usize| "What a weir holds back, and lets pass. ".chars().cycle().take(length).collect::<String>();
    let body = |length: usize| {
        let content = text(length);
        let options = if stream { r#""stream":true,"# } else { "" };
        format!(r#"{{"model":"chat",{options}"messages":[{{"role":"user","content":"{content}"}}]}}"#)
    };
    body(size - body(0).len()).into_bytes()
}

pub const ANSWER: &str = r#"{"id":"chatcmpl-8d34c0a5","object":"chat.completion","created":1750000000,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"Hello from primary: a weir measures the stream and holds it to what its bed can carry each day."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":171,"completion_tokens":19,"total_tokens":190,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}},"system_fingerprint":"fp_weir"}"#;

/// A hundred chunks of content, the usage chunk and `[DONE]`, one event in each piece.
pub fn events() -> Vec<Vec<u8>> {
    let event = |choices: &str, usage: &str| {
        let chunk =
            r#""id":"chatcmpl-8d34c0a5","object":"chat.completion.chunk","created":1750000000,"model":"gpt-4o-mini""#;
        format!("data: {{{chunk},\"choices\":[{choices}],\"usage\":{usage}}}\n\n").into_bytes()
    };
    let choice = r#"{"index":0,"delta":{"content":" stream"},"logprobs":null,"finish_reason":null}"#;
    let mut events = vec![event(choice, "null"); 100];
    events.push(event(r#"{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}"#, "null"));
    events.push(event("", r#"{"prompt_tokens":171,"completion_tokens":100,"total_tokens":271}"#));
    events.push(b"data: [DONE]\n\n".to_vec());
    events
}
