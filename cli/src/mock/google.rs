//! Google's generateContent and its embeddings, as Vertex AI and the public Gemini API have them: what the mock says, as the JSON
//! and the events that `google-genai`'s types accept. An answer comes in, bytes come out; requests are read in [`request`].

pub mod request;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::ask::Ask;
use super::behaviour::Behaviour;
use super::frames::{Frames, Kind};
use super::openai::to_bytes;
use super::route::Api;
use super::say::{Counts, Finish, Said, logprob, vectors};
use super::text;

/// What a call is signed with when the model thought before it.
const SIGNATURE: &str = "d2Vpci1tb2NrLXNpZ25hdHVyZQ==";

/// The whole answer as one JSON object.
pub fn whole(said: &Said<'_>) -> Bytes {
    let mut parts = Vec::new();
    if let Some(thought) = &said.reasoning {
        parts.push(json!({"text": thought, "thought": true}));
    }
    if !said.content.is_empty() || said.calls.is_empty() {
        parts.push(json!({"text": said.content}));
    }
    parts.extend(calls(said));
    let mut whole =
        response(said, &parts, Some(finish_reason(&said.finish)), said.logprobs.then_some(said.content.as_str()));
    if let Some(usage) = said.usage(usage) {
        whole.insert("usageMetadata".to_owned(), json!(usage));
    }
    to_bytes(&whole)
}

/// All events of a stream in order. Each is a whole answer with a part of the text; the last one has the reason to stop.
pub fn stream(said: &Said<'_>, frames: &mut Frames) {
    let mut push = |kind, parts: &[Value], finish: Option<&'static str>, likely: Option<&str>| {
        let mut event = response(said, parts, finish, likely.filter(|_| said.logprobs));
        // Until the end, a prompt's tokens alone are told.
        let counted = |counts: &Counts| match finish {
            Some(_) => usage(counts),
            None => json!({"promptTokenCount": counts.prompt, "totalTokenCount": counts.prompt}),
        };
        if let Some(usage) = said.usage(counted) {
            event.insert("usageMetadata".to_owned(), json!(usage));
        }
        frames.push(kind, "", &event);
    };
    for piece in said.reasoning.iter().flat_map(|text| text::pieces(text, Some(2))) {
        push(Kind::Other, &[json!({"text": piece, "thought": true})], None, None);
    }
    for piece in said.pieces() {
        push(Kind::Content, &[json!({"text": piece})], None, Some(piece));
    }
    if !said.calls.is_empty() {
        push(Kind::Content, &calls(said), None, None);
    }
    push(Kind::End, &[json!({"text": ""})], Some(finish_reason(&said.finish)), None);
}

