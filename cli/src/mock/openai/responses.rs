//! OpenAI's Responses API: a request in, `Ask` out; an answer in, the response object or its typed events out.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{CREATED, request, to_bytes};
use crate::mock::ask::{Ask, texts};
use crate::mock::frames::{Frames, Kind};
use crate::mock::say::{Call, Counts, Finish, Said};
use crate::mock::text;

/// In how many parts a stream brings a call's arguments.
const ARGUMENT_PARTS: usize = 3;

/// Reads a request. The error is the 400's message.
pub fn read(body: &Value, model: Option<String>) -> Result<Ask, String> {
    let model = model.or_else(|| body["model"].as_str().map(str::to_owned)).ok_or("you must provide a `model`")?;
    let input = match &body["input"] {
        Value::String(text) if !text.is_empty() => &[],
        Value::Array(items) if !items.is_empty() => items.as_slice(),
        _ => return Err("`input`: expected a text or at least one item".to_owned()),
    };
    let prompt = [&body["instructions"], &body["input"]].map(|part| text::count(&texts(part)));
    let mut ask = Ask {
        model,
        stream: body["stream"] == true,
        max_tokens: body["max_output_tokens"].as_u64(),
        prompt_tokens: prompt.iter().sum(),
        results: results(input, body["previous_response_id"].is_string())?,
        json: request::json(&body["text"]["format"])?,
        reasoning: body["reasoning"].is_object(),
        ..Ask::default()
    };
    let tools = body["tools"].as_array().into_iter().flatten().filter(|tool| tool["type"] == "function");
    let tools = tools.map(request::tool).collect::<Result<Vec<_>, _>>()?;
    let choice = request::choice(&body["tool_choice"])?;
    ask.offer(tools, &choice, body["parallel_tool_calls"] != false)?;
    Ok(ask)
}

/// Checks that outputs answer calls (those of a response before are not known), and gives the text of those at the end.
fn results(input: &[Value], continued: bool) -> Result<Option<String>, String> {
    let of = |kind: &'static str| input.iter().filter(move |item| item["type"] == kind);
    let id = |item: &'_ Value| item["call_id"].as_str().unwrap_or_default().to_owned();
    let calls: Vec<String> = of("function_call").map(id).collect();
    let outputs: Vec<String> = of("function_call_output").map(id).collect();
    if let Some(id) = outputs.iter().find(|id| !continued && !calls.contains(id)) {
        return Err(format!("No tool call found for function call output with call_id {id}."));
    }
    if let Some(id) = calls.iter().find(|id| !outputs.contains(id)) {
        return Err(format!("No tool output found for function call {id}."));
    }
    let ending = input.iter().rev().take_while(|item| item["type"] == "function_call_output");
    let mut said: Vec<String> = ending.map(|item| texts(&item["output"])).collect();
    said.reverse();
    Ok((!said.is_empty()).then(|| said.join(" ")))
}

/// The whole answer as one JSON object.
pub fn whole(said: &Said<'_>) -> Bytes {
    to_bytes(&response(said, finished(said), items(said)))
}

/// All events of a stream in order.
pub fn stream(said: &Said<'_>, frames: &mut Frames) {
    let mut events = Events { frames, number: 0 };
    let begun = response(said, "in_progress", Vec::new());
    events.push(Kind::Other, "response.created", json!({"response": begun}));
    events.push(Kind::Other, "response.in_progress", json!({"response": begun}));
    for (index, item) in items(said).into_iter().enumerate() {
        let mut added = item.clone();
        for (key, empty) in [("content", json!([])), ("summary", json!([])), ("arguments", json!(""))] {
            if let Some(value) = added.get_mut(key) {
                *value = empty;
            }
        }
        if let Some(status) = added.get_mut("status") {
            *status = json!("in_progress");
        }
        events.push(Kind::Other, "response.output_item.added", json!({"output_index": index, "item": added}));
        let at = json!({"item_id": item["id"], "output_index": index});
        match item["type"].as_str() {
            Some("message") => events.text(said, &at, &item["content"][0]),
            Some("reasoning") => events.summary(&at, &item["summary"][0]),
            _ => events.arguments(&at, &item),
        }
        events.push(Kind::Other, "response.output_item.done", json!({"output_index": index, "item": item}));
    }
    let name = if said.finish == Finish::Length { "response.incomplete" } else { "response.completed" };
    events.push(Kind::End, name, json!({"response": response(said, finished(said), items(said))}));
}

