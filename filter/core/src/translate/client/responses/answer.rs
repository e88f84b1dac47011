//! A neutral answer in, OpenAI's response out; also what its streams are made of.

use super::{super::chat, HIDDEN, SIGNED};
use crate::translate::{
    Memo,
    json::{Json, Object},
    neutral::*,
};

/// Responses know one choice.
pub fn write(mut answer: Answer<'_>, memo: &Memo) -> Vec<u8> {
    let choice = if answer.choices.is_empty() { Choice::default() } else { answer.choices.swap_remove(0) };
    let id = response_id(&answer.id);
    let mut output: Vec<Json<'_>> = Vec::new();
    let mut content: Vec<Json<'_>> = Vec::new();
    for part in choice.parts {
        match part {
            Part::Text { text, .. } => content.push(text_part(text).into()),
            Part::Refusal { text } => content.push(Object::new().with("type", "refusal").with("refusal", text).into()),
            part => {
                flush(&mut content, &mut output, &answer.id);
                let item = item_id(&answer.id, output.len());
                output.extend(other(part, item).map(Json::from));
            }
        }
    }
    flush(&mut content, &mut output, &answer.id);
    let (status, details) = status(choice.stop.as_ref());
    response(&id, &answer.model, memo, status, output)
        .with("incomplete_details", details)
        .maybe("usage", answer.usage.map(usage))
        .to_bytes()
}

/// What has been said so far is one message.
fn flush<'a>(content: &mut Vec<Json<'a>>, output: &mut Vec<Json<'a>>, id: &str) {
    if !content.is_empty() {
        output.push(message(item_id(id, output.len()), "completed", std::mem::take(content)).into());
    }
}

fn other(part: Part<'_>, id: String) -> Option<Object<'_>> {
    match part {
        Part::Thinking { text, signature } => {
            Some(reasoning(id, Some(text), signature.map(|signature| format!("{SIGNED}{signature}"))))
        }
        Part::RedactedThinking { data } => Some(reasoning(id, None, Some(format!("{HIDDEN}{data}")))),
        Part::ToolCall { id: call, name, arguments, .. } => {
            Some(function_call(id, call, name, arguments.into_text(), "completed"))
        }
        _ => None,
    }
}

pub fn response<'a>(id: &str, model: &str, memo: &Memo, status: &'static str, output: Vec<Json<'a>>) -> Object<'a> {
    let mut response = Object::new()
        .with("id", id.to_owned())
        .with("object", "response")
        .with("created_at", memo.created)
        .with("status", status)
        .with("error", Json::Null)
        .with("model", model.to_owned())
        .with("output", output);
    response.extend(memo.echo.clone());
    response
}

pub fn response_id(id: &str) -> String {
    format!("resp_{id}")
}

pub fn item_id(id: &str, at: usize) -> String {
    format!("item_{id}_{at}")
}

pub fn text_part(text: Text<'_>) -> Object<'_> {
    Object::new()
        .with("type", "output_text")
        .with("text", text)
        .with("annotations", Vec::new())
        .with("logprobs", Vec::new())
}

pub fn message<'a>(id: String, status: &'static str, content: Vec<Json<'a>>) -> Object<'a> {
    Object::new()
        .with("id", id)
        .with("type", "message")
        .with("status", status)
        .with("role", "assistant")
        .with("content", content)
}

pub fn reasoning<'a>(id: String, text: Option<Text<'a>>, encrypted: Option<String>) -> Object<'a> {
    let summary = text.map(|text| summary_part(text).into()).into_iter().collect::<Vec<Json<'_>>>();
    Object::new()
        .with("id", id)
        .with("type", "reasoning")
        .with("summary", summary)
        .maybe("encrypted_content", encrypted)
}

pub fn summary_part(text: Text<'_>) -> Object<'_> {
    Object::new().with("type", "summary_text").with("text", text)
}

pub fn function_call<'a>(
    id: String,
    call: Text<'a>,
    name: Text<'a>,
    arguments: Text<'a>,
    status: &'static str,
) -> Object<'a> {
    Object::new()
        .with("id", id)
        .with("type", "function_call")
        .with("status", status)
        .with("call_id", call)
        .with("name", name)
        .with("arguments", arguments)
}

/// The status, and `incomplete_details`.
pub fn status(stop: Option<&Stop<'_>>) -> (&'static str, Json<'static>) {
    let incomplete = |reason: &'static str| ("incomplete", Object::new().with("reason", reason).into());
    match stop {
        Some(Stop::Length) => incomplete("max_output_tokens"),
        Some(Stop::Filter) => incomplete("content_filter"),
        _ => ("completed", Json::Null),
    }
}

pub fn usage(usage: Usage) -> Object<'static> {
    let input = Object::new().with("cached_tokens", usage.cached_input.unwrap_or(0));
    let input = input.with("cache_write_tokens", usage.cache_write_input.unwrap_or(0));
    Object::new()
        .with("input_tokens", usage.input)
        .with("input_tokens_details", input)
        .with("output_tokens", usage.output)
        .with("output_tokens_details", Object::new().with("reasoning_tokens", usage.reasoning.unwrap_or(0)))
        .with("total_tokens", usage.input.saturating_add(usage.output))
}

/// As on all of OpenAI's paths.
pub fn error(status: u16, failure: Failure<'_>) -> Object<'_> {
    chat::error(status, failure)
}
