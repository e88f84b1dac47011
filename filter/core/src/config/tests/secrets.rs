//! Secrets: found, missing, misplaced, and never shown.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const OPENAI: &str = "/endpoints/0/config/served_entities/0/external_model/openai_config";
const PATH: &str = "endpoints[0].config.served_entities[0].external_model.openai_config";
const REFERENCE: &str = "`{{secrets/SCOPE/KEY}}` or `{{env/NAME}}`";

#[test]
fn missing() {
    let policy = edited(&[(OPENAI, json!({"openai_api_key": "{{secrets/open-ai/key}}"}))]);
    let line = format!(
        "{PATH}.openai_api_key: found no environment variable `WEIR_SECRET_OPEN_AI_KEY`, expected the secret in it: Envoy \
         must have it and hand it to the VM"
    );
    for (value, missing) in [(None, true), (Some(String::new()), true), (Some("sk-1".to_owned()), false)] {
        let environment = |name: &str| if name == "KEY" { Some("k".to_owned()) } else { value.clone() };
        let policy = policy.to_string();
        let strict = Config::from_slice(policy.as_bytes(), &environment, MissingSecrets::Error);
        let strict = strict.map(|_| ()).map_err(|invalid| lines(&invalid.problems));
        assert_eq!(strict, if missing { Err(vec![line.clone()]) } else { Ok(()) });
        let lenient = Config::from_slice(policy.as_bytes(), &environment, MissingSecrets::Warn).unwrap();
        assert_eq!(lines(&lenient.warnings), if missing { vec![line.clone()] } else { Vec::new() });
        assert_eq!(lenient.config.environment, ["WEIR_SECRET_OPEN_AI_KEY", "KEY"]);
        let (_, value) = providers::credential(&lenient.config.endpoints[0].entities[0]);
        assert_eq!(value, if missing { "" } else { "Bearer sk-1" });
    }
}

#[test]
fn misplaced() {
    let unseen = "found a value that is not shown here, expected";
    check_errors(&[
        (
            &[(OPENAI, json!({"openai_api_key": "sk-hush"}))],
            &[&format!("{PATH}.openai_api_key: {unseen} a reference such as {REFERENCE}")],
        ),
        (
            &[(OPENAI, json!({"openai_api_key": ["sk-hush"]}))],
            &[&format!("{PATH}.openai_api_key: {unseen} a reference such as {REFERENCE}")],
        ),
        (
            &[(OPENAI, json!({}))],
            &[&format!(
                "{PATH}.openai_api_key: found nothing, expected a reference such as {REFERENCE}, or \
                 `openai_api_key_plaintext`"
            )],
        ),
        (
            &[(OPENAI, json!({"openai_api_key": "{{env/KEY}}", "openai_api_key_plaintext": "sk-hush"}))],
            &[&format!(
                "{PATH}.openai_api_key_plaintext: found a second secret (not shown), expected exactly one of \
                 `openai_api_key` and `openai_api_key_plaintext`"
            )],
        ),
        (
            &[(OPENAI, json!({"openai_api_key_plaintext": "sk-hush\r\nx-evil: 1"}))],
            &[&format!(
                "{PATH}.openai_api_key_plaintext: {unseen} a secret of visible ASCII characters, without spaces or line \
                 ends: it goes into a header"
            )],
        ),
        (
            &[(OPENAI, json!({"openai_api_kay": "sk-hush", "openai_api_key": "{{env/KEY}}"}))],
            &[&format!(
                "{PATH}.openai_api_kay: found an unknown key, expected a known one: did you mean `openai_api_key`?"
            )],
        ),
        (&[("/logging/token", json!("hush"))], &[&format!("logging.token: {unseen} a reference such as {REFERENCE}")]),
    ]);
}

#[test]
fn plaintext_is_warned_of() {
    check_warnings(&[(
        &[(OPENAI, json!({"openai_api_key_plaintext": "sk-hush"}))],
        &[&format!(
            "{PATH}.openai_api_key_plaintext: found a secret (not shown), expected `openai_api_key` with a reference: a \
             plaintext value stands in the policy and in /config_dump"
        )],
    )]);
}

#[test]
fn never_shown() {
    let good = edited(&[
        (OPENAI, json!({"openai_api_key_plaintext": "sk-hush"})),
        ("/logging/token", json!("{{secrets/hush/token}}")),
    ]);
    let environment = |_: &str| Some("hush-value".to_owned());
    let good = Config::from_slice(good.to_string().as_bytes(), &environment, MissingSecrets::Error).unwrap();
    let shown = format!("{good:?}");
    assert!(!shown.contains("sk-hush") && !shown.contains("hush-value"), "{shown}");
    assert!(shown.contains("value: ***"), "{shown}");

    // A secret wherever a careless hand may put it.
    let bad = edited(&[
        (
            OPENAI,
            json!({"openai_api_key": {"value": "sk-hush"}, "openai_api_key_plaintext": ["sk-hush"], "key": "sk-hush"}),
        ),
        ("/endpoints/0/config/served_entities/1/external_model/openai_config", json!("sk-hush")),
        ("/endpoints/0/config/served_entities/2/environment_vars", json!({"OPENAI_API_KEY": "sk-hush"})),
        (
            "/identity/sources/0/api_keys",
            json!(["sk-hush", {"sha256": "sk-hush", "user": "a"}, {"sha-256": "sk-hush"}]),
        ),
        ("/logging", json!({"url": "http://c/?token=sk-hush", "token": "sk-hush", "token_plaintext": "sk-hush"})),
    ]);
    let invalid = Config::from_slice(bad.to_string().as_bytes(), &environment, MissingSecrets::Error).unwrap_err();
    assert!(invalid.problems.len() >= 8, "{invalid}");
    let shown = format!("{invalid} {invalid:?}");
    assert!(!shown.contains("sk-hush"), "{shown}");
}
