//! Anthropic's message, or its error, in; a neutral one out. What is not known is passed over.

use crate::translate::{
    json::{Json, Object},
    neutral::*,
};

pub fn read(mut message: Object<'_>) -> Answer<'_> {
    let parts = message.take_list("content").unwrap_or_default().into_iter().filter_map(part).collect();
    let sequence = message.take_text("stop_sequence");
    let stop = message.take_text("stop_reason").map(|reason| stop(reason, sequence));
    Answer {
        id: message.take_text("id").unwrap_or_default(),
        model: message.take_text("model").unwrap_or_default(),
        choices: vec![Choice { parts, stop, logprobs: None }],
        usage: message.get("usage").map(|counts| usage(counts, Usage::default())),
    }
}

pub fn failure(mut error: Object<'_>) -> Option<Failure<'_>> {
    let mut error = error.take_object("error")?;
    Some(Failure { message: error.take_text("message")?, kind: error.take_text("type"), ..Failure::default() })
}

fn part(block: Json<'_>) -> Option<Part<'_>> {
    let mut block = block.into_object()?;
    match block.text("type")? {
        "text" => Some(Part::text(block.take_text("text")?)),
        "thinking" => {
            Some(Part::Thinking { text: block.take_text("thinking")?, signature: block.take_text("signature") })
        }
        "redacted_thinking" => Some(Part::RedactedThinking { data: block.take_text("data")? }),
        "tool_use" => Some(Part::ToolCall {
            id: block.take_text("id")?,
            name: block.take_text("name")?,
            arguments: Arguments::Tree(block.take("input").unwrap_or_else(|| Object::new().into())),
            cache: None,
        }),
        _ => None,
    }
}

pub fn stop<'a>(reason: Text<'a>, sequence: Option<Text<'a>>) -> Stop<'a> {
    match &*reason {
        "end_turn" => Stop::End,
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "refusal" => Stop::Filter,
        "stop_sequence" => Stop::Sequence(sequence),
        "tool_use" => Stop::ToolCalls,
        _ => Stop::Other(reason),
    }
}

/// Anthropic counts cached tokens apart from the input, and tells in a stream's last event only what has changed.
pub fn usage(counts: &Json<'_>, before: Usage) -> Usage {
    let count = |key: &str| counts.get(key).and_then(Json::as_u64);
    let cached_input = count("cache_read_input_tokens").or(before.cached_input);
    let cache_write_input = count("cache_creation_input_tokens").or(before.cache_write_input);
    let apart = |cached: Option<u64>, written: Option<u64>| cached.unwrap_or(0).saturating_add(written.unwrap_or(0));
    let fresh = count("input_tokens")
        .unwrap_or_else(|| before.input.saturating_sub(apart(before.cached_input, before.cache_write_input)));
    let thinking = counts.get("output_tokens_details").and_then(|details| details.get("thinking_tokens"));
    Usage {
        input: fresh.saturating_add(apart(cached_input, cache_write_input)),
        output: count("output_tokens").unwrap_or(before.output),
        cached_input,
        cache_write_input,
        reasoning: thinking.and_then(Json::as_u64).or(before.reasoning),
    }
}
