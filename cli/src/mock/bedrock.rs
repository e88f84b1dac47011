//! Amazon Bedrock's Converse and ConverseStream, and InvokeModel for embeddings: what the mock says, as the JSON and the binary
//! events that `botocore` takes. An answer comes in, bytes come out. Requests are read in [`request`], signatures in [`sigv4`].

pub mod request;
pub mod sigv4;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::ask::Ask;
use super::behaviour::Behaviour;
use super::frames::{Frames, Kind};
use super::openai::to_bytes;
use super::say::{Counts, Finish, Said, vectors};
use super::text;

pub const SIGNATURE: &str = "d2Vpci1tb2NrLXNpZ25hdHVyZQ==";
/// In how many parts a stream brings a call's arguments.
const ARGUMENT_PARTS: usize = 3;
/// What Bedrock adds to its events, so that their lengths say less.
const PADDING: &str = "abcdefghijk";

/// The whole answer of Converse.
pub fn whole(said: &Said<'_>) -> Bytes {
    let mut content = Vec::new();
    if let Some(text) = &said.reasoning {
        content.push(json!({"reasoningContent": {"reasoningText": {"text": text, "signature": SIGNATURE}}}));
    }
    if !said.content.is_empty() || said.calls.is_empty() {
        content.push(json!({"text": said.content}));
    }
    content.extend(said.calls.iter().map(|call| {
        json!({"toolUse": {"toolUseId": format!("tooluse_{}", call.id), "name": call.name, "input": call.arguments}})
    }));
    let mut answer = Map::new();
    answer.insert("output".to_owned(), json!({"message": {"role": "assistant", "content": content}}));
    answer.insert("stopReason".to_owned(), json!(stop_reason(&said.finish)));
    metrics(said, &mut answer);
    to_bytes(&answer)
}

/// All events of ConverseStream in order. A text has no start, as Bedrock has it.
pub fn stream(said: &Said<'_>, frames: &mut Frames) {
    let mut push = |kind, name, mut event: Value| {
        event["p"] = json!(PADDING);
        frames.push(kind, name, &event);
    };
    push(Kind::Other, "messageStart", json!({"role": "assistant"}));
    let mut index = 0_u64;
    let delta = |index: u64, delta: Value| json!({"contentBlockIndex": index, "delta": delta});
    let stop = |index: u64| json!({"contentBlockIndex": index});
    if let Some(text) = &said.reasoning {
        for piece in text::pieces(text, None) {
            push(Kind::Other, "contentBlockDelta", delta(index, json!({"reasoningContent": {"text": piece}})));
        }
        push(Kind::Other, "contentBlockDelta", delta(index, json!({"reasoningContent": {"signature": SIGNATURE}})));
        push(Kind::Other, "contentBlockStop", stop(index));
        index = index.saturating_add(1);
    }
    if !said.content.is_empty() || said.calls.is_empty() {
        for piece in said.pieces() {
            push(Kind::Content, "contentBlockDelta", delta(index, json!({"text": piece})));
        }
        push(Kind::Other, "contentBlockStop", stop(index));
        index = index.saturating_add(1);
    }
    for call in &said.calls {
        let start = json!({"toolUse": {"toolUseId": format!("tooluse_{}", call.id), "name": call.name}});
        push(Kind::Other, "contentBlockStart", json!({"contentBlockIndex": index, "start": start}));
        let arguments = call.arguments.to_string();
        for piece in text::pieces(&arguments, Some(ARGUMENT_PARTS)) {
            push(Kind::Content, "contentBlockDelta", delta(index, json!({"toolUse": {"input": piece}})));
        }
        push(Kind::Other, "contentBlockStop", stop(index));
        index = index.saturating_add(1);
    }
    push(Kind::End, "messageStop", json!({"stopReason": stop_reason(&said.finish)}));
    let mut last = Map::new();
    metrics(said, &mut last);
    push(Kind::End, "metadata", Value::Object(last));
}

fn metrics(said: &Said<'_>, into: &mut Map<String, Value>) {
    if let Some(usage) = said.usage(usage) {
        into.insert("usage".to_owned(), json!(usage));
    }
    into.insert("metrics".to_owned(), json!({"latencyMs": 1}));
}

/// Bedrock's input tokens are those that no cache had a part in; its total holds all.
fn usage(counts: &Counts) -> Value {
    json!({
        "inputTokens": counts.fresh(),
        "outputTokens": counts.completion,
        "totalTokens": counts.total(),
        "cacheReadInputTokens": counts.cached,
        "cacheWriteInputTokens": counts.written,
    })
}

