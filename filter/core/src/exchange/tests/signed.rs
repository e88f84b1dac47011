//! Attempts that are signed: the signature is over what is sent, and nobody else sees it.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::json;

use super::drive::*;
use crate::{
    config::Credential,
    headers::Headers,
    host::{Host, Input},
    sigv4,
};

/// Endpoint `chat` with these entities, of which `s` is Bedrock's with an access key.
fn rig_of(entities: &[&str]) -> Rig {
    let mut policy = policy();
    policy["endpoints"] = json!([endpoint("chat", entities)]);
    for entity in policy["endpoints"][0]["config"]["served_entities"].as_array_mut().unwrap() {
        if entity["name"] == "s" {
            entity["external_model"] = json!({
                "provider": "amazon-bedrock", "name": "anthropic.claude-v1:0", "task": "llm/v1/chat",
                "amazon_bedrock_config": {
                    "aws_region": "eu-west-1", "bedrock_provider": "anthropic",
                    "aws_access_key_id": "{{env/KEY_S}}", "aws_secret_access_key": "{{env/KEY_S}}",
                    "aws_session_token": "{{env/KEY_S}}",
                },
            });
        }
    }
    Rig::new(&policy)
}

/// Wherever it stands in the plan.
#[test]
fn what_is_sent_is_what_was_signed() {
    for (entities, place) in [(["s", "b"], 0), (["b", "s"], 1)] {
        let rig = rig_of(&entities);
        let signing = &rig.gateway.config.endpoints[0].entities[place].credential;
        let Credential::Aws(key) = signing else { panic!("not signed") };
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        for at in 0..2 {
            let (mut attempt, received) = stream.begin_attempt();
            if at == place {
                let path = "/model/anthropic.claude-v1%3A0/converse";
                let host = "bedrock-runtime.eu-west-1.amazonaws.com";
                assert_eq!(received.header(":path"), Some(path), "{entities:?}");
                let request = sigv4::Request { host, path, body: received.body.as_bytes() };
                for (name, value) in sigv4::sign(request, key, rig.host.now()) {
                    assert_eq!(received.header(name), Some(value.as_str()), "{entities:?}");
                }
                assert!(received.body.starts_with(r#"{"messages":"#), "{}", received.body);
            } else {
                assert_eq!(received.header("authorization"), Some("Bearer secret-b"), "{entities:?}");
                for name in sigv4::HEADERS.iter().filter(|name| name.starts_with("x-amz-")) {
                    assert_eq!(received.header(name), None, "{entities:?}");
                }
            }
            rig.host.response_headers.replace(Headers::from_pairs([(":status", b"503".as_slice())]));
            let step = attempt.handle(Input::ResponseHeaders { end: true }, &rig.host);
            rig.host.apply(step.effects);
        }
    }
}
