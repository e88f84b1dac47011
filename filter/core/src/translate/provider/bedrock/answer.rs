//! Converse's answer, or an error of Bedrock's, in; a neutral one out. What is not known is passed over.

use crate::translate::{
    json::{Json, Object},
    neutral::*,
};

pub fn read(mut answer: Object<'_>) -> Answer<'_> {
    let message = answer.take_object("output").and_then(|mut output| output.take_object("message"));
    let content = message.and_then(|mut message| message.take_list("content")).unwrap_or_default();
    let parts = content.into_iter().filter_map(part).collect();
    let stop = answer.take_text("stopReason").map(stop);
    let usage = answer.get("usage").map(usage);
    Answer { choices: vec![Choice { parts, stop, logprobs: None }], usage, ..Answer::default() }
}

/// An error's name stands in a header.
pub fn failure(mut error: Object<'_>) -> Option<Failure<'_>> {
    let message = error.take_text("message").or_else(|| error.take_text("Message"))?;
    Some(Failure { message, ..Failure::default() })
}

/// Each block has one member.
fn part(block: Json<'_>) -> Option<Part<'_>> {
    let mut block = block.into_object()?;
    if let Some(text) = block.take_text("text") {
        return Some(Part::text(text));
    }
    if let Some(mut call) = block.take_object("toolUse") {
        return Some(Part::ToolCall {
            id: call.take_text("toolUseId")?,
            name: call.take_text("name")?,
            arguments: Arguments::Tree(call.take("input").unwrap_or_else(|| Object::new().into())),
            cache: None,
        });
    }
    let mut reasoning = block.take_object("reasoningContent")?;
    match reasoning.take_object("reasoningText") {
        Some(mut thought) => {
            Some(Part::Thinking { text: thought.take_text("text")?, signature: thought.take_text("signature") })
        }
        None => Some(Part::RedactedThinking { data: reasoning.take_text("redactedContent")? }),
    }
}

pub fn stop(reason: Text<'_>) -> Stop<'_> {
    match &*reason {
        "end_turn" => Stop::End,
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "content_filtered" | "guardrail_intervened" => Stop::Filter,
        "stop_sequence" => Stop::Sequence(None),
        "tool_use" => Stop::ToolCalls,
        _ => Stop::Other(reason),
    }
}

/// Bedrock counts cached tokens apart from the input.
pub fn usage(counts: &Json<'_>) -> Usage {
    let count = |key: &str| counts.get(key).and_then(Json::as_u64);
    let (cached_input, cache_write_input) = (count("cacheReadInputTokens"), count("cacheWriteInputTokens"));
    let fresh = count("inputTokens").unwrap_or(0);
    Usage {
        input: fresh.saturating_add(cached_input.unwrap_or(0)).saturating_add(cache_write_input.unwrap_or(0)),
        output: count("outputTokens").unwrap_or(0),
        cached_input,
        cache_write_input,
        reasoning: None,
    }
}
