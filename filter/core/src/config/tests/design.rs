//! The example of the contract: whole, and cut down to what is built.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

/// Every key of the contract, also those that are not built.
const WHOLE: &str = include_str!("design.json");

#[test]
fn whole() {
    let policy: Value = serde_json::from_str(WHOLE).unwrap();
    let invalid = compile(&policy).unwrap_err();
    let gateway = "endpoints[0].ai_gateway";
    assert_eq!(
        lines(&invalid.problems),
        [
            "reserve: found an object, expected no such key: the reservation of tokens is not built yet".to_owned(),
            format!(
                "{gateway}.rate_limits[3].cached_input_weight: found `0`, expected `1`: another weight of cached tokens is \
                 not built yet"
            ),
            format!("{gateway}.rate_limits[4].cost_usd: found `200`, expected no such key: a limit of cost is not built yet"),
            format!(
                "{gateway}.rate_limits[4].renewal_period: found `day`, expected one of `second`, `minute`, `hour`: a period \
                 of a day is not built yet"
            ),
            format!(
                "{gateway}.rate_limits[4].mode: found `shadow`, expected `enforce`: a limit in shadow mode is not built yet"
            ),
            format!(
                "{gateway}.inference_table_config.enabled: found `true`, expected `false`: inference tables are not built yet"
            ),
            format!("{gateway}.guardrails: found an object, expected no such key: support of guardrails is not built yet"),
            "endpoints[0].config.served_entities[0].tokenizer: found `o200k_base`, expected no such key: the choice of a \
             tokenizer is not built yet"
                .to_owned(),
            "endpoints[0].config.served_entities[1].external_model.provider: found `anthropic`, expected `openai`: provider \
             anthropic is not built yet"
                .to_owned(),
            "endpoints[0].config.served_entities[1]: found 297000 ms until the first byte, expected 60000 as in the \
             endpoint's first entity: Envoy's router reads one timeout per try for a request (default 297000)"
                .to_owned(),
        ]
    );
}

#[test]
fn what_is_built() {
    let mut policy: Value = serde_json::from_str(WHOLE).unwrap();
    let entities = "/endpoints/0/config/served_entities";
    let gateway = "/endpoints/0/ai_gateway";
    for (pointer, value) in [
        ("/reserve", json!("()")),
        (&format!("{gateway}/rate_limits/3/cached_input_weight"), json!(1)),
        (&format!("{gateway}/rate_limits/4"), json!({"calls": 9, "renewal_period": "hour"})),
        (&format!("{gateway}/inference_table_config/enabled"), json!(false)),
        (&format!("{gateway}/guardrails"), json!("()")),
        (&format!("{entities}/0/tokenizer"), json!("()")),
        (&format!("{entities}/1"), entity("claude", json!({}))),
        (&format!("{entities}/1/timeouts"), json!({"first_byte_ms": 60000})),
    ] {
        edit(&mut policy, pointer, value);
    }
    let compiled = compile(&policy).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(compiled.warnings, []);
    assert_eq!(compiled.config.identity.sources.len(), 4);
    let chat = compiled.config.endpoint_for_model("gpt-4o-mini").unwrap();
    assert_eq!(chat.plans.len(), 2);
    assert_eq!(chat.entities[0].cluster, Cluster::Existing("openai".to_owned()));
    assert_eq!(chat.permissions, Some(vec![Permission::Group("staff".to_owned())]));
}
