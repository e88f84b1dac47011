//! Cohere's chat and embed of its second version: a request in, `Ask` out; what the mock says in, the JSON and the events that
//! `cohere`'s types accept out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::ask::{Ask, Choice, Tool, texts};
use super::behaviour::Behaviour;
use super::frames::{Frames, Kind};
use super::openai::{request, to_bytes};
use super::say::{Counts, Finish, Said, logprob, vectors};
use super::text;

/// In how many parts a stream brings a call's arguments.
const ARGUMENT_PARTS: usize = 3;
/// What the model says that it is going to do when it calls tools.
const PLAN: &str = "I will look at the water.";

/// Reads a chat request.
pub fn chat(body: &Value) -> Result<Ask, String> {
    let model = body["model"].as_str().ok_or("invalid request: model is required")?.to_owned();
    let messages = body["messages"].as_array().filter(|messages| !messages.is_empty());
    let messages = messages.ok_or("invalid request: list of messages must not be empty")?;
    let results = conversation(messages)?;
    let format = &body["response_format"];
    let mut ask = Ask {
        model,
        stream: body["stream"] == true,
        max_tokens: body["max_tokens"].as_u64(),
        prompt_tokens: messages.iter().map(|message| text::count(&texts(&message["content"]))).sum(),
        stop: request::strings(&body["stop_sequences"]),
        results,
        json: (format["type"] == "json_object").then(|| {
            let schemas = [&format["schema"], &format["json_schema"]];
            schemas.into_iter().find(|one| one.is_object()).cloned().unwrap_or(json!({"type": "object"}))
        }),
        reasoning: body["thinking"]["type"] == "enabled",
        logprobs: body["logprobs"] == true,
        ..Ask::default()
    };
    let tools = body["tools"].as_array().into_iter().flatten().map(request::tool).collect::<Result<Vec<Tool>, _>>()?;
    let choice = match body["tool_choice"].as_str() {
        Some("REQUIRED") => Choice::Any,
        Some("NONE") => Choice::None,
        None if body["tool_choice"].is_null() => Choice::Auto,
        _ => return Err("invalid request: tool_choice must be one of REQUIRED, NONE".to_owned()),
    };
    ask.offer(tools, &choice, true)?;
    Ok(ask)
}

/// Checks that tool messages answer calls; the texts of those with which the messages end.
fn conversation(messages: &[Value]) -> Result<Option<String>, String> {
    let mut called: Vec<&str> = Vec::new();
    let mut ending = Vec::new();
    for (n, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        match role {
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                if !called.contains(&id) {
                    return Err(format!(
                        "invalid request: tool call id `{id}` not found in previous tool calls, at messages[{n}]"
                    ));
                }
                ending.push(documents(&message["content"]));
            }
            "user" | "system" | "developer" | "assistant" => {
                ending.clear();
                let calls = message["tool_calls"].as_array().into_iter().flatten();
                called = calls.filter_map(|call| call["id"].as_str()).collect();
                if called.is_empty() && texts(&message["content"]).is_empty() && !message["content"].is_array() {
                    return Err(format!(
                        "invalid request: message at messages[{n}] must have non-empty content or tool calls"
                    ));
                }
            }
            _ => {
                return Err(format!(
                    "invalid request: messages[{n}].role must be one of user, assistant, system, tool; found `{role}`"
                ));
            }
        }
    }
    Ok((!ending.is_empty()).then(|| ending.join(" ")))
}

