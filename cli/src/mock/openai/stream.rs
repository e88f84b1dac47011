//! A chat or completions answer as OpenAI streams it: the answer comes in, one event per delta goes out, then `[DONE]`.

use serde::Serialize;
use serde_json::{Value, json};

use super::{CREATED, Counted, FINGERPRINT, finish_reason, id, logprobs, usage};
use crate::mock::frames::{Frames, Kind};
use crate::mock::route::Api;
use crate::mock::say::{Said, Usage};
use crate::mock::text;

/// In how many parts a stream brings a call's arguments.
const ARGUMENT_PARTS: usize = 3;

/// All events of a stream in order. The deltas of several choices take turns.
pub fn stream(said: &Said<'_>, api: Api, include_usage: bool, frames: &mut Frames) {
    let usage = usage(said).filter(|_| include_usage);
    let id = id(said, api);
    // Asked for usage, every chunk but the last one carries `"usage":null`.
    let absent = usage.is_some().then_some(None);
    let choices = 0..said.choices;
    let mut chunk = |kind, choices: &[Choice<'_>], usage: Option<Option<&Usage<'_, Counted>>>| {
        let object = if api == Api::Chat { "chat.completion.chunk" } else { "text_completion" };
        let (id, model) = (id.as_str(), said.model);
        let chunk = Chunk { id, object, created: CREATED, model, system_fingerprint: FINGERPRINT, choices, usage };
        frames.push(kind, "", &chunk);
    };
    if api == Api::Chat {
        for index in choices.clone() {
            let content = if said.calls.is_empty() { json!("") } else { Value::Null };
            let delta = Delta { role: Some("assistant"), content: None, more: Some(json!({"content": content})) };
            chunk(Kind::Other, &[Choice::delta(index, delta, None)], absent);
        }
        for piece in said.reasoning.iter().flat_map(|text| text::pieces(text, None)) {
            for index in choices.clone() {
                let delta = Delta { more: Some(json!({"reasoning_content": piece})), ..Delta::default() };
                chunk(Kind::Other, &[Choice::delta(index, delta, None)], absent);
            }
        }
    }
    for piece in said.pieces() {
        for index in choices.clone() {
            let mut choice = match api {
                Api::Chat => Choice::delta(index, Delta { content: Some(piece), ..Delta::default() }, None),
                _ => Choice::text(index, piece, None),
            };
            choice.logprobs = said.logprobs.then(|| logprobs(&[piece], api));
            chunk(Kind::Content, &[choice], absent);
        }
    }
    for delta in calls(said) {
        for index in choices.clone() {
            let delta = Delta { more: Some(json!({"tool_calls": [delta]})), ..Delta::default() };
            chunk(Kind::Content, &[Choice::delta(index, delta, None)], absent);
        }
    }
    for index in choices {
        let reason = Some(finish_reason(&said.finish));
        let choice = match api {
            Api::Chat => Choice::delta(index, Delta::default(), reason),
            _ => Choice::text(index, "", reason),
        };
        chunk(Kind::Other, &[choice], absent);
    }
    if let Some(usage) = &usage {
        chunk(Kind::Other, &[], Some(Some(usage)));
    }
    frames.push_raw(Kind::End, b"data: [DONE]\n\n");
}

/// The event by which a stream fails.
pub fn error(frames: &mut Frames, message: &str) {
    let error = super::error_object(hyper::StatusCode::INTERNAL_SERVER_ERROR, message);
    frames.push(Kind::Error, "", &json!({"error": error}));
}

/// The deltas of all calls: the first of each has its name, the others parts of its arguments.
fn calls(said: &Said<'_>) -> Vec<Value> {
    let mut deltas = Vec::new();
    for (index, call) in said.calls.iter().enumerate() {
        let mut first = super::tool_call(call);
        first["index"] = json!(index);
        first["function"]["arguments"] = json!("");
        deltas.push(first);
        let arguments = call.arguments.to_string();
        let parts = text::pieces(&arguments, Some(ARGUMENT_PARTS));
        deltas.extend(parts.iter().map(|part| json!({"index": index, "function": {"arguments": part}})));
    }
    deltas
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: &'static str,
    choices: &'a [Choice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<&'a Usage<'a, Counted>>>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Delta<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    logprobs: Option<Value>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    /// What is rarer than text.
    #[serde(flatten)]
    more: Option<Value>,
}

impl<'a> Choice<'a> {
    fn delta(index: usize, delta: Delta<'a>, finish_reason: Option<&'static str>) -> Self {
        Self { index, delta: Some(delta), text: None, logprobs: None, finish_reason }
    }

    fn text(index: usize, text: &'a str, finish_reason: Option<&'static str>) -> Self {
        Self { index, delta: None, text: Some(text), logprobs: None, finish_reason }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::mock::behaviour::Behaviour;
    use crate::mock::frames::Framing;
    use crate::mock::say::{Call, Counts, Finish, Report};

    fn said() -> Said<'static> {
        let counts = Counts { prompt: 1, completion: 2, ..Counts::default() };
        let (id, content) = ("x".to_owned(), "one two".to_owned());
        Said { id, model: "m", content, choices: 1, counts, report: Report::Counted, ..Said::default() }
    }

    fn events(said: &Said<'_>, api: Api, include_usage: bool, orders: &str) -> Vec<Bytes> {
        let mut frames = Frames::new(Framing::Sse);
        stream(said, api, include_usage, &mut frames);
        frames.finish(&Behaviour::from_json(orders).unwrap())
    }

    fn text(events: &[Bytes]) -> String {
        String::from_utf8(events.concat()).unwrap()
    }

    #[test]
    fn the_order_of_a_stream() {
        let with_usage = events(&said(), Api::Chat, true, "{}");
        assert_eq!(with_usage.len(), 6, "role, two words, finish, usage, DONE");
        for (n, part) in [
            (
                0,
                r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}"#,
            ),
            (1, r#""delta":{"content":"one"}"#),
            (2, r#""delta":{"content":" two"}"#),
            (3, r#""choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}"#),
            (4, r#""choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3"#),
            (5, "data: [DONE]\n\n"),
        ] {
            let event = text(&with_usage[n..=n]);
            assert!(event.starts_with("data: ") && event.ends_with("\n\n") && event.contains(part), "{n}: {event}");
        }
        let without = text(&events(&said(), Api::Chat, false, "{}"));
        assert!(!without.contains("usage"), "{without}");
        let plain = text(&events(&said(), Api::Completions, true, "{}"));
        assert!(
            plain.contains(r#""choices":[{"index":0,"text":" two","logprobs":null,"finish_reason":null}]"#),
            "{plain}"
        );
    }

    #[test]
    fn calls_come_in_parts_and_choices_in_turns() {
        let call = Call { id: "1".to_owned(), name: "depth".to_owned(), arguments: json!({"at": "weir"}) };
        let calling = Said { content: String::new(), calls: vec![call], finish: Finish::Calls, ..said() };
        let got = text(&events(&calling, Api::Chat, false, "{}"));
        let chunks = got.split("\n\n").filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok());
        let deltas: Vec<Value> = chunks.map(|chunk: Value| chunk["choices"][0]["delta"].clone()).collect();
        assert_eq!(deltas[0], json!({"role": "assistant", "content": null}));
        let first =
            json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "depth", "arguments": ""}});
        assert_eq!(deltas[1]["tool_calls"], json!([first]));
        let parts: String =
            deltas.iter().filter_map(|delta| delta["tool_calls"][0]["function"]["arguments"].as_str()).collect();
        assert_eq!((parts.as_str(), deltas.len()), (r#"{"at":"weir"}"#, 6));
        assert!(got.contains(r#""finish_reason":"tool_calls""#));
        let two = events(&Said { choices: 2, ..said() }, Api::Chat, false, "{}");
        let indices: Vec<bool> =
            two.iter().map(|event| text(std::slice::from_ref(event)).contains("\"index\":1")).collect();
        assert_eq!(indices, [false, true, false, true, false, true, false, true, false]);
    }

    #[test]
    fn faults_of_a_stream() {
        let told = |orders: &str| events(&said(), Api::Chat, true, orders);
        let no_done = told(r#"{"no_done":true}"#);
        assert!(text(&no_done).ends_with("}\n\n") && !text(&no_done).contains("[DONE]"));
        let half = told(r#"{"half_event":true}"#);
        assert!(!text(&half).ends_with('\n') && text(&half[4..]).starts_with("data: {\"id\""));
        let broken = text(&told(r#"{"broken_json":true}"#)[2..3]);
        assert!(broken.starts_with("data: {") && broken.ends_with("\n\n") && !broken.contains('}'), "{broken}");
        let one_chunk = Said { chunks: Some(1), ..said() };
        assert_eq!(events(&one_chunk, Api::Chat, true, "{}").len(), 5);
    }
}
