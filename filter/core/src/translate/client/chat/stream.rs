//! Neutral events in, a stream of chat completion chunks out. The usage goes into a chunk of its own at the end, which the
//! gateway role takes off again where the caller did not ask for it.

use super::answer;
use crate::translate::{
    json::{Json, Object},
    neutral::*,
};

/// See the module. `created`: seconds since the Unix epoch.
#[derive(Debug)]
pub struct Writer {
    created: u64,
    id: String,
    model: String,
    usage: Option<Usage>,
    /// Choices that have begun.
    begun: Vec<u64>,
    /// Thinking whose signature has not come: what a caller must send back with it. At most [`MAX_THINKING`] bytes.
    thinking: String,
}

/// Of one block. A longer one cannot be sent back, as without `thinking_blocks`.
const MAX_THINKING: usize = 1 << 20;

impl Writer {
    pub fn new(created: u64) -> Self {
        Self {
            created,
            id: String::new(),
            model: String::new(),
            usage: None,
            begun: Vec::new(),
            thinking: String::new(),
        }
    }

    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model } => {
                self.id = id.into_owned();
                self.model = model.into_owned();
            }
            Event::Text { choice, text } => self.delta(choice, Object::new().with("content", text), out),
            Event::Refusal { choice, text } => self.delta(choice, Object::new().with("refusal", text), out),
            Event::Thinking { choice, text } => {
                if self.thinking.len().saturating_add(text.len()) <= MAX_THINKING {
                    self.thinking.push_str(&text);
                }
                self.delta(choice, Object::new().with("reasoning_content", text), out);
            }
            Event::Signature { choice, text } => {
                let block = answer::thinking_block(std::mem::take(&mut self.thinking).into(), text);
                self.delta(choice, Object::new().with("thinking_blocks", vec![block]), out);
            }
            Event::RedactedThinking { choice, data } => {
                self.delta(choice, Object::new().with("thinking_blocks", vec![answer::redacted_block(data)]), out);
            }
            Event::ToolCall { choice, call, id, name } => {
                let function = Object::new().with("name", name).with("arguments", "");
                let call = Object::new().with("index", call).with("id", id).with("type", "function");
                self.delta(choice, Object::new().with("tool_calls", vec![call.with("function", function).into()]), out);
            }
            Event::ToolArguments { choice, call, text } => {
                let call = Object::new().with("index", call).with("function", Object::new().with("arguments", text));
                self.delta(choice, Object::new().with("tool_calls", vec![call.into()]), out);
            }
            Event::Logprobs { choice, logprobs } => {
                self.choice(choice, Object::new(), None, Some(logprobs), out);
            }
            Event::Stop { choice, stop } => {
                self.choice(choice, Object::new(), Some(answer::finish_reason(stop)), None, out);
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Failure(failure) => line(&answer::error(failure.status(), failure), out),
            Event::End => {
                if let Some(usage) = self.usage {
                    line(&self.chunk(Vec::new()).with("usage", answer::usage(usage)), out);
                }
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
        }
    }

    /// The first chunk of a choice says whose it is.
    fn delta(&mut self, choice: u64, delta: Object<'_>, out: &mut Vec<u8>) {
        self.choice(choice, delta, None, None, out);
    }

    fn choice<'a>(
        &mut self,
        index: u64,
        delta: Object<'a>,
        finish_reason: Option<Text<'a>>,
        logprobs: Option<Json<'a>>,
        out: &mut Vec<u8>,
    ) {
        let mut delta = delta;
        // A provider's own index is no reason to remember without end: OpenAI knows at most 128 choices.
        if !self.begun.contains(&index) && self.begun.len() < 128 {
            self.begun.push(index);
            delta.set("role", "assistant");
        }
        let choice = Object::new()
            .with("index", index)
            .with("delta", delta)
            .maybe("logprobs", logprobs)
            .with("finish_reason", finish_reason.map(Json::Text).unwrap_or_default());
        line(&self.chunk(vec![choice.into()]), out);
    }

    fn chunk<'a>(&self, choices: Vec<Json<'a>>) -> Object<'a> {
        Object::new()
            .with("id", self.id.clone())
            .with("object", "chat.completion.chunk")
            .with("created", self.created)
            .with("model", self.model.clone())
            .with("choices", choices)
    }
}

fn line(data: &Object<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(&data.to_bytes());
    out.extend_from_slice(b"\n\n");
}