fn stop_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::Calls => "tool_use",
        Finish::Sequence(_) => "stop_sequence",
    }
}

/// The answer of an embeddings model: Cohere's where the model is Cohere's, else Titan's.
pub fn invoked(ask: &Ask, orders: &Behaviour) -> Bytes {
    let mut all: Vec<Vec<f32>> = vectors(ask).collect();
    if ask.model.contains("cohere.") {
        let (id, kind) = ("weir-mock", "embeddings_floats");
        return to_bytes(&json!({"id": id, "embeddings": all, "texts": ask.inputs, "response_type": kind}));
    }
    let vector = all.pop().unwrap_or_default();
    let mut answer = json!({"embedding": vector, "embeddingsByType": {"float": vector}});
    // Titan's usage is one key of the answer itself.
    let usage = orders.usage_or(json!({"inputTextTokenCount": ask.prompt_tokens}));
    if let (Some(Value::Object(usage)), Some(answer)) = (usage, answer.as_object_mut()) {
        answer.extend(usage);
    }
    to_bytes(&answer)
}

pub fn error(message: &str) -> Bytes {
    to_bytes(&json!({"message": message}))
}

/// The event by which a stream fails.
pub fn stream_error(frames: &mut Frames, message: &str) {
    let error = json!({"message": message, "originalStatusCode": 500, "originalMessage": message});
    frames.push(Kind::Error, "modelStreamErrorException", &error);
}

/// What the header `x-amzn-errortype` calls an error.
pub fn error_type(status: StatusCode, message: &str) -> &'static str {
    match status.as_u16() {
        403 if message.starts_with("Missing Authentication") => "MissingAuthenticationTokenException",
        403 if message.contains("security token") => "UnrecognizedClientException",
        403 if message.contains("ignature") || message.starts_with("Credential should be scoped") => {
            "InvalidSignatureException"
        }
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::Framing;
    use super::super::say::{Call, Report};
    use super::*;

    fn said() -> Said<'static> {
        Said {
            id: "1".to_owned(),
            model: "claude",
            content: "one two".to_owned(),
            reasoning: Some("so".to_owned()),
            calls: vec![Call { id: "2".to_owned(), name: "depth".to_owned(), arguments: json!({"at": "weir"}) }],
            finish: Finish::Calls,
            counts: Counts { prompt: 9, completion: 6, cached: 4, written: 2, reasoning: 1 },
            report: Report::Counted,
            ..Said::default()
        }
    }

    #[test]
    fn a_whole_answer() {
        let got: Value = serde_json::from_slice(&whole(&said())).unwrap();
        let keys: Vec<_> = got["output"]["message"]["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| block.as_object().unwrap().keys().next().unwrap().as_str())
            .collect();
        assert_eq!((keys, &got["stopReason"]), (vec!["reasoningContent", "text", "toolUse"], &json!("tool_use")));
        let usage = json!({"inputTokens": 3, "outputTokens": 6, "totalTokens": 15, "cacheReadInputTokens": 4, "cacheWriteInputTokens": 2});
        assert_eq!(got["usage"], usage);
    }

    #[test]
    fn a_stream_is_told_by_its_names() {
        let names = |orders: &str| -> Vec<String> {
            let mut frames = Frames::new(Framing::Aws);
            stream(&said(), &mut frames);
            let frames = frames.finish(&Behaviour::from_json(orders).unwrap());
            // The first header is the event's type: 12 bytes of prelude, 1 + 11 of its key, 1 of its type, 2 of its length.
            let name = |frame: &Bytes| {
                let length = usize::from(u16::from_be_bytes([frame[25], frame[26]]));
                String::from_utf8_lossy(&frame[27..27 + length]).into_owned()
            };
            frames.iter().map(name).collect()
        };
        let delta = "contentBlockDelta";
        let want = [
            "messageStart",
            delta,
            delta,
            "contentBlockStop",
            delta,
            delta,
            "contentBlockStop",
            "contentBlockStart",
            delta,
            delta,
            delta,
            "contentBlockStop",
            "messageStop",
            "metadata",
        ];
        assert_eq!(names("{}"), want);
        assert_eq!(names(r#"{"no_done":true}"#), want[..12]);
    }

    #[test]
    fn errors_have_their_types() {
        for (status, message, want) in [
            (403, "Missing Authentication Token", "MissingAuthenticationTokenException"),
            (403, "The request signature we calculated does not match", "InvalidSignatureException"),
            (429, "x", "ThrottlingException"),
            (400, "x", "ValidationException"),
        ] {
            assert_eq!(error_type(StatusCode::from_u16(status).unwrap(), message), want);
        }
    }
}
