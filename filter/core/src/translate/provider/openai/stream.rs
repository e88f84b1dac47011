//! One chunk of a stream of chat completions in, neutral events out.

use super::answer;
use crate::translate::{
    json::{Json, Object},
    neutral::Event,
};

#[derive(Debug, Default)]
pub struct Reader {
    has_begun: bool,
    /// The choice and OpenAI's number of each tool call that has begun, in order.
    calls: Vec<(u64, u64)>,
}

/// Calls beyond are passed over: no model makes so many in one answer.
const MAX_CALLS: usize = 1024;

impl Reader {
    pub fn read<'a>(&mut self, mut chunk: Object<'a>, events: &mut Vec<Event<'a>>) {
        if chunk.get("error").is_some() {
            events.push(Event::Failure(answer::failure(chunk).unwrap_or_default()));
            return;
        }
        if !self.has_begun {
            self.has_begun = true;
            let id = chunk.take_text("id").unwrap_or_default();
            events.push(Event::Start { id, model: chunk.take_text("model").unwrap_or_default() });
        }
        for choice in chunk.take_list("choices").unwrap_or_default() {
            self.choice(choice.into_object().unwrap_or_default(), events);
        }
        events.extend(chunk.get("usage").and_then(answer::usage).map(Event::Usage));
    }

    fn choice<'a>(&mut self, mut data: Object<'a>, events: &mut Vec<Event<'a>>) {
        let choice = data.u64("index").unwrap_or(0);
        let mut delta = data.take_object("delta").unwrap_or_default();
        if let Some(text) = answer::reasoning(&mut delta) {
            events.push(Event::Thinking { choice, text });
        }
        if let Some(text) = delta.take_text("content").filter(|text| !text.is_empty()) {
            events.push(Event::Text { choice, text });
        }
        if let Some(text) = delta.take_text("refusal").filter(|text| !text.is_empty()) {
            events.push(Event::Refusal { choice, text });
        }
        for call in delta.take_list("tool_calls").unwrap_or_default() {
            self.tool_call(choice, call, events);
        }
        if let Some(logprobs) = data.take("logprobs") {
            events.push(Event::Logprobs { choice, logprobs });
        }
        if let Some(reason) = data.take_text("finish_reason") {
            events.push(Event::Stop { choice, stop: answer::stop(reason) });
        }
    }

    /// The first piece of a call names it. Some servers leave out the number where there is one call alone.
    fn tool_call<'a>(&mut self, choice: u64, call: Json<'a>, events: &mut Vec<Event<'a>>) {
        let Some(mut data) = call.into_object() else { return };
        let place = (choice, data.u64("index").unwrap_or(0));
        let mut function = data.take_object("function").unwrap_or_default();
        let call = match self.calls.iter().position(|begun| *begun == place) {
            Some(call) => call as u64,
            None if self.calls.len() < MAX_CALLS => {
                let call = self.calls.len() as u64;
                self.calls.push(place);
                let id = data.take_text("id").unwrap_or_default();
                events.push(Event::ToolCall { choice, call, id, name: function.take_text("name").unwrap_or_default() });
                call
            }
            None => return,
        };
        if let Some(text) = function.take_text("arguments").filter(|text| !text.is_empty()) {
            events.push(Event::ToolArguments { choice, call, text });
        }
    }
}
