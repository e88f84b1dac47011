//! A chat completion, or an error, in; a neutral one out. What is not known is passed over.

use crate::translate::{
    json::{Json, Object},
    neutral::*,
};

pub fn read(mut completion: Object<'_>) -> Answer<'_> {
    Answer {
        id: completion.take_text("id").unwrap_or_default(),
        model: completion.take_text("model").unwrap_or_default(),
        choices: completion.take_list("choices").unwrap_or_default().into_iter().filter_map(choice).collect(),
        usage: completion.get("usage").and_then(usage),
    }
}

/// Servers that only resemble OpenAI's put the message elsewhere.
pub fn failure(mut error: Object<'_>) -> Option<Failure<'_>> {
    let code = |code: Option<Json<'static>>| code.and_then(Json::into_text);
    match error.take("error") {
        Some(Json::Object(mut inner)) => Some(Failure {
            message: inner.take_text("message")?,
            kind: inner.take_text("type"),
            code: code(inner.take("code").map(Json::into_owned)),
            param: inner.take_text("param"),
        }),
        Some(Json::Text(message)) => Some(Failure { message, ..Failure::default() }),
        _ => {
            let message = error.take_text("message").or_else(|| error.take_text("detail"))?;
            Some(Failure { message, ..Failure::default() })
        }
    }
}

fn choice(choice: Json<'_>) -> Option<Choice<'_>> {
    let mut choice = choice.into_object()?;
    let mut message = choice.take_object("message").unwrap_or_default();
    let mut parts = Vec::new();
    if let Some(text) = reasoning(&mut message) {
        parts.push(Part::Thinking { text, signature: None });
    }
    if let Some(text) = message.take_text("content").filter(|text| !text.is_empty()) {
        parts.push(Part::text(text));
    }
    if let Some(text) = message.take_text("refusal").filter(|text| !text.is_empty()) {
        parts.push(Part::Refusal { text });
    }
    parts.extend(message.take_list("tool_calls").unwrap_or_default().into_iter().filter_map(tool_call));
    Some(Choice { parts, stop: choice.take_text("finish_reason").map(stop), logprobs: choice.take("logprobs") })
}

/// No field of OpenAI's: vLLM, DeepSeek and others have the first, OpenRouter the second.
pub fn reasoning<'a>(message: &mut Object<'a>) -> Option<Text<'a>> {
    let text = message.take_text("reasoning_content").or_else(|| message.take_text("reasoning"));
    text.filter(|text| !text.is_empty())
}

fn tool_call(call: Json<'_>) -> Option<Part<'_>> {
    let mut call = call.into_object()?;
    let mut function = call.take_object("function")?;
    Some(Part::ToolCall {
        id: call.take_text("id").unwrap_or_default(),
        name: function.take_text("name")?,
        arguments: Arguments::Text(function.take_text("arguments").unwrap_or_default()),
        cache: None,
    })
}

pub fn stop(reason: Text<'_>) -> Stop<'_> {
    match &*reason {
        "stop" => Stop::End,
        "length" => Stop::Length,
        "tool_calls" | "function_call" => Stop::ToolCalls,
        "content_filter" => Stop::Filter,
        _ => Stop::Other(reason),
    }
}

pub fn usage(counts: &Json<'_>) -> Option<Usage> {
    let count = |key: &str| counts.get(key).and_then(Json::as_u64);
    let detail = |of: &str, key: &str| counts.get(of).and_then(|details| details.get(key)).and_then(Json::as_u64);
    Some(Usage {
        input: count("prompt_tokens")?,
        output: count("completion_tokens").unwrap_or(0),
        cached_input: detail("prompt_tokens_details", "cached_tokens"),
        cache_write_input: detail("prompt_tokens_details", "cache_write_tokens"),
        reasoning: detail("completion_tokens_details", "reasoning_tokens"),
    })
}