/// A tool's result is a text, or documents whose `data` is a text or an object.
fn documents(content: &Value) -> String {
    let Value::Array(parts) = content else { return texts(content) };
    let part = |part: &Value| match &part["document"]["data"] {
        Value::Null => texts(part),
        Value::String(text) => text.clone(),
        data => data.to_string(),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(" ")
}

/// Reads an embed request.
pub fn embed(body: &Value) -> Result<Ask, String> {
    let model = body["model"].as_str().ok_or("invalid request: model is required")?.to_owned();
    if !body["input_type"].is_string() {
        return Err("invalid request: valid input_type must be provided with the provided model".to_owned());
    }
    let inputs = match (&body["texts"], &body["inputs"]) {
        (Value::Array(texts), _) => texts.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        (_, Value::Array(inputs)) => inputs.iter().map(|input| texts(&input["content"])).collect::<Vec<_>>(),
        _ => {
            return Err(
                "invalid request: one of texts, images or inputs must be provided; the mock embeds texts".to_owned()
            );
        }
    };
    let kinds = request::strings(&body["embedding_types"]);
    if let Some(other) = kinds.iter().find(|kind| !matches!(kind.as_str(), "float" | "base64")) {
        return Err(format!("invalid request: embedding_types: the mock has float and base64, not {other}"));
    }
    Ok(Ask {
        model,
        prompt_tokens: inputs.iter().map(|input| text::count(input)).sum(),
        dimensions: body["output_dimension"].as_u64().and_then(|n| usize::try_from(n).ok()),
        base64: kinds.iter().any(|kind| kind == "base64"),
        inputs,
        ..Ask::default()
    })
}

/// The answer of embed.
pub fn embeddings(ask: &Ask, orders: &Behaviour, id: &str) -> Bytes {
    let all: Vec<Vec<f32>> = vectors(ask).collect();
    let mut kinds = json!({"float": all});
    if ask.base64 {
        let packed =
            |vector: &Vec<f32>| STANDARD.encode(vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        kinds = json!({"base64": all.iter().map(packed).collect::<Vec<_>>()});
    }
    let mut meta = json!({"api_version": {"version": "2"}});
    if let Some(usage) = orders.usage_or(json!({"input_tokens": ask.prompt_tokens})) {
        meta["billed_units"] = usage;
    }
    to_bytes(
        &json!({"id": id, "embeddings": kinds, "texts": ask.inputs, "meta": meta, "response_type": "embeddings_by_type"}),
    )
}

/// The whole answer as one JSON object.
pub fn whole(said: &Said<'_>) -> Bytes {
    let mut message = Map::from_iter([("role".to_owned(), json!("assistant"))]);
    let mut content = Vec::new();
    if let Some(thinking) = &said.reasoning {
        content.push(json!({"type": "thinking", "thinking": thinking}));
    }
    if !said.content.is_empty() || said.calls.is_empty() {
        content.push(json!({"type": "text", "text": said.content}));
    }
    if !content.is_empty() {
        message.insert("content".to_owned(), json!(content));
    }
    if !said.calls.is_empty() {
        let calls: Vec<Value> = said.calls.iter().map(super::openai::tool_call).collect();
        message.insert("tool_plan".to_owned(), json!(PLAN));
        message.insert("tool_calls".to_owned(), json!(calls));
    }
    let mut answer = json!({"id": said.id, "finish_reason": finish_reason(&said.finish), "message": message});
    if let Some(usage) = said.usage(usage) {
        answer["usage"] = json!(usage);
    }
    if said.logprobs {
        let tokens = text::pieces(&said.content, None);
        let one = |token: &&str| json!({"text": token, "token_ids": [1], "logprobs": [logprob(token)]});
        answer["logprobs"] = json!(tokens.iter().map(one).collect::<Vec<_>>());
    }
    to_bytes(&answer)
}

/// All events of a stream in order, then `[DONE]`.
pub fn stream(said: &Said<'_>, frames: &mut Frames) {
    let mut push = |kind, name: &'static str, mut event: Value| {
        event["type"] = json!(name);
        frames.push(kind, name, &event);
    };
    let message = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    push(Kind::Other, "message-start", json!({"id": said.id, "delta": {"message": message}}));
    let content = |index: u64, content: Value| json!({"index": index, "delta": {"message": {"content": content}}});
    let mut index = 0_u64;
    if let Some(thinking) = &said.reasoning {
        push(Kind::Other, "content-start", content(index, json!({"type": "thinking", "thinking": ""})));
        for piece in text::pieces(thinking, None) {
            push(Kind::Other, "content-delta", content(index, json!({"thinking": piece})));
        }
        push(Kind::Other, "content-end", json!({"index": index}));
        index = index.saturating_add(1);
    }
    if !said.content.is_empty() || said.calls.is_empty() {
        push(Kind::Other, "content-start", content(index, json!({"type": "text", "text": ""})));
        for piece in said.pieces() {
            push(Kind::Content, "content-delta", content(index, json!({"text": piece})));
        }
        push(Kind::Other, "content-end", json!({"index": index}));
    }
    if !said.calls.is_empty() {
        for piece in text::pieces(PLAN, None) {
            push(Kind::Other, "tool-plan-delta", json!({"delta": {"message": {"tool_plan": piece}}}));
        }
    }
    for (index, call) in said.calls.iter().enumerate() {
        let delta = |call: Value| json!({"index": index, "delta": {"message": {"tool_calls": call}}});
        let mut first = super::openai::tool_call(call);
        first["function"]["arguments"] = json!("");
        push(Kind::Other, "tool-call-start", delta(first));
        let arguments = call.arguments.to_string();
        for piece in text::pieces(&arguments, Some(ARGUMENT_PARTS)) {
            push(Kind::Content, "tool-call-delta", delta(json!({"function": {"arguments": piece}})));
        }
        push(Kind::Other, "tool-call-end", json!({"index": index}));
    }
    let mut last = json!({"finish_reason": finish_reason(&said.finish)});
    if let Some(usage) = said.usage(usage) {
        last["usage"] = json!(usage);
    }
    push(Kind::End, "message-end", json!({"id": said.id, "delta": last}));
    frames.push_raw(Kind::End, b"data: [DONE]\n\n");
}

/// The event by which a stream fails.
pub fn stream_error(frames: &mut Frames, message: &str) {
    let delta = json!({"finish_reason": "ERROR", "error": message});
    frames.push(Kind::Error, "message-end", &json!({"type": "message-end", "delta": delta}));
}

pub fn error(message: &str, id: &str) -> Bytes {
    to_bytes(&json!({"id": id, "message": message}))
}

fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop => "COMPLETE",
        Finish::Length => "MAX_TOKENS",
        Finish::Calls => "TOOL_CALL",
        Finish::Sequence(_) => "STOP_SEQUENCE",
    }
}

fn usage(counts: &Counts) -> Value {
    let tokens = json!({"input_tokens": counts.prompt, "output_tokens": counts.completion});
    json!({"billed_units": tokens, "tokens": tokens, "cached_tokens": counts.cached})
}

#[cfg(test)]
#[path = "cohere_tests.rs"]
mod tests;
