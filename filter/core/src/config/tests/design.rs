//! The example of the contract: whole, and cut down to what is built; and a policy that Databricks' SDK wrote.

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
            format!(
                "{gateway}.guardrails: found an object, expected no such key: support of guardrails is not built yet"
            ),
            "endpoints[0].config.served_entities[1]: found 297000 ms until the first byte, expected 60000 as in the \
             endpoint's first entity: Envoy's router reads one timeout per try for a request (default 297000)"
                .to_owned(),
        ]
    );
}

#[test]
fn what_is_built() {
    let compiled = compile(&built()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(compiled.warnings, []);
    assert_eq!(
        lines(&crate::lint::warnings(&compiled.config)),
        ["endpoints[0].ai_gateway.rate_limits[2]: found no limit of `input_tokens`, `output_tokens` for \
             alice@example.com, expected one, if the default for every user is not meant to hold for him there: it does"]
    );
    assert_eq!(compiled.config.identity.sources.len(), 4);
    let chat = compiled.config.endpoint_for_model("gpt-4o-mini").unwrap();
    assert_eq!(chat.plans.len(), 2);
    assert_eq!(chat.entities[0].cluster, Cluster::Existing("openai".to_owned()));
    assert_eq!(chat.permissions, Some(vec![Permission::Group("staff".to_owned())]));
}

/// The example without what is not built.
fn built() -> Value {
    let mut policy: Value = serde_json::from_str(WHOLE).unwrap();
    let entities = "/endpoints/0/config/served_entities";
    let gateway = "/endpoints/0/ai_gateway";
    for (pointer, value) in [
        (&format!("{gateway}/guardrails"), json!("()")),
        (&format!("{entities}/1/price"), json!({"input_per_million_usd": 3, "output_per_million_usd": 15})),
        (&format!("{entities}/1/timeouts"), json!({"first_byte_ms": 60000})),
    ] {
        edit(&mut policy, pointer, value);
    }
    policy
}

/// What the classes of databricks-sdk 0.162.0 write (`as_dict()`), with a value in nearly every field that OpenAI needs.
#[test]
fn as_databricks_sdk_writes_it() {
    let policy = serde_json::from_str(include_str!("sdk.json")).unwrap();
    let compiled = compile(&policy).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(compiled.config.endpoints[0].limits.entries().len(), 4);
    let entities = "endpoints[0].config.served_entities";
    let warned: Vec<_> = compiled.warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(
        warned,
        [
            &format!("{entities}[0].environment_vars"),
            &format!("{entities}[0].scale_to_zero_enabled"),
            &format!("{entities}[0].workload_size"),
            &format!("{entities}[1].environment_vars"),
            &format!("{entities}[1].scale_to_zero_enabled"),
            &format!("{entities}[1].workload_size"),
            "endpoints[0].config.auto_capture_config",
            "endpoints[0].budget_policy_id",
            "endpoints[0].email_notifications",
            "endpoints[0].route_optimized",
        ]
    );
}

/// Whatever stands in a value's place, or if its key is gone: no panic, and never a refusal without a reason.
#[test]
fn anything_anywhere() {
    let built = built();
    let mut pointers = Vec::new();
    collect_pointers(&built, String::new(), &mut pointers);
    assert!(pointers.len() > 100);
    let check = |policy: &Value, what: &str| {
        let problems = compile(policy).err().map(|invalid| invalid.problems.len());
        assert_ne!(problems, Some(0), "{what}");
    };
    let strange =
        [json!(null), json!(true), json!(-1.5), json!(u64::MAX), json!("é\n*"), json!([]), json!({}), json!([[{}]])];
    for pointer in &pointers {
        for value in &strange {
            let mut policy = built.clone();
            *policy.pointer_mut(pointer).unwrap() = value.clone();
            check(&policy, &format!("{pointer}: {value}"));
        }
        if let Some((parent, key)) = pointer.rsplit_once('/') {
            let mut policy = built.clone();
            if let Some(Value::Object(object)) = policy.pointer_mut(parent) {
                object.remove(key);
            }
            check(&policy, &format!("{pointer}: gone"));
        }
    }
}

fn collect_pointers(value: &Value, here: String, pointers: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| collect_pointers(value, format!("{here}/{key}"), pointers));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, value)| collect_pointers(value, format!("{here}/{at}"), pointers));
        }
        _ => {}
    }
    pointers.push(here);
}