/// The event by which a stream fails.
pub fn stream_error(frames: &mut Frames, message: &str) {
    let error =
        json!({"type": "error", "code": "server_error", "message": message, "param": null, "sequence_number": 0});
    frames.push(Kind::Error, "error", &error);
}

/// The events of a stream, each with its name and its number in it.
struct Events<'a> {
    frames: &'a mut Frames,
    number: u64,
}

impl Events<'_> {
    fn push(&mut self, kind: Kind, name: &'static str, mut event: Value) {
        event["type"] = json!(name);
        event["sequence_number"] = json!(self.number);
        self.number = self.number.saturating_add(1);
        self.frames.push(kind, name, &event);
    }

    fn text(&mut self, said: &Said<'_>, at: &Value, whole: &Value) {
        let at = with(at, json!({"content_index": 0}));
        let empty = with(whole, json!({"text": ""}));
        self.push(Kind::Other, "response.content_part.added", with(&at, json!({"part": empty})));
        for piece in said.pieces() {
            let delta = with(&at, json!({"delta": piece, "logprobs": []}));
            self.push(Kind::Content, "response.output_text.delta", delta);
        }
        let done = with(&at, json!({"text": said.content, "logprobs": []}));
        self.push(Kind::Other, "response.output_text.done", done);
        self.push(Kind::Other, "response.content_part.done", with(&at, json!({"part": whole})));
    }

    fn summary(&mut self, at: &Value, whole: &Value) {
        let at = with(at, json!({"summary_index": 0}));
        let empty = with(whole, json!({"text": ""}));
        self.push(Kind::Other, "response.reasoning_summary_part.added", with(&at, json!({"part": empty})));
        for piece in text::pieces(whole["text"].as_str().unwrap_or_default(), None) {
            self.push(Kind::Other, "response.reasoning_summary_text.delta", with(&at, json!({"delta": piece})));
        }
        let done = with(&at, json!({"text": whole["text"]}));
        self.push(Kind::Other, "response.reasoning_summary_text.done", done);
        self.push(Kind::Other, "response.reasoning_summary_part.done", with(&at, json!({"part": whole})));
    }

    fn arguments(&mut self, at: &Value, call: &Value) {
        for piece in text::pieces(call["arguments"].as_str().unwrap_or_default(), Some(ARGUMENT_PARTS)) {
            let delta = with(at, json!({"delta": piece}));
            self.push(Kind::Content, "response.function_call_arguments.delta", delta);
        }
        let done = with(at, json!({"arguments": call["arguments"], "name": call["name"]}));
        self.push(Kind::Other, "response.function_call_arguments.done", done);
    }
}

fn with(object: &Value, more: Value) -> Value {
    let mut all = object.clone();
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more);
    }
    all
}

