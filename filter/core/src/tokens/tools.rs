//! The tokens of tool definitions, by the rule that OpenAI's cookbook gives for gpt-4o ("How to count tokens with tiktoken",
//! section 7): a function costs 7 and its `name:description`, its properties 3 and each of them 3 and `name:type:description`,
//! an `enum` 3 for each value less 3 in all, and all functions together 12. A description's last full stop does not count.
//! Objects within a property are counted as the properties of a function are.

use super::{Counter, json};
use crate::cursor::{Cursor, Kind};

const FUNCTION: u64 = 7;
const PROPERTIES: u64 = 3;
const PROPERTY: u64 = 3;
const ENUM_VALUE: u64 = 3;
/// An `enum` is worth so much less.
const ENUM: u64 = 3;
const ALL: u64 = 12;

/// Schemas within schemas: what is deeper is counted as the JSON that it is.
const MAX_DEPTH: u8 = 6;

/// Counts the list of tools that stands here.
pub fn count(cursor: &mut Cursor<'_>, counter: &mut Counter) {
    let mut tools = 0u64;
    cursor.list(|cursor| {
        tools += 1;
        counter.add(FUNCTION);
        definition(cursor, counter, 1);
    });
    if tools > 0 {
        counter.add(ALL);
    }
}

/// `{name, description, parameters}`, which OpenAI's has in `function`, and Anthropic's with an `input_schema`.
fn definition(cursor: &mut Cursor<'_>, counter: &mut Counter, levels: u8) {
    let (mut name, mut description) = (None, None);
    cursor.object(|cursor, key| match key {
        b"function" if levels > 0 => definition(cursor, counter, levels - 1),
        b"name" => name = Some(cursor.text()),
        b"description" => description = Some(cursor.text()),
        b"parameters" | b"input_schema" => schema(cursor, counter, 0),
        _ => {}
    });
    if name.is_some() || description.is_some() {
        line(counter, &[name, Some(without_stop(description))]);
    }
}

fn schema(cursor: &mut Cursor<'_>, counter: &mut Counter, depth: u8) {
    if depth >= MAX_DEPTH {
        return as_json(cursor, counter);
    }
    cursor.object(|cursor, key| match key {
        b"properties" => properties(cursor, counter, depth),
        b"items" => schema(cursor, counter, depth + 1),
        _ => {}
    });
}

fn properties(cursor: &mut Cursor<'_>, counter: &mut Counter, depth: u8) {
    let mut are_some = false;
    cursor.object(|cursor, name| {
        are_some = true;
        counter.add(PROPERTY);
        match depth {
            MAX_DEPTH.. => as_json(cursor, counter),
            _ => property(cursor, name, counter, depth),
        }
    });
    if are_some {
        counter.add(PROPERTIES);
    }
}

fn property(cursor: &mut Cursor<'_>, name: &[u8], counter: &mut Counter, depth: u8) {
    let (mut kind, mut description) = (None, None);
    cursor.object(|cursor, key| match key {
        b"type" => kind = Some(cursor.text()),
        b"description" => description = Some(cursor.text()),
        b"enum" => values(cursor, counter),
        b"properties" => properties(cursor, counter, depth + 1),
        b"items" => schema(cursor, counter, depth + 1),
        _ => {}
    });
    line(counter, &[Some(name), kind, Some(without_stop(description))]);
}

fn values(cursor: &mut Cursor<'_>, counter: &mut Counter) {
    let mut added = 0u64;
    cursor.list(|cursor| {
        added += ENUM_VALUE;
        let value = match cursor.kind() {
            Some(Kind::Text) => cursor.text(),
            _ => cursor.raw(),
        };
        json::push_last(counter, value);
    });
    counter.add(added.saturating_sub(ENUM));
}

fn as_json(cursor: &mut Cursor<'_>, counter: &mut Counter) {
    json::push_last(counter, cursor.raw());
}

/// One text of what is there, with `:` between.
fn line(counter: &mut Counter, parts: &[Option<&[u8]>]) {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            counter.push(b":");
        }
        json::push(counter, part.unwrap_or_default());
    }
    counter.end_text();
}

fn without_stop(description: Option<&[u8]>) -> &[u8] {
    let description = description.unwrap_or_default();
    description.strip_suffix(b".").unwrap_or(description)
}
