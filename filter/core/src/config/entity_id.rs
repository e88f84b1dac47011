//! `served_entity_id`: the same entity has the same id in every worker, Envoy and run; a changed one has another.

use sha2::{Digest, Sha256};

use super::{document::Node, secret};
use crate::{decimal::hex_of, limits::Rules};

/// What an endpoint must know of the policy around it.
#[derive(Default)]
pub(super) struct Owner<'p> {
    pub account_id: Option<&'p str>,
    pub workspace_id: Option<&'p str>,
    /// Usage records go somewhere.
    pub is_logged: bool,
    pub rules: Rules,
    /// `limits_store.rls`: an engine counts.
    pub shares_limits: bool,
}

/// A UUID (version 8, RFC 9562) made of the SHA-256 of the JSON array of account, workspace, endpoint and entity, its
/// keys sorted and its secrets left out. An account or workspace that is not set is `null`.
pub(super) fn served_entity_id(owner: &Owner<'_>, endpoint: &str, entity: &Node<'_>) -> String {
    let mut json = String::from("[");
    for text in [owner.account_id, owner.workspace_id, Some(endpoint)] {
        match text {
            Some(text) => write_text(&mut json, text),
            None => json.push_str("null"),
        }
        json.push(',');
    }
    write_canonical(&mut json, entity);
    json.push(']');
    let hash = Sha256::digest(json.as_bytes());
    let mut id = hash.first_chunk::<16>().copied().unwrap_or_default();
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut id;
    *version = *version & 0x0f | 0x80;
    *variant = *variant & 0x3f | 0x80;
    let mut uuid = hex_of(&id);
    for at in [20, 16, 12, 8] {
        uuid.insert(at, '-');
    }
    uuid
}

/// By what it is and not by its name, which each provider has another of: a reference is left out like a value, so that a key
/// which is rotated makes no new entity.
fn is_secret(key: &str, value: &Node<'_>) -> bool {
    let is_reference = matches!(value, Node::Text(text) if secret::variable(text).is_some());
    is_reference || key == "environment_vars" || key.ends_with("_plaintext")
}

fn write_canonical(json: &mut String, node: &Node<'_>) {
    match node {
        Node::Null => json.push_str("null"),
        Node::Flag(flag) => json.push_str(if *flag { "true" } else { "false" }),
        // `5` and `5.0` are one number: which one arrives depends on the way through Envoy.
        Node::Number(number) => match node.whole() {
            Some(whole) => json.push_str(&whole.to_string()),
            None => json.push_str(&number.to_string()),
        },
        Node::Text(text) => write_text(json, text),
        Node::List(items) => {
            json.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    json.push(',');
                }
                write_canonical(json, item);
            }
            json.push(']');
        }
        Node::Object(entries) => {
            let mut sorted: Vec<_> = entries.iter().filter(|(key, value)| !is_secret(key, value)).collect();
            sorted.sort_by_key(|(key, _)| key);
            json.push('{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    json.push(',');
                }
                write_text(json, key);
                json.push(':');
                write_canonical(json, value);
            }
            json.push('}');
        }
    }
}

fn write_text(json: &mut String, text: &str) {
    // What a name is made of; the rest is rare.
    if text.bytes().all(|byte| byte >= b' ' && !matches!(byte, b'"' | b'\\')) {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        json.push_str(&serde_json::Value::from(text).to_string());
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn id(workspace_id: Option<&str>, entity: &str) -> String {
        let owner = Owner { account_id: Some("acme"), workspace_id, ..Owner::default() };
        served_entity_id(&owner, "chat", &serde_json::from_str(entity).unwrap())
    }

    #[test]
    fn what_changes_an_id() {
        let base = id(None, r#"{"name":"a","price":{"x":5,"y":0.5}}"#);
        for (same, workspace, entity) in [
            (true, None, r#"{"price":{"y":0.5,"x":5.0},"name":"a"}"#),
            (true, None, r#"{"name":"a","price":{"x":5,"y":0.5},"openai_api_key":"{{env/A}}"}"#),
            (true, None, r#"{"name":"a","price":{"x":5,"y":0.5},"openai_api_key_plaintext":"sk-1"}"#),
            (true, None, r#"{"name":"a","price":{"x":5,"y":0.5},"value":"{{secrets/a/b}}"}"#),
            (false, None, r#"{"name":"a","price":{"x":5,"y":0.5},"value":"{{no reference}}"}"#),
            (false, None, r#"{"name":"b","price":{"x":5,"y":0.5}}"#),
            (false, None, r#"{"name":"a","price":{"x":5,"y":0.6}}"#),
            (false, Some("prod"), r#"{"name":"a","price":{"x":5,"y":0.5}}"#),
            (false, None, r#"{"name":"a\",\"price\":{\"x\":5}","y":0.5}"#),
        ] {
            assert_eq!(id(workspace, entity) == base, same, "{entity}");
        }
    }

    #[test]
    fn stable_across_releases() {
        // printf '["acme","prod","chat",{"name":"a"}]' | sha256sum
        assert_eq!(id(Some("prod"), r#"{"name":"a"}"#), "e70d1ab3-4454-8274-968b-dae28c426187");
        let mut json = String::new();
        for text in ["ä\u{7f}", "\u{1f}", "\"", "a\\b", ""] {
            json.clear();
            write_text(&mut json, text);
            assert_eq!(json, serde_json::to_string(text).unwrap());
        }
    }
}
