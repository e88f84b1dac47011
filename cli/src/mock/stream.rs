//! The mock's streams: one answer in, its SSE events out, each as the bytes of one event with its blank line. Faults that
//! concern what is said (no `[DONE]`, broken JSON, half an event) are made here; when the bytes leave is `script`'s matter.

use bytes::Bytes;
use serde::Serialize;

use super::answer::{CREATED, FINGERPRINT, Said, Usage};
use super::behaviour::Behaviour;
use super::request::Api;
use super::text;

/// All events of a stream in order.
pub fn events(said: &Said<'_>, include_usage: bool, behaviour: &Behaviour) -> Vec<Bytes> {
    let include_usage = include_usage && said.usage.is_some();
    let chunk = |choice: Option<Choice<'_>>, usage: Option<Option<&Usage<'_>>>| {
        let object = if said.api == Api::Chat { "chat.completion.chunk" } else { "text_completion" };
        let choices = choice.as_slice();
        let (id, model) = (said.id.as_str(), said.model);
        event(&Chunk { id, object, created: CREATED, model, system_fingerprint: FINGERPRINT, choices, usage })
    };
    // Asked for usage, every chunk but the last one carries `"usage":null`.
    let absent = include_usage.then_some(None);
    let mut events = Vec::new();
    if said.api == Api::Chat {
        events.push(chunk(Some(Choice::delta(Delta { role: Some("assistant"), content: Some("") }, None)), absent));
    }
    for piece in text::pieces(said.content, behaviour.chunks) {
        let choice = match said.api {
            Api::Chat => Choice::delta(Delta { role: None, content: Some(piece) }, None),
            _ => Choice::text(piece, None),
        };
        events.push(chunk(Some(choice), absent));
    }
    if behaviour.broken_json
        && let Some(last) = events.last_mut()
    {
        // Still an event, with its blank line, but its JSON is half there.
        *last = [&last.slice(..last.len() / 2), "\n\n".as_bytes()].concat().into();
    }
    events.push(match said.api {
        Api::Chat => chunk(Some(Choice::delta(Delta::default(), Some(said.finish_reason))), absent),
        _ => chunk(Some(Choice::text("", Some(said.finish_reason))), absent),
    });
    if include_usage {
        events.push(chunk(None, Some(said.usage.as_ref())));
    }
    if behaviour.half_event {
        if let Some(last) = events.last_mut() {
            last.truncate(last.len() / 2);
        }
    } else if !behaviour.no_done {
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    }
    events
}

fn event(chunk: &impl Serialize) -> Bytes {
    let mut bytes = b"data: ".to_vec();
    // Writing plain structs into memory cannot fail.
    let _ = serde_json::to_writer(&mut bytes, chunk);
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
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
    usage: Option<Option<&'a Usage<'a>>>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Delta<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

impl<'a> Choice<'a> {
    fn delta(delta: Delta<'a>, finish_reason: Option<&'static str>) -> Self {
        Self { index: 0, delta: Some(delta), text: None, logprobs: None, finish_reason }
    }

    fn text(text: &'a str, finish_reason: Option<&'static str>) -> Self {
        Self { index: 0, delta: None, text: Some(text), logprobs: None, finish_reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(api: Api) -> Said<'static> {
        let usage = Some(Usage::counted(1, 2));
        Said { id: "x".to_owned(), api, model: "m", content: "one two", finish_reason: "stop", usage }
    }

    fn text(events: &[Bytes]) -> String {
        String::from_utf8(events.concat()).unwrap()
    }

    #[test]
    fn the_order_of_a_stream() {
        let with_usage = events(&said(Api::Chat), true, &Behaviour::default());
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
        let without = text(&events(&said(Api::Chat), false, &Behaviour::default()));
        assert!(!without.contains("usage"), "{without}");
        let plain = text(&events(&said(Api::Completions), true, &Behaviour::default()));
        assert!(
            plain.contains(r#""choices":[{"index":0,"text":" two","logprobs":null,"finish_reason":null}]"#),
            "{plain}"
        );
    }

    #[test]
    fn faults_of_a_stream() {
        let told = |orders: &str| events(&said(Api::Chat), true, &Behaviour::from_json(orders).unwrap());
        let no_done = told(r#"{"no_done":true}"#);
        assert!(text(&no_done).ends_with("}\n\n") && !text(&no_done).contains("[DONE]"));
        let half = told(r#"{"half_event":true}"#);
        assert!(!text(&half).ends_with('\n') && text(&half[4..]).starts_with("data: {\"id\""));
        let broken = text(&told(r#"{"broken_json":true}"#)[2..3]);
        assert!(broken.starts_with("data: {") && broken.ends_with("\n\n") && !broken.contains('}'), "{broken}");
        assert_eq!(told(r#"{"chunks":1}"#).len(), 5);
    }
}
