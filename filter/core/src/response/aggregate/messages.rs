//! Anthropic's events: the message of the first one, its blocks with their deltas, and what the last ones say of its end.

use serde_json::{Map, Value, json};

use super::{Document, append, index, replace, weight};

pub fn add(document: &mut Document, mut event: Map<String, Value>) {
    let at = index(&event, "index");
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
        "message_start" => {
            if let Some(Value::Object(message)) = event.remove("message") {
                message.into_iter().for_each(|(key, value)| document.put(&key, value));
            }
        }
        "content_block_start" => {
            if let Some(block) = event.remove("content_block")
                && let Some((own, total)) = document.item("content", at, || Value::Null)
            {
                replace(own, block, total);
            }
        }
        "content_block_delta" => {
            if let Some(Value::Object(delta)) = event.remove("delta")
                && let Some((block, total)) = document.item("content", at, || json!({}))
            {
                add_delta(block, delta, total);
            }
        }
        "content_block_stop" => {
            if let Some((block, total)) = document.item("content", at, || json!({})) {
                end_input(block, total);
            }
        }
        "message_delta" => {
            if let Some(Value::Object(delta)) = event.remove("delta") {
                delta.into_iter().for_each(|(key, value)| document.put(&key, value));
            }
            if let Some(Value::Object(counts)) = event.remove("usage") {
                let mut usage = document.root.get("usage").and_then(Value::as_object).cloned().unwrap_or_default();
                usage.extend(counts);
                document.put("usage", usage.into());
            }
        }
        "error" => document.put("error", event.remove("error").unwrap_or_default()),
        _ => {}
    }
}

fn add_delta(block: &mut Value, delta: Map<String, Value>, total: &mut usize) {
    for (key, value) in delta {
        match (key.as_str(), value) {
            ("text" | "thinking" | "signature" | "partial_json", Value::String(text)) => {
                append(block, &key, &text, total);
            }
            ("citation", citation) => {
                let Some(block) = block.as_object_mut() else { return };
                *total = total.saturating_add(weight(&citation));
                let citations = block.entry("citations").or_insert(Value::Null);
                match citations {
                    Value::Array(citations) => citations.push(citation),
                    none => *none = json!([citation]),
                }
            }
            _ => {}
        }
    }
}

/// A tool's input comes as pieces of JSON. What is no JSON stays as it came.
fn end_input(block: &mut Value, total: &mut usize) {
    let Some(members) = block.as_object_mut() else { return };
    let Some(text) = members.get("partial_json").and_then(Value::as_str) else { return };
    if let Ok(input) = serde_json::from_str::<Value>(if text.is_empty() { "{}" } else { text }) {
        *total = total.saturating_add(weight(&input)).saturating_sub(text.len());
        members.remove("partial_json");
        members.insert("input".to_owned(), input);
    }
}
