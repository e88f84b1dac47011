//! One event of Anthropic's stream in, neutral events out. What is kept from one to the next: which blocks are tool calls,
//! and the counts so far.

use super::answer;
use crate::translate::{
    json::Object,
    neutral::{Event, Usage},
};

#[derive(Debug, Default)]
pub struct Reader {
    usage: Usage,
    /// Anthropic's numbers of the blocks that are tool calls, in order.
    calls: Vec<u64>,
    /// The tool call that is open has no arguments yet.
    is_bare: bool,
}

/// Calls beyond are passed over: no model makes so many in one answer.
const MAX_CALLS: usize = 1024;

impl Reader {
    /// `data`: what stands behind `data:`.
    pub fn read<'a>(&mut self, mut data: Object<'a>, events: &mut Vec<Event<'a>>) {
        match data.take_text("type").as_deref() {
            Some("message_start") => self.start(data.take_object("message").unwrap_or_default(), events),
            Some("content_block_start") => events.extend(self.block(data)),
            Some("content_block_delta") => events.extend(self.delta(data)),
            Some("content_block_stop") if std::mem::take(&mut self.is_bare) => {
                // Anthropic writes no `{}`; who joins the pieces expects JSON.
                let call = (self.calls.len() as u64).saturating_sub(1);
                events.push(Event::ToolArguments { choice: 0, call, text: "{}".into() });
            }
            Some("message_delta") => {
                self.usage = data.get("usage").map_or(self.usage, |counts| answer::usage(counts, self.usage));
                events.push(Event::Usage(self.usage));
                let mut delta = data.take_object("delta").unwrap_or_default();
                let sequence = delta.take_text("stop_sequence");
                if let Some(reason) = delta.take_text("stop_reason") {
                    events.push(Event::Stop { choice: 0, stop: answer::stop(reason, sequence) });
                }
            }
            Some("message_stop") => events.push(Event::End),
            Some("error") => events.push(Event::Failure(answer::failure(data).unwrap_or_default())),
            _ => {}
        }
    }

    fn start<'a>(&mut self, mut message: Object<'a>, events: &mut Vec<Event<'a>>) {
        if let Some(counts) = message.get("usage") {
            self.usage = answer::usage(counts, Usage::default());
        }
        let id = message.take_text("id").unwrap_or_default();
        events.push(Event::Start { id, model: message.take_text("model").unwrap_or_default() });
        events.push(Event::Usage(self.usage));
    }

    fn block<'a>(&mut self, mut data: Object<'a>) -> Option<Event<'a>> {
        let index = data.u64("index")?;
        let mut block = data.take_object("content_block")?;
        match block.text("type")? {
            "text" => text(block.take_text("text")?, |text| Event::Text { choice: 0, text }),
            "thinking" => text(block.take_text("thinking")?, |text| Event::Thinking { choice: 0, text }),
            "redacted_thinking" => Some(Event::RedactedThinking { choice: 0, data: block.take_text("data")? }),
            "tool_use" if self.calls.len() < MAX_CALLS => {
                let call = self.calls.len() as u64;
                self.calls.push(index);
                self.is_bare = true;
                Some(Event::ToolCall { choice: 0, call, id: block.take_text("id")?, name: block.take_text("name")? })
            }
            _ => None,
        }
    }

    fn delta<'a>(&mut self, mut data: Object<'a>) -> Option<Event<'a>> {
        let index = data.u64("index")?;
        let mut delta = data.take_object("delta")?;
        match delta.text("type")? {
            "text_delta" => text(delta.take_text("text")?, |text| Event::Text { choice: 0, text }),
            "thinking_delta" => text(delta.take_text("thinking")?, |text| Event::Thinking { choice: 0, text }),
            "signature_delta" => Some(Event::Signature { choice: 0, text: delta.take_text("signature")? }),
            "input_json_delta" => {
                let call = self.calls.iter().position(|block| *block == index)? as u64;
                let event =
                    text(delta.take_text("partial_json")?, |text| Event::ToolArguments { choice: 0, call, text });
                self.is_bare &= event.is_none();
                event
            }
            _ => None,
        }
    }
}

fn text<'a>(
    text: std::borrow::Cow<'a, str>,
    event: impl FnOnce(std::borrow::Cow<'a, str>) -> Event<'a>,
) -> Option<Event<'a>> {
    (!text.is_empty()).then(|| event(text))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::translate::json::Json;

    #[test]
    fn odd_events_give_nothing() {
        for data in [
            "{}",
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_delta","index":9,"delta":{"type":"input_json_delta","partial_json":"{"}}"#,
            r#"{"type":"content_block_delta","index":-1,"delta":{"type":"text_delta","text":"x"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"new_delta","x":1}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        ] {
            let mut events = Vec::new();
            let data = Json::parse(data.as_bytes()).unwrap().into_object().unwrap();
            Reader::default().read(data, &mut events);
            assert_eq!(events, []);
        }
    }
}
