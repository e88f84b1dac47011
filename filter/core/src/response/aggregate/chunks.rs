//! OpenAI's chunks of chat completions and completions: what the deltas say is joined per choice, tool call and key, as OpenAI's own
//! libraries do it.

use serde_json::{Map, Value, json};

use super::{Document, MAX_ITEMS, append, replace, weight};

/// Texts that a server may repeat in each delta: the last one stands. All others are pieces, which are joined.
const WHOLE: [&str; 7] = ["finish_reason", "id", "name", "object", "role", "stop_reason", "type"];

pub fn add(document: &mut Document, chunk: Map<String, Value>) {
    for (key, value) in chunk {
        match (key.as_str(), value) {
            ("choices", Value::Array(choices)) => {
                for choice in choices {
                    if let Value::Object(choice) = choice {
                        add_choice(document, choice);
                    }
                }
            }
            ("object", Value::String(object)) => document.put("object", object.replace(".chunk", "").into()),
            (_, Value::Null) if document.root.contains_key(&key) => {}
            (_, value) => document.put(&key, value),
        }
    }
}

fn add_choice(document: &mut Document, choice: Map<String, Value>) {
    let number = choice.get("index").cloned().unwrap_or(json!(0));
    let known = document.root.get("choices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let at = known.iter().position(|known| known.get("index") == Some(&number)).unwrap_or(known.len());
    let Some((own, total)) = document.item("choices", at, || json!({"index": number})) else { return };
    for (key, value) in choice {
        let key = if key == "delta" { "message" } else { &key };
        if let Some(own) = own.as_object_mut()
            && key != "index"
        {
            merge(own.entry(key).or_insert(Value::Null), value, key, total);
        }
    }
}

/// What is under `key` so far, and what comes to it.
fn merge(own: &mut Value, more: Value, key: &str, total: &mut usize) {
    match (own, more) {
        (_, Value::Null) => {}
        (Value::String(own), Value::String(more)) if !WHOLE.contains(&key) => {
            *total = total.saturating_add(more.len());
            own.push_str(&more);
        }
        (Value::String(_), Value::String(more)) if more.is_empty() => {}
        (Value::Object(own), Value::Object(more)) => {
            for (key, value) in more {
                match own.get_mut(&key) {
                    Some(own) => merge(own, value, &key, total),
                    None => {
                        *total = total.saturating_add(key.len()).saturating_add(weight(&value));
                        own.insert(key, value);
                    }
                }
            }
        }
        (Value::Array(own), Value::Array(more)) => more.into_iter().for_each(|item| add_item(own, item, total)),
        (own, more) => replace(own, more, total),
    }
}

/// Items with an `index` are pieces of the item with the same one; others stand for themselves.
fn add_item(own: &mut Vec<Value>, item: Value, total: &mut usize) {
    let number = item.get("index").filter(|index| index.is_number());
    let same = number.and_then(|index| own.iter().position(|own| own.get("index") == Some(index)));
    let has_room = number.is_none() || own.len() < MAX_ITEMS;
    match same.and_then(|at| own.get_mut(at)) {
        Some(own) => merge(own, item, "", total),
        None if has_room => {
            *total = total.saturating_add(weight(&item));
            own.push(item);
        }
        None => {}
    }
}

/// A whole answer's tool calls have no `index`, its message has a `content`.
pub fn finish(root: &mut Map<String, Value>) {
    let choices = root.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten();
    for message in choices.filter_map(|choice| choice.get_mut("message")) {
        for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(call) = call.as_object_mut() {
                call.remove("index");
            }
        }
        if message.get("content").is_none() && message.get("tool_calls").is_none() {
            append(message, "content", "", &mut 0);
        }
    }
}
