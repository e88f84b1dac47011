//! Anthropic's Messages API: what the mock says, as the JSON and the events that `anthropic`'s types accept. An answer comes in,
//! bytes come out; requests are read in [`request`].

pub mod request;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::ask::Ask;
use super::frames::{Frames, Kind};
use super::openai::to_bytes;
use super::say::{Call, Counts, Finish, Said};
use super::text;

/// What a thinking block is signed with; a request that brings back another one is refused.
pub const SIGNATURE: &str = "d2Vpci1tb2NrLXNpZ25hdHVyZQ==";
/// In how many parts a stream brings a call's arguments.
const ARGUMENT_PARTS: usize = 3;
/// `created_at` of every model.
const CREATED: &str = "2023-11-14T22:13:20Z";

/// The whole answer as one JSON object.
pub fn whole(said: &Said<'_>) -> Bytes {
    let mut content = Vec::new();
    if let Some(thinking) = &said.reasoning {
        content.push(json!({"type": "thinking", "thinking": thinking, "signature": SIGNATURE}));
    }
    if !said.content.is_empty() || said.calls.is_empty() {
        content.push(json!({"type": "text", "text": said.content}));
    }
    content.extend(said.calls.iter().map(|call| called(call, call.arguments.clone())));
    let (stop_reason, stop_sequence) = stop(&said.finish);
    let mut message = message(said, content);
    message.insert("stop_reason".to_owned(), json!(stop_reason));
    message.insert("stop_sequence".to_owned(), json!(stop_sequence));
    if let Some(usage) = said.usage(usage) {
        message.insert("usage".to_owned(), json!(usage));
    }
    to_bytes(&message)
}

/// All events of a stream in order.
pub fn stream(said: &Said<'_>, frames: &mut Frames) {
    let mut begun = message(said, Vec::new());
    if let Some(usage) = said.usage(usage) {
        begun.insert("usage".to_owned(), at_begin(json!(usage)));
    }
    frames.push(Kind::Other, "message_start", &json!({"type": "message_start", "message": begun}));
    let mut blocks = Blocks { frames, index: 0 };
    if let Some(thinking) = &said.reasoning {
        blocks.begin(json!({"type": "thinking", "thinking": "", "signature": ""}));
        for piece in text::pieces(thinking, None) {
            blocks.delta(Kind::Other, json!({"type": "thinking_delta", "thinking": piece}));
        }
        blocks.delta(Kind::Other, json!({"type": "signature_delta", "signature": SIGNATURE}));
        blocks.end();
    }
    if !said.content.is_empty() || said.calls.is_empty() {
        blocks.begin(json!({"type": "text", "text": ""}));
        for piece in said.pieces() {
            blocks.delta(Kind::Content, json!({"type": "text_delta", "text": piece}));
        }
        blocks.end();
    }
    for call in &said.calls {
        blocks.begin(called(call, json!({})));
        let arguments = call.arguments.to_string();
        // The first part is empty, as Anthropic sends it.
        for piece in [""].into_iter().chain(text::pieces(&arguments, Some(ARGUMENT_PARTS))) {
            blocks.delta(Kind::Content, json!({"type": "input_json_delta", "partial_json": piece}));
        }
        blocks.end();
    }
    let (stop_reason, stop_sequence) = stop(&said.finish);
    let delta = json!({"stop_reason": stop_reason, "stop_sequence": stop_sequence});
    let mut last = json!({"type": "message_delta", "delta": delta});
    if let (Some(usage), Some(last)) = (said.usage(usage), last.as_object_mut()) {
        last.insert("usage".to_owned(), at_end(json!(usage)));
    }
    frames.push(Kind::Other, "message_delta", &last);
    frames.push(Kind::End, "message_stop", &json!({"type": "message_stop"}));
}

/// The content blocks of a stream, one after the other.
struct Blocks<'a> {
    frames: &'a mut Frames,
    index: u64,
}

impl Blocks<'_> {
    fn begin(&mut self, block: Value) {
        let event = json!({"type": "content_block_start", "index": self.index, "content_block": block});
        self.frames.push(Kind::Other, "content_block_start", &event);
        if self.index == 0 {
            self.frames.push(Kind::Other, "ping", &json!({"type": "ping"}));
        }
    }

    fn delta(&mut self, kind: Kind, delta: Value) {
        let event = json!({"type": "content_block_delta", "index": self.index, "delta": delta});
        self.frames.push(kind, "content_block_delta", &event);
    }

    fn end(&mut self) {
        let event = json!({"type": "content_block_stop", "index": self.index});
        self.frames.push(Kind::Other, "content_block_stop", &event);
        self.index = self.index.saturating_add(1);
    }
}

/// The answer of `count_tokens`.
pub fn count(ask: &Ask) -> Bytes {
    to_bytes(&json!({"input_tokens": ask.prompt_tokens}))
}

/// The list of models.
pub fn models(names: &[String]) -> Bytes {
    let data = names.iter().map(|id| json!({"type": "model", "id": id, "display_name": id, "created_at": CREATED}));
    let (first, last) = (names.first(), names.last());
    to_bytes(&json!({"data": data.collect::<Vec<_>>(), "has_more": false, "first_id": first, "last_id": last}))
}

