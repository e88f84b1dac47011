//! A neutral answer in, a chat completion out; also what streams of chat completions are made of.

use crate::translate::{
    json::{Json, Object},
    neutral::*,
};

/// `created`: seconds since the Unix epoch.
pub fn write(answer: Answer<'_>, created: u64) -> Vec<u8> {
    let choices = answer.choices.into_iter().zip(0..).map(|(choice, index)| write_choice(choice, index)).collect();
    let choices: Vec<Json<'_>> = choices;
    Object::new()
        .with("id", answer.id)
        .with("object", "chat.completion")
        .with("created", created)
        .with("model", answer.model)
        .with("choices", choices)
        .maybe("usage", answer.usage.map(usage))
        .to_bytes()
}

fn write_choice(choice: Choice<'_>, index: u64) -> Json<'_> {
    let calls = choice.parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
    let finish_reason = choice.stop.map_or(if calls { "tool_calls".into() } else { "stop".into() }, finish_reason);
    Object::new()
        .with("index", index)
        .with("message", message(choice.parts))
        .with("logprobs", choice.logprobs.unwrap_or_default())
        .with("finish_reason", finish_reason)
        .into()
}

/// Texts become one. `reasoning_content` and `thinking_blocks` are no fields of OpenAI's: the first is what clients that
/// show reasoning read, the second what one must send back for Anthropic to go on thinking after a tool's result.
fn message(parts: Vec<Part<'_>>) -> Json<'_> {
    let mut content: Option<String> = None;
    let mut refusal: Option<String> = None;
    let mut reasoning: Option<String> = None;
    let (mut blocks, mut calls) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text { text, .. } => content.get_or_insert_default().push_str(&text),
            Part::Refusal { text } => refusal.get_or_insert_default().push_str(&text),
            Part::Thinking { text, signature } => {
                reasoning.get_or_insert_default().push_str(&text);
                if let Some(signature) = signature {
                    blocks.push(thinking_block(text, signature));
                }
            }
            Part::RedactedThinking { data } => blocks.push(redacted_block(data)),
            Part::ToolCall { id, name, arguments, .. } => {
                let function = Object::new().with("name", name).with("arguments", arguments.into_text());
                calls.push(Object::new().with("id", id).with("type", "function").with("function", function).into());
            }
            Part::File { .. } | Part::Image { .. } | Part::ToolResult { .. } => {}
        }
    }
    let list = |list: Vec<Json<'static>>| (!list.is_empty()).then_some(list);
    let calls: Vec<Json<'_>> = calls;
    Object::new()
        .with("role", "assistant")
        .with("content", content.map(Json::from).unwrap_or_default())
        .with("refusal", refusal.map(Json::from).unwrap_or_default())
        .maybe("reasoning_content", reasoning)
        .maybe("thinking_blocks", list(blocks))
        .maybe("tool_calls", (!calls.is_empty()).then_some(calls))
        .into()
}

pub fn thinking_block(text: Text<'_>, signature: Text<'_>) -> Json<'static> {
    let block = Object::new().with("type", "thinking").with("thinking", text.into_owned());
    block.with("signature", signature.into_owned()).into()
}

pub fn redacted_block(data: Text<'_>) -> Json<'static> {
    Object::new().with("type", "redacted_thinking").with("data", data.into_owned()).into()
}

/// OpenAI's words; what none of them says is the end of the answer.
pub fn finish_reason(stop: Stop<'_>) -> Text<'static> {
    match stop {
        Stop::Filter => "content_filter",
        Stop::Length => "length",
        Stop::ToolCalls => "tool_calls",
        Stop::End | Stop::Other(_) | Stop::Sequence(_) => "stop",
    }
    .into()
}

pub fn usage(usage: Usage) -> Object<'static> {
    let prompt = Object::new().maybe("cached_tokens", usage.cached_input);
    let prompt = prompt.maybe("cache_write_tokens", usage.cache_write_input);
    let completion = Object::new().maybe("reasoning_tokens", usage.reasoning);
    Object::new()
        .with("prompt_tokens", usage.input)
        .with("completion_tokens", usage.output)
        .with("total_tokens", usage.input.saturating_add(usage.output))
        .maybe("prompt_tokens_details", (!prompt.is_empty()).then_some(prompt))
        .maybe("completion_tokens_details", (!completion.is_empty()).then_some(completion))
}

/// In OpenAI's shape; its words for what went wrong stand for the status, where the provider has others.
pub fn error(status: u16, failure: Failure<'_>) -> Object<'_> {
    let (kind, code) = match status {
        401 => ("invalid_request_error", "invalid_api_key"),
        403 => ("invalid_request_error", "permission_denied"),
        404 => ("invalid_request_error", "model_not_found"),
        413 => ("invalid_request_error", "request_too_large"),
        429 => ("requests", "rate_limit_exceeded"),
        400..=499 => ("invalid_request_error", "invalid_request_error"),
        _ => ("server_error", "upstream_error"),
    };
    let error = Object::new()
        .with("message", failure.message)
        .with("type", kind)
        .with("param", failure.param.map(Json::Text).unwrap_or_default())
        .with("code", failure.code.unwrap_or(code.into()));
    Object::new().with("error", error)
}
