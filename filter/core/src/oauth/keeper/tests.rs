//! Two workers of one Envoy, one policy with a token that must be fetched.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::{config::MissingSecrets, host::fake::FakeHost, oauth::create_key};

/// 2026-11-22T00:00:00Z.
const NOW: u64 = 1_795_305_600_000_000_000;
const SECOND: u64 = 1_000_000_000;

const POLICY: &str = r#"{"endpoints": [{"name": "chat", "config": {"served_entities": [{"name": "azure", "external_model": {
    "provider": "openai", "name": "gpt", "task": "llm/v1/chat", "openai_config": {"openai_api_type": "azuread",
    "openai_api_base": "https://r.openai.azure.com", "openai_deployment_name": "d", "openai_api_version": "1",
    "microsoft_entra_tenant_id": "t", "microsoft_entra_client_id": "i", "microsoft_entra_client_secret": "{{env/S}}"}}}]}}]}"#;

fn worker(host: &FakeHost) -> (Keeper, Rc<Gateway>) {
    let environment = |_: &str| Some("s3cret".to_owned());
    let config = Config::from_slice(POLICY.as_bytes(), &environment, MissingSecrets::Error).unwrap().config;
    grants(&config).for_each(|grant| create_key(host, grant));
    let gateway = Rc::new(Gateway::new(config, 0, String::new()));
    (Keeper::new(gateway.clone()).unwrap(), gateway)
}

fn token(gateway: &Gateway, host: &FakeHost) -> Option<String> {
    grants(&gateway.config).next().unwrap().authorization(host.now.get())
}

fn given(token: &str, seconds: u64) -> Vec<u8> {
    format!(r#"{{"access_token":"{token}","expires_in":{seconds}}}"#).into_bytes()
}

#[test]
fn one_fetches_and_both_have_it() {
    let host = FakeHost::default();
    host.now.set(NOW);
    let ((mut a, gateway_a), (mut b, gateway_b)) = (worker(&host), worker(&host));
    let fetches = a.tick(&host);
    assert_eq!((fetches.len(), b.tick(&host).len(), a.tick(&host).len()), (1, 0, 0), "one at a time");
    let post = &fetches[0].post;
    assert_eq!((post.cluster.as_str(), &*post.headers[3].1), ("weir-chat-azure.token", "/t/oauth2/v2.0/token"));
    assert_eq!(post.headers[2].1, "login.microsoftonline.com");
    assert_eq!(a.answered(0, Some(200), &given("one", 10), &host), None);
    assert_eq!((token(&gateway_a, &host).as_deref(), token(&gateway_b, &host)), (Some("Bearer one"), None));
    assert!(b.tick(&host).is_empty());
    assert_eq!(token(&gateway_b, &host).as_deref(), Some("Bearer one"), "on its next tick");
    host.now.set(NOW + 8 * SECOND);
    assert_eq!((b.tick(&host).len(), a.tick(&host).len()), (1, 0), "renewed at 80 % of its life");
    assert_eq!(token(&gateway_a, &host).as_deref(), Some("Bearer one"), "the old one is good meanwhile");
    assert_eq!(b.answered(0, Some(200), &given("two", 10), &host), None);
    a.tick(&host);
    assert_eq!(token(&gateway_a, &host).as_deref(), Some("Bearer two"));
    host.calls.borrow_mut().clear();
    assert!(a.tick(&host).is_empty());
    assert_eq!(host.calls.borrow().get("load"), None, "a fresh token costs nothing");
    // A worker that begins later, as after a reload, finds it.
    let (mut c, gateway_c) = worker(&host);
    assert!(c.tick(&host).is_empty());
    assert_eq!(token(&gateway_c, &host).as_deref(), Some("Bearer two"));
}

#[test]
fn failures_are_told_and_tried_again() {
    let host = FakeHost::default();
    host.now.set(NOW);
    let (mut keeper, gateway) = worker(&host);
    assert_eq!(keeper.tick(&host).len(), 1);
    let refused = br#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}"#;
    let line = keeper.answered(0, Some(401), refused, &host).unwrap();
    let told = [
        "no token for chat/azure: its server answered 401 invalid_client: AADSTS7000215",
        "no request",
        "next try in ",
    ];
    assert!(told.iter().all(|part| line.contains(part)), "{line}");
    assert!(!line.contains("s3cret"));
    assert_eq!((keeper.failing(), keeper.tick(&host).len()), (1, 0), "not at once");
    host.now.set(NOW + SECOND);
    assert_eq!((keeper.tick(&host).len(), token(&gateway, &host)), (1, None));
    assert_eq!(keeper.answered(0, Some(200), &given("one", 10), &host), None);
    assert_eq!(keeper.failing(), 0);
    host.now.set(NOW + 10 * SECOND);
    assert_eq!(keeper.tick(&host).len(), 1);
    assert!(keeper.answered(0, None, b"", &host).unwrap().contains("the old one is still good"));
    host.now.set(NOW + 11 * SECOND);
    assert_eq!(token(&gateway, &host), None, "it has expired, and is not used");
    assert_eq!(keeper.answered(9, None, b"", &host), None, "no such grant");
}

#[test]
fn who_has_all_keys_needs_no_keeper() {
    let policy =
        br#"{"endpoints": [{"name": "chat", "config": {"served_entities": [{"external_model": {"provider": "openai",
        "name": "gpt", "task": "llm/v1/chat", "openai_config": {"openai_api_key": "{{env/K}}"}}}]}}]}"#;
    let config = Config::from_slice(policy, &|_: &str| Some("k".to_owned()), MissingSecrets::Error).unwrap().config;
    assert!(Keeper::new(Rc::new(Gateway::new(config, 0, String::new()))).is_none());
}
