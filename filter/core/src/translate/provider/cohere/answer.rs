//! Cohere's answer, or an error, in; a neutral one out. What is not known is passed over, citations too.

use crate::translate::{
    json::{Json, Object},
    neutral::*,
};

pub fn read(mut answer: Object<'_>) -> Answer<'_> {
    let mut message = answer.take_object("message").unwrap_or_default();
    // What the model means to do with tools is a thought of its own.
    let plan = message.take_text("tool_plan").filter(|plan| !plan.is_empty());
    let mut parts: Vec<Part<'_>> =
        message.take_list("content").unwrap_or_default().into_iter().filter_map(part).collect();
    parts.extend(plan.map(|text| Part::Thinking { text, signature: None }));
    parts.extend(message.take_list("tool_calls").unwrap_or_default().into_iter().filter_map(tool_call));
    let stop = answer.take_text("finish_reason").map(stop);
    Answer {
        id: answer.take_text("id").unwrap_or_default(),
        choices: vec![Choice { parts, stop, logprobs: None }],
        usage: answer.get("usage").and_then(usage),
        ..Answer::default()
    }
}

/// Whether it is an answer that the model did not bring to its end.
pub fn has_failed(reason: &str) -> bool {
    matches!(reason, "ERROR" | "TIMEOUT")
}

/// What a caller hears of such a one.
pub const BROKEN_OFF: &str = "The model's server broke off the answer. Send the request again.";

pub fn failure(mut error: Object<'_>) -> Option<Failure<'_>> {
    if error.text("finish_reason").is_some() {
        return Some(Failure { message: BROKEN_OFF.into(), ..Failure::default() });
    }
    Some(Failure { message: error.take_text("message")?, ..Failure::default() })
}

fn part(block: Json<'_>) -> Option<Part<'_>> {
    let mut block = block.into_object()?;
    match block.text("type")? {
        "text" => block.take_text("text").filter(|text| !text.is_empty()).map(Part::text),
        "thinking" => Some(Part::Thinking { text: block.take_text("thinking")?, signature: None }),
        _ => None,
    }
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
        "COMPLETE" => Stop::End,
        "MAX_TOKENS" => Stop::Length,
        "STOP_SEQUENCE" => Stop::Sequence(None),
        "TOOL_CALL" => Stop::ToolCalls,
        _ => Stop::Other(reason),
    }
}

/// What the model read and wrote, which is more than what is billed.
pub fn usage(counts: &Json<'_>) -> Option<Usage> {
    let tokens = counts.get("tokens").or_else(|| counts.get("billed_units"))?;
    let count = |key: &str| tokens.get(key).and_then(Json::to_u64);
    Some(Usage {
        input: count("input_tokens")?,
        output: count("output_tokens").unwrap_or(0),
        cached_input: counts.get("cached_tokens").and_then(Json::to_u64),
        cache_write_input: None,
        reasoning: None,
    })
}