/// An error in Anthropic's shape.
pub fn error(status: StatusCode, message: &str, id: &str) -> Bytes {
    let mut error = error_object(kind(status), message);
    if let Some(error) = error.as_object_mut() {
        error.insert("request_id".to_owned(), json!(format!("req_{id}")));
    }
    to_bytes(&error)
}

/// The event by which a stream fails.
pub fn stream_error(frames: &mut Frames, message: &str) {
    frames.push(Kind::Error, "error", &error_object("overloaded_error", message));
}

fn error_object(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

/// The types of errors that Anthropic documents for its statuses.
fn kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

fn message(said: &Said<'_>, content: Vec<Value>) -> Map<String, Value> {
    let id = format!("msg_{}", said.id);
    let fields = [
        ("id", json!(id)),
        ("type", json!("message")),
        ("role", json!("assistant")),
        ("model", json!(said.model)),
        ("content", json!(content)),
        ("stop_reason", Value::Null),
        ("stop_sequence", Value::Null),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn called(call: &Call, input: Value) -> Value {
    json!({"type": "tool_use", "id": format!("toolu_{}", call.id), "name": call.name, "input": input})
}

fn stop(finish: &Finish) -> (&'static str, Option<&str>) {
    match finish {
        Finish::Stop => ("end_turn", None),
        Finish::Length => ("max_tokens", None),
        Finish::Calls => ("tool_use", None),
        Finish::Sequence(stop) => ("stop_sequence", Some(stop)),
    }
}

/// Anthropic's input tokens are those that no cache had a part in.
fn usage(counts: &Counts) -> Value {
    json!({
        "input_tokens": counts.fresh(),
        "cache_creation_input_tokens": counts.written,
        "cache_read_input_tokens": counts.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": counts.written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": counts.completion,
        "output_tokens_details": {"thinking_tokens": counts.reasoning},
        "service_tier": "standard",
    })
}

/// At a stream's begin one token of the answer is there.
fn at_begin(mut usage: Value) -> Value {
    if let Some(output) = usage.get_mut("output_tokens") {
        *output = json!(output.as_u64().unwrap_or(0).min(1));
    }
    if let Some(thinking) = usage.pointer_mut("/output_tokens_details/thinking_tokens") {
        *thinking = json!(0);
    }
    usage
}

/// At its end come the totals, without the parts of the cache and the tier.
fn at_end(mut usage: Value) -> Value {
    if let Some(usage) = usage.as_object_mut() {
        usage.remove("cache_creation");
        usage.remove("service_tier");
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::super::behaviour::Behaviour;
    use super::super::frames::Framing;
    use super::super::say::Report;
    use super::*;

    fn said() -> Said<'static> {
        Said {
            id: "1".to_owned(),
            model: "claude",
            content: "one two".to_owned(),
            reasoning: Some("so".to_owned()),
            calls: vec![Call { id: "100".to_owned(), name: "depth".to_owned(), arguments: json!({"at": "weir"}) }],
            finish: Finish::Calls,
            choices: 1,
            counts: Counts { prompt: 9, completion: 6, cached: 4, written: 2, reasoning: 1 },
            report: Report::Counted,
            ..Said::default()
        }
    }

    #[test]
    fn a_whole_answer() {
        let got: Value = serde_json::from_slice(&whole(&said())).unwrap();
        let kinds: Vec<_> = got["content"].as_array().unwrap().iter().map(|block| block["type"].clone()).collect();
        assert_eq!(kinds, ["thinking", "text", "tool_use"]);
        assert_eq!(
            got["content"][2],
            json!({"type": "tool_use", "id": "toolu_100", "name": "depth", "input": {"at": "weir"}})
        );
        assert_eq!((&got["stop_reason"], &got["usage"]["input_tokens"]), (&json!("tool_use"), &json!(3)));
        assert_eq!(got["usage"]["cache_read_input_tokens"], 4);
    }

    #[test]
    fn the_order_of_a_stream() {
        let mut frames = Frames::new(Framing::Sse);
        stream(&said(), &mut frames);
        let text = String::from_utf8(frames.finish(&Behaviour::default()).concat()).unwrap();
        let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        let block = |deltas: usize| {
            let deltas = vec!["content_block_delta"; deltas];
            [vec!["content_block_start"], deltas, vec!["content_block_stop"]].concat()
        };
        let mut want =
            [vec!["message_start"], block(2), block(2), block(4), vec!["message_delta", "message_stop"]].concat();
        want.insert(2, "ping");
        assert_eq!(names, want);
        for part in [
            r#""stop_reason":null,"stop_sequence":null,"type":"message","usage":{"cache_creation":"#,
            r#""delta":{"partial_json":"","type":"input_json_delta"}"#,
            r#""output_tokens":1,"output_tokens_details":{"thinking_tokens":0},"service_tier""#,
            r#""usage":{"cache_creation_input_tokens":2,"cache_read_input_tokens":4,"input_tokens":3,"output_tokens":6,"output_tokens_details":{"thinking_tokens":1}}"#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
