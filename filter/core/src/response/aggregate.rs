//! A stream put together into the answer that it would have been without `stream`: pieces of any size in, one JSON document of the
//! caller's API out, for a log. It never changes what passes, and what it holds is bounded.

mod chunks;
mod messages;
mod responses;

use serde_json::{Map, Value};

use crate::{api::Api, translate::events::Events};

/// Every provider's answers have fewer choices, tool calls and blocks; a search through more is not worth a log.
const MAX_ITEMS: usize = 1_024;
/// What a value weighs besides its text. At 4 bytes a value, a document of 1 MiB is at most 262,144 values, which take 12 MiB.
const VALUE_WEIGHT: usize = 4;

/// Bounded at `max_bytes` of text and some 12 times that in values, one event of 1 MiB, and one piece.
#[derive(Debug)]
pub struct Aggregate {
    api: Api,
    events: Events,
    document: Document,
    max_bytes: usize,
    is_lost: bool,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Aggregated {
    /// No event that could be read.
    Nothing,
    /// JSON.
    Answer(Vec<u8>),
    TooLarge,
}

/// The answer so far, and its weight.
#[derive(Debug, Default)]
struct Document {
    root: Map<String, Value>,
    weight: usize,
}

impl Aggregate {
    /// Of a stream of this API; an answer of more than `max_bytes` is none.
    pub fn new(api: Api, max_bytes: usize) -> Self {
        Self { api, events: Events::default(), document: Document::default(), max_bytes, is_lost: false }
    }

    /// Takes the next piece, `end` with the last one, which may be empty.
    pub fn push(&mut self, piece: &[u8], end: bool) {
        if self.is_lost {
            return;
        }
        let Self { api, events, document, max_bytes, .. } = self;
        let pushed = events.push(piece, end, |data, _| {
            let Ok(Value::Object(event)) = serde_json::from_slice(data) else { return };
            if document.weight > *max_bytes {
                return;
            }
            match api {
                Api::Messages => messages::add(document, event),
                Api::Responses => responses::add(document, event),
                _ => chunks::add(document, event),
            }
        });
        if pushed.is_err() || self.document.weight > self.max_bytes {
            self.is_lost = true;
            self.events = Events::default();
            self.document = Document::default();
        }
    }

    pub fn finish(mut self) -> Aggregated {
        if !self.is_lost && self.document.root.is_empty() {
            return Aggregated::Nothing;
        }
        if matches!(self.api, Api::Chat) {
            chunks::finish(&mut self.document.root);
        }
        match serde_json::to_vec(&self.document.root) {
            Ok(answer) if !self.is_lost && answer.len() <= self.max_bytes => Aggregated::Answer(answer),
            _ => Aggregated::TooLarge,
        }
    }
}

impl Document {
    /// Sets a member.
    fn put(&mut self, key: &str, value: Value) {
        let before = self.root.get(key).map_or(0, weight);
        self.weight = self.weight.saturating_add(weight(&value)).saturating_add(key.len()).saturating_sub(before);
        self.root.insert(key.to_owned(), value);
    }

    /// Item `at` of the list under `key`, made of `new` where the list ends before it. `None`: no such item, and no room.
    fn item(&mut self, key: &str, at: usize, new: impl FnOnce() -> Value) -> Option<(&mut Value, &mut usize)> {
        let list = self.root.entry(key).or_insert_with(|| Value::Array(Vec::new())).as_array_mut()?;
        if at >= list.len() {
            if list.len() >= MAX_ITEMS {
                return None;
            }
            let new = new();
            self.weight = self.weight.saturating_add(weight(&new));
            list.push(new);
        }
        let last = list.len().saturating_sub(1);
        Some((list.get_mut(at.min(last))?, &mut self.weight))
    }
}

/// Writes `new` over `old`.
fn replace(old: &mut Value, new: Value, total: &mut usize) {
    *total = total.saturating_add(weight(&new)).saturating_sub(weight(old));
    *old = new;
}

/// Appends a text to member `key` of an object.
fn append(object: &mut Value, key: &str, text: &str, total: &mut usize) {
    let Some(object) = object.as_object_mut() else { return };
    *total = total.saturating_add(text.len());
    match object.get_mut(key) {
        Some(Value::String(before)) => before.push_str(text),
        _ => {
            *total = total.saturating_add(key.len()).saturating_add(VALUE_WEIGHT);
            object.insert(key.to_owned(), Value::String(text.to_owned()));
        }
    }
}

/// At most what it takes as JSON, but for short numbers in a list.
fn weight(value: &Value) -> usize {
    let inside = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).fold(0, usize::saturating_add),
        Value::Object(members) => {
            members.iter().map(|(key, value)| key.len().saturating_add(weight(value))).fold(0, usize::saturating_add)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    inside.saturating_add(VALUE_WEIGHT)
}

fn index(object: &Map<String, Value>, key: &str) -> usize {
    object.get(key).and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
