//! OpenAI's events of responses: the last one holds the whole response. Until it comes, the items and texts so far stand for it.

use serde_json::{Map, Value, json};

use super::{Document, MAX_ITEMS, append, index, replace};

pub fn add(document: &mut Document, mut event: Map<String, Value>) {
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let text = |event: &Map<String, Value>| event.get("delta").and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
        "response.created" | "response.completed" | "response.incomplete" | "response.failed" => {
            if let Some(Value::Object(response)) = event.remove("response") {
                // The texts so far are in it.
                *document = Document::default();
                response.into_iter().for_each(|(key, value)| document.put(&key, value));
            }
        }
        "response.output_item.added" | "response.output_item.done" => {
            let item = event.remove("item").unwrap_or_default();
            if let Some((own, total)) = document.item("output", index(&event, "output_index"), || Value::Null) {
                replace(own, item, total);
            }
        }
        "response.content_part.added" | "response.content_part.done" => {
            let part = event.remove("part").unwrap_or_default();
            with_part(document, &event, |own, total| replace(own, part, total));
        }
        "response.output_text.delta" => {
            with_part(document, &event, |part, total| append(part, "text", &text(&event), total));
        }
        "response.refusal.delta" => {
            with_part(document, &event, |part, total| append(part, "refusal", &text(&event), total));
        }
        "response.function_call_arguments.delta" => {
            if let Some((item, total)) = document.item("output", index(&event, "output_index"), || json!({})) {
                append(item, "arguments", &text(&event), total);
            }
        }
        "error" => {
            event.remove("type");
            document.put("error", event.into());
        }
        _ => {}
    }
}

/// The content part of an item that an event is about.
fn with_part(document: &mut Document, event: &Map<String, Value>, change: impl FnOnce(&mut Value, &mut usize)) {
    let Some((item, total)) = document.item("output", index(event, "output_index"), || json!({})) else { return };
    let Some(item) = item.as_object_mut() else { return };
    let Some(parts) = item.entry("content").or_insert_with(|| json!([])).as_array_mut() else { return };
    let at = index(event, "content_index").min(parts.len());
    if at == parts.len() && at < MAX_ITEMS {
        parts.push(json!({}));
    }
    if let Some(part) = parts.get_mut(at) {
        change(part, total);
    }
}
