//! A neutral answer in, Anthropic's message out; also what its streams are made of.

use crate::translate::{
    json::{Json, Object},
    neutral::*,
};

/// Anthropic knows one choice.
pub fn write(mut answer: Answer<'_>) -> Vec<u8> {
    let choice = if answer.choices.is_empty() { Choice::default() } else { answer.choices.swap_remove(0) };
    let calls = choice.parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
    let (reason, sequence) = stop(choice.stop.unwrap_or(if calls { Stop::ToolCalls } else { Stop::End }));
    let content: Vec<Json<'_>> = choice.parts.into_iter().filter_map(block).collect();
    message(answer.id, answer.model, content)
        .with("stop_reason", reason)
        .with("stop_sequence", sequence)
        .with("usage", usage(answer.usage.unwrap_or_default()))
        .to_bytes()
}

pub fn message<'a>(id: Text<'a>, model: Text<'a>, content: Vec<Json<'a>>) -> Object<'a> {
    Object::new()
        .with("id", id)
        .with("type", "message")
        .with("role", "assistant")
        .with("model", model)
        .with("content", content)
}

/// What is not signed was not thought by Anthropic's models: its empty signature says so to whoever sends it back.
fn block(part: Part<'_>) -> Option<Json<'_>> {
    let typed = |kind: &'static str| Object::new().with("type", kind);
    let block = match part {
        Part::Text { text, .. } | Part::Refusal { text } => typed("text").with("text", text),
        Part::Thinking { text, signature } => {
            typed("thinking").with("thinking", text).with("signature", signature.unwrap_or_default())
        }
        Part::RedactedThinking { data } => typed("redacted_thinking").with("data", data),
        Part::ToolCall { id, name, arguments, .. } => {
            typed("tool_use").with("id", id).with("name", name).with("input", input(arguments))
        }
        Part::File { .. } | Part::Image { .. } | Part::ToolResult { .. } => return None,
    };
    Some(block.into())
}

/// What a model wrote that is no JSON object is shown as it is.
fn input(arguments: Arguments<'_>) -> Json<'_> {
    let text = match &arguments {
        Arguments::Text(text) => text.clone().into_owned(),
        Arguments::Tree(_) => String::new(),
    };
    arguments.into_tree().unwrap_or_else(|| Object::new().with("_not_json", text).into())
}

/// The reason, and the sequence or null.
pub fn stop(stop: Stop<'_>) -> (&'static str, Json<'_>) {
    match stop {
        Stop::End | Stop::Other(_) => ("end_turn", Json::Null),
        Stop::Filter => ("refusal", Json::Null),
        Stop::Length => ("max_tokens", Json::Null),
        Stop::Sequence(sequence) => ("stop_sequence", sequence.map(Json::Text).unwrap_or_default()),
        Stop::ToolCalls => ("tool_use", Json::Null),
    }
}

/// Anthropic counts cached tokens apart from the input.
pub fn usage(usage: Usage) -> Object<'static> {
    let (cached, written) = (usage.cached_input.unwrap_or(0), usage.cache_write_input.unwrap_or(0));
    let thinking = usage.reasoning.map(|tokens| Object::new().with("thinking_tokens", tokens));
    Object::new()
        .with("input_tokens", usage.input.saturating_sub(cached).saturating_sub(written))
        .with("cache_creation_input_tokens", written)
        .with("cache_read_input_tokens", cached)
        .with("output_tokens", usage.output)
        .maybe("output_tokens_details", thinking)
}

/// In Anthropic's shape.
pub fn error(status: u16, failure: Failure<'_>) -> Object<'_> {
    let error = Object::new().with("type", kind(status)).with("message", failure.message);
    Object::new().with("type", "error").with("error", error)
}

/// Anthropic's word for a status.
pub fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    }
}