fn response(said: &Said<'_>, parts: &[Value], finish: Option<&str>, likely: Option<&str>) -> Map<String, Value> {
    let candidates = (0..said.choices).map(|index| {
        let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": index});
        if let (Some(finish), Some(candidate)) = (finish, candidate.as_object_mut()) {
            candidate.insert("finishReason".to_owned(), json!(finish));
        }
        if let (Some(text), Some(candidate)) = (likely, candidate.as_object_mut()) {
            candidate.insert("logprobsResult".to_owned(), logprobs(text));
        }
        candidate
    });
    let fields = [
        ("candidates", json!(candidates.collect::<Vec<_>>())),
        ("modelVersion", json!(said.model)),
        ("responseId", json!(said.id)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn logprobs(text: &str) -> Value {
    let tokens = text::pieces(text, None);
    let chosen: Vec<Value> = tokens
        .iter()
        .zip(0..)
        .map(|(token, id): (_, u32)| json!({"token": token, "tokenId": id, "logProbability": logprob(token)}))
        .collect();
    let top: Vec<Value> = chosen.iter().map(|token| json!({"candidates": [token]})).collect();
    json!({"chosenCandidates": chosen, "topCandidates": top})
}

fn calls(said: &Said<'_>) -> Vec<Value> {
    let part = |call: &super::say::Call| {
        let mut part = json!({"functionCall": {"name": call.name, "args": call.arguments}});
        if let (Some(part), true) = (part.as_object_mut(), said.reasoning.is_some()) {
            part.insert("thoughtSignature".to_owned(), json!(SIGNATURE));
        }
        part
    };
    said.calls.iter().map(part).collect()
}

/// A call is no reason of its own to stop.
fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Length => "MAX_TOKENS",
        _ => "STOP",
    }
}

/// Google's candidates' tokens are those without the thoughts.
fn usage(counts: &Counts) -> Value {
    let mut usage = json!({
        "promptTokenCount": counts.prompt,
        "candidatesTokenCount": counts.completion.saturating_sub(counts.reasoning),
        "totalTokenCount": counts.total(),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": counts.prompt}],
    });
    let more = [("cachedContentTokenCount", counts.cached), ("thoughtsTokenCount", counts.reasoning)];
    if let Some(usage) = usage.as_object_mut() {
        usage.extend(more.iter().filter(|(_, n)| *n > 0).map(|(name, n)| ((*name).to_owned(), json!(n))));
    }
    usage
}

/// The answers of the embeddings' methods and of `countTokens`.
pub fn counted(ask: &Ask, api: Api, orders: &Behaviour) -> Bytes {
    let tokens = ask.prompt_tokens;
    if api == Api::CountContent {
        return to_bytes(&json!({"totalTokens": tokens}));
    }
    let mut all: Vec<Value> = vectors(ask).map(|values| json!({"values": values})).collect();
    let mut answer = match api {
        Api::EmbedContent => json!({"embedding": all.pop()}),
        Api::BatchEmbed => json!({"embeddings": all}),
        _ => {
            let predictions = all.into_iter().zip(&ask.inputs).map(|(mut embedding, input)| {
                if let Some(usage) = orders.usage_or(json!({"token_count": text::count(input), "truncated": false})) {
                    embedding["statistics"] = usage;
                }
                json!({"embeddings": embedding})
            });
            let characters: usize = ask.inputs.iter().map(|input| input.chars().count()).sum();
            let metadata = json!({"billableCharacterCount": characters});
            return to_bytes(&json!({"predictions": predictions.collect::<Vec<_>>(), "metadata": metadata}));
        }
    };
    if let Some(usage) = orders.usage_or(json!({"promptTokenCount": tokens, "totalTokenCount": tokens})) {
        answer["usageMetadata"] = usage;
    }
    to_bytes(&answer)
}

/// An error in Google's shape.
pub fn error(status: StatusCode, message: &str) -> Bytes {
    to_bytes(&error_object(status, message))
}

/// The event by which a stream fails.
pub fn stream_error(frames: &mut Frames, message: &str) {
    frames.push(Kind::Error, "", &error_object(StatusCode::SERVICE_UNAVAILABLE, message));
}

fn error_object(status: StatusCode, message: &str) -> Value {
    let name = match status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    json!({"error": {"code": status.as_u16(), "message": message, "status": name}})
}

#[cfg(test)]
mod tests {
    use super::super::frames::Framing;
    use super::super::say::{Call, Report};
    use super::*;

    fn said() -> Said<'static> {
        Said {
            id: "1".to_owned(),
            model: "g",
            content: "one two".to_owned(),
            reasoning: Some("so so".to_owned()),
            calls: vec![Call { id: "2".to_owned(), name: "depth".to_owned(), arguments: json!({"at": "weir"}) }],
            finish: Finish::Calls,
            choices: 2,
            counts: Counts { prompt: 9, completion: 6, cached: 4, written: 0, reasoning: 2 },
            report: Report::Counted,
            ..Said::default()
        }
    }

    #[test]
    fn a_whole_answer() {
        let got: Value = serde_json::from_slice(&whole(&said())).unwrap();
        let call = json!({"functionCall": {"name": "depth", "args": {"at": "weir"}}, "thoughtSignature": SIGNATURE});
        let parts = json!([{"text": "so so", "thought": true}, {"text": "one two"}, call]);
        let candidate =
            |index| json!({"content": {"role": "model", "parts": parts}, "index": index, "finishReason": "STOP"});
        assert_eq!(got["candidates"], json!([candidate(0), candidate(1)]));
        let usage = json!({"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 15, "thoughtsTokenCount": 2,
            "cachedContentTokenCount": 4, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}]});
        assert_eq!(got["usageMetadata"], usage);
    }

    #[test]
    fn a_stream_ends_with_its_reason() {
        let mut frames = Frames::new(Framing::SseCrlf);
        let said = Said { logprobs: true, ..said() };
        stream(&said, &mut frames);
        let text = String::from_utf8(frames.finish(&Behaviour::default()).concat()).unwrap();
        let events: Vec<Value> = text
            .split_terminator("\r\n\r\n")
            .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
            .collect();
        let reasons: Vec<_> = events.iter().map(|event| event["candidates"][1]["finishReason"].as_str()).collect();
        assert_eq!(reasons, [None, None, None, None, None, Some("STOP")], "two thoughts, two words, calls, the end");
        let likely = &events[3]["candidates"][0]["logprobsResult"]["chosenCandidates"][0]["token"];
        assert_eq!((likely, &events[3]["usageMetadata"]["promptTokenCount"]), (&json!(" two"), &json!(9)));
        assert_eq!(events[5]["usageMetadata"]["candidatesTokenCount"], 4);
    }
}
