//! One event of Cohere's stream in, neutral events out. What is kept from one to the next: which tool calls have begun.

use super::answer;
use crate::translate::{json::Object, neutral::*};

#[derive(Debug, Default)]
pub struct Reader {
    /// Cohere's numbers of the tool calls, in order.
    calls: Vec<u64>,
    /// The tool call that is open has no arguments yet.
    is_bare: bool,
}

/// Calls beyond are passed over: no model makes so many in one answer.
const MAX_CALLS: usize = 1024;

impl Reader {
    /// `data`: what stands behind `data:`.
    pub fn read<'a>(&mut self, mut data: Object<'a>, events: &mut Vec<Event<'a>>) {
        let kind = data.take_text("type").unwrap_or_default();
        let mut delta = data.take_object("delta").unwrap_or_default();
        match &*kind {
            "message-start" => {
                let id = data.take_text("id").unwrap_or_default();
                events.push(Event::Start { id, model: Text::default() });
            }
            "content-start" | "content-delta" => events.extend(content(delta)),
            "tool-plan-delta" => {
                let plan = delta.take_object("message").and_then(|mut message| filled(&mut message, "tool_plan"));
                events.extend(plan.map(|text| Event::Thinking { choice: 0, text }));
            }
            "tool-call-start" | "tool-call-delta" => self.tool_call(&data, delta, events),
            "tool-call-end" if std::mem::take(&mut self.is_bare) => {
                // A call without arguments brings no piece of them; who joins the pieces expects JSON.
                let call = (self.calls.len() as u64).saturating_sub(1);
                events.push(Event::ToolArguments { choice: 0, call, text: "{}".into() });
            }
            "message-end" => end(delta, events),
            _ => {}
        }
    }

    fn tool_call<'a>(&mut self, data: &Object<'a>, mut delta: Object<'a>, events: &mut Vec<Event<'a>>) {
        let place = data.u64("index").unwrap_or(0);
        let call = delta.take_object("message").and_then(|mut message| message.take_object("tool_calls"));
        let Some(mut tool) = call else { return };
        let mut function = tool.take_object("function").unwrap_or_default();
        let call = match self.calls.iter().position(|begun| *begun == place) {
            Some(call) => call as u64,
            None if self.calls.len() < MAX_CALLS => {
                let call = self.calls.len() as u64;
                self.calls.push(place);
                self.is_bare = true;
                let id = tool.take_text("id").unwrap_or_default();
                events.push(Event::ToolCall {
                    choice: 0,
                    call,
                    id,
                    name: function.take_text("name").unwrap_or_default(),
                });
                call
            }
            None => return,
        };
        if let Some(text) = filled(&mut function, "arguments") {
            self.is_bare = false;
            events.push(Event::ToolArguments { choice: 0, call, text });
        }
    }
}

fn content<'a>(mut delta: Object<'a>) -> Option<Event<'a>> {
    let mut content = delta.take_object("message")?.take_object("content")?;
    match filled(&mut content, "text") {
        Some(text) => Some(Event::Text { choice: 0, text }),
        None => filled(&mut content, "thinking").map(|text| Event::Thinking { choice: 0, text }),
    }
}

/// The reason, the counts and the end are one event, and so is a failure.
fn end<'a>(mut delta: Object<'a>, events: &mut Vec<Event<'a>>) {
    let reason = delta.take_text("finish_reason").unwrap_or_default();
    if let Some(message) = delta.take_text("error") {
        events.push(Event::Failure(Failure { message, ..Failure::default() }));
        return;
    }
    if answer::has_failed(&reason) {
        events.push(Event::Failure(Failure { message: answer::BROKEN_OFF.into(), ..Failure::default() }));
        return;
    }
    events.extend(delta.get("usage").and_then(answer::usage).map(Event::Usage));
    events.push(Event::Stop { choice: 0, stop: answer::stop(reason) });
    events.push(Event::End);
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
        for data in [
            "{}",
            r#"{"type":"citation-start","index":0,"delta":{"message":{"citations":{}}}}"#,
            r#"{"type":"content-delta","delta":{"message":{"content":{"new":"x"}}}}"#,
            r#"{"type":"content-delta","delta":{"message":{"content":"x"}}}"#,
            r#"{"type":"tool-call-delta","index":0,"delta":{"message":{}}}"#,
            r#"{"type":"tool-call-end","index":0}"#,
        ] {
            let mut events = Vec::new();
            let data = Json::parse(data.as_bytes()).unwrap().into_object().unwrap();
            Reader::default().read(data, &mut events);
            assert_eq!(events, []);
        }
    }
}
