//! The policy as a table: what an edit of a good policy does to it. The other files go section by section.

mod design;
mod documented;
mod endpoints;
mod gateway;
mod google;
mod identity;
mod limits;
mod names;
mod providers;
mod secrets;
mod speed;
mod top;
mod traffic;

use serde_json::{Value, json};

use super::*;

/// A policy without a fault and without a warning.
fn good() -> Value {
    json!({
        "account_id": "acme",
        "identity": {"sources": [{"api_keys": [{"sha256": "0".repeat(64), "user": "alice"}]}]},
        "logging": {"url": "http://127.0.0.1:9902/v1/records"},
        "endpoints": [{
            "name": "chat",
            "config": {
                "served_entities": [
                    entity("a", json!({})),
                    entity("b", json!({})),
                    entity("c", json!({})),
                ],
                "traffic_config": {"routes": [
                    {"served_entity_name": "a", "traffic_percentage": 90},
                    {"served_entity_name": "b", "traffic_percentage": 10},
                ]},
            },
            "ai_gateway": {
                "fallback_config": {"enabled": true},
                "rate_limits": [{"calls": 100, "renewal_period": "minute"}],
            },
        }],
    })
}

/// An entity of that name; `openai` goes into its `openai_config`.
fn entity(name: &str, openai: Value) -> Value {
    let mut config = json!({"openai_api_key": "{{env/KEY}}"});
    merge(&mut config, openai);
    let model = json!({"provider": "openai", "name": "gpt-4o", "task": "llm/v1/chat", "openai_config": config});
    json!({"name": name, "external_model": model})
}

/// An endpoint with one entity, `only`.
fn endpoint(name: &str) -> Value {
    json!({"name": name, "config": {"served_entities": [entity("only", json!({}))]}})
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// Sets the value at a JSON pointer, makes the last key, or appends where the last step is `-`. `()` removes.
fn edit(policy: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match policy.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
        Value::Object(object) if value == json!("()") => assert!(object.remove(last).is_some(), "{pointer}"),
        Value::Object(object) => drop(object.insert(last.to_owned(), value)),
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) => list[last.parse::<usize>().unwrap()] = value,
        other => panic!("{pointer}: {other}"),
    }
}

fn edited(edits: &[(&str, Value)]) -> Value {
    let mut policy = good();
    for (pointer, value) in edits {
        edit(&mut policy, pointer, value.clone());
    }
    policy
}

fn environment(name: &str) -> Option<String> {
    (name == "KEY" || name.starts_with("WEIR_SECRET_")).then(|| format!("value-of-{name}"))
}

fn compile(policy: &Value) -> Result<Compiled, InvalidConfig> {
    Config::from_slice(policy.to_string().as_bytes(), &environment, MissingSecrets::Error)
}

fn compiled(edits: &[(&str, Value)]) -> Config {
    compile(&edited(edits)).unwrap_or_else(|error| panic!("{error}")).config
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// Edits of the good policy, and the lines that they lead to.
type Row<'r> = (&'r [(&'r str, Value)], &'r [&'r str]);

/// Checks that edits of the good policy lead to exactly these errors; to none where the list is empty.
#[track_caller]
fn check_errors(rows: &[Row<'_>]) {
    for (edits, expected) in rows {
        let found = match compile(&edited(edits)) {
            Ok(_) => Vec::new(),
            Err(invalid) => lines(&invalid.problems),
        };
        assert_eq!(found, *expected, "{edits:?}");
    }
}

/// Checks that edits of the good policy lead to exactly these warnings and no error.
#[track_caller]
fn check_warnings(rows: &[Row<'_>]) {
    for (edits, expected) in rows {
        let compiled = compile(&edited(edits)).unwrap_or_else(|error| panic!("{edits:?}: {error}"));
        assert_eq!(lines(&compiled.warnings), *expected, "{edits:?}");
    }
}
