//! One message of ConverseStream in, neutral events out. What is kept from one to the next: which blocks are tool calls.

use super::answer;
use crate::translate::{json::Object, neutral::*};

#[derive(Debug, Default)]
pub struct Reader {
    /// Bedrock's numbers of the blocks that are tool calls, in order.
    calls: Vec<u64>,
    /// The tool call that is open has no arguments yet.
    is_bare: bool,
}

/// Calls beyond are passed over: no model makes so many in one answer.
const MAX_CALLS: usize = 1024;

impl Reader {
    /// `name`: the event's type, or the exception's.
    pub fn read<'a>(&mut self, name: &'a str, mut data: Object<'a>, events: &mut Vec<Event<'a>>) {
        match name {
            "messageStart" => events.push(Event::Start { id: Text::default(), model: Text::default() }),
            "contentBlockStart" => events.extend(self.block(data)),
            "contentBlockDelta" => events.extend(self.delta(data)),
            "contentBlockStop" if std::mem::take(&mut self.is_bare) => {
                // A call without arguments brings no piece of them; who joins the pieces expects JSON.
                let call = (self.calls.len() as u64).saturating_sub(1);
                events.push(Event::ToolArguments { choice: 0, call, text: "{}".into() });
            }
            "messageStop" => {
                let reason = data.take_text("stopReason");
                events.extend(reason.map(|reason| Event::Stop { choice: 0, stop: answer::stop(reason) }));
            }
            // The last event: the counts.
            "metadata" => {
                events.extend(data.get("usage").map(answer::usage).map(Event::Usage));
                events.push(Event::End);
            }
            _ if name.ends_with("Exception") => {
                let failure = answer::failure(data).unwrap_or_else(|| Failure {
                    message: format!("The model's server broke off: {name}").into(),
                    ..Failure::default()
                });
                events.push(Event::Failure(Failure { kind: Some(name.into()), ..failure }));
            }
            _ => {}
        }
    }

    fn block<'a>(&mut self, mut data: Object<'a>) -> Option<Event<'a>> {
        let index = data.u64("contentBlockIndex")?;
        let mut tool = data.take_object("start")?.take_object("toolUse")?;
        if self.calls.len() >= MAX_CALLS {
            return None;
        }
        let call = self.calls.len() as u64;
        self.calls.push(index);
        self.is_bare = true;
        Some(Event::ToolCall { choice: 0, call, id: tool.take_text("toolUseId")?, name: tool.take_text("name")? })
    }

    fn delta<'a>(&mut self, mut data: Object<'a>) -> Option<Event<'a>> {
        let index = data.u64("contentBlockIndex")?;
        let mut delta = data.take_object("delta")?;
        if let Some(text) = filled(&mut delta, "text") {
            return Some(Event::Text { choice: 0, text });
        }
        if let Some(mut tool) = delta.take_object("toolUse") {
            let call = self.calls.iter().position(|block| *block == index)? as u64;
            let text = filled(&mut tool, "input")?;
            self.is_bare = false;
            return Some(Event::ToolArguments { choice: 0, call, text });
        }
        let mut reasoning = delta.take_object("reasoningContent")?;
        if let Some(text) = filled(&mut reasoning, "text") {
            return Some(Event::Thinking { choice: 0, text });
        }
        match filled(&mut reasoning, "signature") {
            Some(text) => Some(Event::Signature { choice: 0, text }),
            None => filled(&mut reasoning, "redactedContent").map(|data| Event::RedactedThinking { choice: 0, data }),
        }
    }
}

fn filled<'a>(object: &mut Object<'a>, key: &str) -> Option<Text<'a>> {
    object.take_text(key).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::translate::json::Json;

    #[test]
    fn odd_events_give_nothing() {
        for (name, data) in [
            ("", "{}"),
            ("newEvent", r#"{"text":"x"}"#),
            ("contentBlockStart", r#"{"contentBlockIndex":0,"start":{"image":{}}}"#),
            ("contentBlockDelta", r#"{"contentBlockIndex":9,"delta":{"toolUse":{"input":"{"}}}"#),
            ("contentBlockDelta", r#"{"contentBlockIndex":-1,"delta":{"text":"x"}}"#),
            ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"citation":{}}}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
            ("messageStop", "{}"),
        ] {
            let mut events = Vec::new();
            let data = Json::parse(data.as_bytes()).unwrap().into_object().unwrap();
            Reader::default().read(name, data, &mut events);
            assert_eq!(events, [], "{name}");
        }
    }
}
