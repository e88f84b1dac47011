//! Entities whose token must be fetched: before the first one, with one, and when it has expired.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::drive::*;
use crate::{
    headers::Headers,
    host::Input,
    oauth::{create_key, keeper},
};

/// Endpoint `chat` with these entities, of which `t` is Azure's with a fetched token.
fn rig_of(entities: &[&str]) -> Rig {
    let mut policy = policy();
    policy["endpoints"] = json!([endpoint("chat", entities)]);
    for entity in policy["endpoints"][0]["config"]["served_entities"].as_array_mut().unwrap() {
        if entity["name"] == "t" {
            entity["external_model"]["openai_config"] = json!({
                "openai_api_type": "azuread", "openai_api_base": "https://t.example.com", "openai_deployment_name": "d",
                "openai_api_version": "1", "microsoft_entra_tenant_id": "tenant", "microsoft_entra_client_id": "client",
                "microsoft_entra_client_secret": "{{env/KEY_T}}",
            });
        }
    }
    let rig = Rig::new(&policy);
    keeper::grants(&rig.gateway.config).for_each(|grant| create_key(&rig.host, grant));
    rig
}

/// The worker's tick, and the server's answer to it.
fn fetch(rig: &Rig, token: &str, seconds: u64) {
    let mut keeper = keeper::Keeper::new(rig.gateway.clone()).unwrap();
    assert_eq!(keeper.tick(&rig.host).len(), 1);
    let answer = json!({"access_token": token, "expires_in": seconds}).to_string();
    assert_eq!(keeper.answered(0, Some(200), answer.as_bytes(), &rig.host), None);
}

#[test]
fn alone_without_a_token_is_503_and_charges_nothing() {
    let rig = rig_of(&["t"]);
    let stream = rig.chat(OPENAI, &chat(json!({})));
    let seen = stream.reply();
    assert_eq!((seen.status, &seen.json()["error"]["code"]), (503, &json!("server_error")));
    assert!(
        seen.body.contains("no token for the model's provider") && seen.header("retry-after").is_some(),
        "{seen:?}"
    );
    let row = stream.row();
    assert_eq!((&row["row"]["status_code"], &row["detail"]["attempts"]), (&json!(503), &json!([])));
    assert!(row["row"]["served_entity_id"].is_string(), "that of the entity drawn");
    fetch(&rig, "t0ken", 60);
    let mut stream = rig.chat(OPENAI, &chat(json!({})));
    let (_, received) = stream.begin_attempt();
    assert_eq!(received.header("authorization"), Some("Bearer t0ken"));
    assert_eq!(received.header(":path"), Some("/openai/deployments/d/chat/completions?api-version=1"));
    let seen = stream.answered();
    assert!(!format!("{seen:?} {}", stream.row()).contains("t0ken"));
    rig.wait_ms(60_000);
    assert_eq!(rig.chat(OPENAI, &chat(json!({}))).reply().status, 503, "it has expired");
}

/// Wherever it stands in the plan, a tokenless entity sees nothing of the request, and the next one is asked.
#[test]
fn without_a_token_the_next_one_is_asked() {
    for (entities, place) in [(["t", "b"], 0), (["b", "t"], 1)] {
        for has_token in [false, true] {
            let rig = rig_of(&entities);
            if has_token {
                fetch(&rig, "t0ken", 60);
            }
            let mut stream = rig.chat(OPENAI, &chat(json!({"client_request_id": "c-1"})));
            for at in 0..2 {
                let (mut attempt, received) = stream.begin_attempt();
                let expected = match (at == place, has_token) {
                    (true, false) => (Some("/"), None),
                    (true, true) => {
                        (Some("/openai/deployments/d/chat/completions?api-version=1"), Some("Bearer t0ken"))
                    }
                    (false, _) => (Some("/b/v1/chat/completions"), Some("Bearer secret-b")),
                };
                assert_eq!((received.header(":path"), received.header("authorization")), expected, "{entities:?} {at}");
                assert_eq!(received.body.is_empty(), expected.1.is_none());
                rig.host.response_headers.replace(Headers::from_pairs([(":status", b"404".as_slice())]));
                let step = attempt.handle(Input::ResponseHeaders { end: false }, &rig.host);
                rig.host.apply(step.effects);
                let status = rig.host.response_headers.borrow().value(":status").map(<[u8]>::to_vec);
                let is_retried = status.as_deref() == Some(b"503");
                assert_eq!(is_retried, expected.1.is_none(), "the router must see a failure, not whatever came");
            }
            let seen = stream.answered();
            assert_eq!(seen.status, 200);
            let row = stream.row();
            let failed = row["detail"]["attempts"].as_array().unwrap().iter().any(|one| one["status_code"] == 503);
            assert_eq!(failed, !has_token, "{row:#}");
            assert_eq!(row["detail"]["error"], Value::Null);
        }
    }
}