fn finished(said: &Said<'_>) -> &'static str {
    if said.finish == Finish::Length { "incomplete" } else { "completed" }
}

/// What is said, as output items: reasoning, a message, calls.
fn items(said: &Said<'_>) -> Vec<Value> {
    let mut items = Vec::new();
    if let Some(reasoning) = &said.reasoning {
        let summary = json!([{"type": "summary_text", "text": reasoning}]);
        items.push(json!({"id": format!("rs_{}", said.id), "type": "reasoning", "summary": summary}));
    }
    if !said.content.is_empty() || said.calls.is_empty() {
        let part = json!({"type": "output_text", "text": said.content, "annotations": [], "logprobs": []});
        items.push(json!({"id": format!("msg_{}", said.id), "type": "message", "role": "assistant",
            "status": finished(said), "content": [part]}));
    }
    items.extend(said.calls.iter().map(called));
    items
}

fn called(call: &Call) -> Value {
    json!({"id": format!("fc_{}", call.id), "type": "function_call", "status": "completed",
        "call_id": format!("call_{}", call.id), "name": call.name, "arguments": call.arguments.to_string()})
}

fn response(said: &Said<'_>, status: &str, output: Vec<Value>) -> Value {
    let incomplete = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
    let usage = (status != "in_progress").then(|| said.usage(usage)).flatten();
    json!({
        "id": format!("resp_{}", said.id), "object": "response", "created_at": CREATED, "status": status,
        "background": false, "error": null, "incomplete_details": incomplete, "instructions": null,
        "max_output_tokens": null, "metadata": {}, "model": said.model, "output": output,
        "parallel_tool_calls": true, "previous_response_id": null, "reasoning": {"effort": null, "summary": null},
        "service_tier": "default", "store": false, "temperature": 1.0, "text": {"format": {"type": "text"}},
        "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": usage, "user": null,
    })
}

fn usage(counts: &Counts) -> Value {
    json!({
        "input_tokens": counts.prompt,
        "input_tokens_details": {"cached_tokens": counts.cached, "cache_write_tokens": counts.written},
        "output_tokens": counts.completion,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning},
        "total_tokens": counts.total(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::behaviour::Behaviour;
    use crate::mock::frames::Framing;
    use crate::mock::say::Report;

    #[test]
    fn a_request_is_read() {
        let call = json!({"type": "function_call", "call_id": "c", "name": "a", "arguments": "{}"});
        let output = json!({"type": "function_call_output", "call_id": "c", "output": "7 m"});
        let body = |input: Value| {
            json!({"model": "m", "instructions": "be brief", "input": input,
            "tools": [{"type": "function", "name": "a", "parameters": {}}, {"type": "web_search"}]})
        };
        let ask = read(&body(json!("how deep")), None).unwrap();
        assert_eq!((ask.prompt_tokens, ask.tools.len(), ask.results), (4, 1, None));
        let ask = read(&body(json!([call, output])), None).unwrap();
        assert_eq!((ask.tools.len(), ask.results.as_deref()), (0, Some("7 m")));
        for (input, message) in [
            (json!([]), "`input`"),
            (json!([call]), "No tool output found for function call c"),
            (json!([output]), "No tool call found"),
        ] {
            assert!(read(&body(input), None).is_err_and(|why| why.contains(message)), "{message}");
        }
    }

    #[test]
    fn the_events_end_in_the_whole_answer() {
        let said = Said {
            id: "1".to_owned(),
            model: "m",
            content: "one two".to_owned(),
            reasoning: Some("so".to_owned()),
            calls: vec![Call { id: "2".to_owned(), name: "a".to_owned(), arguments: json!({"b": 1}) }],
            report: Report::Counted,
            ..Said::default()
        };
        let mut frames = Frames::new(Framing::Sse);
        stream(&said, &mut frames);
        let text = String::from_utf8(frames.finish(&Behaviour::default()).concat()).unwrap();
        let events: Vec<Value> =
            text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
        let numbered = events.iter().enumerate().all(|(n, event)| event["sequence_number"] == n);
        assert!(numbered, "{text}");
        let whole: Value = serde_json::from_slice(&whole(&said)).unwrap();
        assert_eq!(events.last().unwrap()["response"], whole);
        let deltas = |name: &str| -> String {
            events.iter().filter(|event| event["type"] == name).filter_map(|event| event["delta"].as_str()).collect()
        };
        assert_eq!(deltas("response.output_text.delta"), "one two");
        assert_eq!(deltas("response.function_call_arguments.delta"), r#"{"b":1}"#);
        assert_eq!(deltas("response.reasoning_summary_text.delta"), "so");
    }
}
