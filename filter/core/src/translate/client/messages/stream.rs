//! Neutral events in, a stream of Anthropic's messages out. One block is open at a time; the reason of the end and the usage
//! wait for the end, as Anthropic sends them together.

use super::answer;
use crate::translate::{
    json::{Json, Object},
    neutral::*,
};

#[derive(Debug, Default)]
pub struct Writer {
    has_begun: bool,
    open: Option<Open>,
    /// Blocks that have begun.
    blocks: u64,
    /// The block of each tool call.
    calls: Vec<u64>,
    usage: Usage,
    /// Until the end: the reason, and the sequence.
    stop: Option<(&'static str, Option<String>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    Tool,
}

impl Writer {
    /// Anthropic knows one choice: others were refused.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model } => self.start(id, model, out),
            Event::Text { choice: 0, text } | Event::Refusal { choice: 0, text } => {
                self.open(Open::Text, || Object::new().with("type", "text").with("text", ""), out);
                self.delta(Object::new().with("type", "text_delta").with("text", text), out);
            }
            Event::Thinking { choice: 0, text } => {
                self.open_thinking(out);
                self.delta(Object::new().with("type", "thinking_delta").with("thinking", text), out);
            }
            Event::Signature { choice: 0, text } => {
                self.open_thinking(out);
                self.delta(Object::new().with("type", "signature_delta").with("signature", text), out);
            }
            Event::RedactedThinking { choice: 0, data } => {
                self.close(out);
                self.begin(Object::new().with("type", "redacted_thinking").with("data", data), out);
                self.open = Some(Open::Thinking);
                self.close(out);
            }
            Event::ToolCall { choice: 0, id, name, .. } => {
                self.close(out);
                self.calls.push(self.blocks);
                let block = Object::new().with("type", "tool_use").with("id", id).with("name", name);
                self.begin(block.with("input", Object::new()), out);
                self.open = Some(Open::Tool);
            }
            Event::ToolArguments { choice: 0, call, text } => {
                let block = usize::try_from(call).ok().and_then(|call| self.calls.get(call).copied());
                if let Some(block) = block {
                    let delta = Object::new().with("type", "input_json_delta").with("partial_json", text);
                    self.delta_of(block, delta, out);
                }
            }
            Event::Stop { choice: 0, stop } => {
                let (reason, sequence) = answer::stop(stop);
                self.stop = Some((reason, sequence.as_text().map(str::to_owned)));
            }
            Event::Usage(usage) => self.usage = usage,
            Event::Failure(failure) => line("error", &answer::error(failure.status(), failure), out),
            Event::End => self.end(out),
            // Nothing of Anthropic's.
            Event::Logprobs { .. }
            | Event::Text { .. }
            | Event::Refusal { .. }
            | Event::Thinking { .. }
            | Event::Signature { .. }
            | Event::RedactedThinking { .. }
            | Event::ToolCall { .. }
            | Event::ToolArguments { .. }
            | Event::Stop { .. } => {}
        }
    }

    fn start(&mut self, id: Text<'_>, model: Text<'_>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        let message = answer::message(id, model, Vec::new())
            .with("stop_reason", Json::Null)
            .with("stop_sequence", Json::Null)
            .with("usage", answer::usage(self.usage));
        line("message_start", &Object::new().with("type", "message_start").with("message", message), out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(Text::default(), Text::default(), out);
        self.close(out);
        let (reason, sequence) = self.stop.take().unwrap_or(("end_turn", None));
        let delta = Object::new()
            .with("stop_reason", reason)
            .with("stop_sequence", sequence.map(Json::from).unwrap_or_default());
        let event = Object::new().with("type", "message_delta").with("delta", delta);
        line("message_delta", &event.with("usage", answer::usage(self.usage)), out);
        line("message_stop", &Object::new().with("type", "message_stop"), out);
    }

    fn open_thinking(&mut self, out: &mut Vec<u8>) {
        let block = || Object::new().with("type", "thinking").with("thinking", "").with("signature", "");
        self.open(Open::Thinking, block, out);
    }

    fn open<'b>(&mut self, kind: Open, block: impl FnOnce() -> Object<'b>, out: &mut Vec<u8>) {
        if self.open != Some(kind) {
            self.close(out);
            self.begin(block(), out);
            self.open = Some(kind);
        }
    }

    fn begin(&mut self, block: Object<'_>, out: &mut Vec<u8>) {
        let event = Object::new().with("type", "content_block_start").with("index", self.blocks);
        line("content_block_start", &event.with("content_block", block), out);
        self.blocks = self.blocks.saturating_add(1);
    }

    fn delta(&self, delta: Object<'_>, out: &mut Vec<u8>) {
        self.delta_of(self.blocks.saturating_sub(1), delta, out);
    }

    fn delta_of(&self, block: u64, delta: Object<'_>, out: &mut Vec<u8>) {
        let event = Object::new().with("type", "content_block_delta").with("index", block).with("delta", delta);
        line("content_block_delta", &event, out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            let block = self.blocks.saturating_sub(1);
            let event = Object::new().with("type", "content_block_stop").with("index", block);
            line("content_block_stop", &event, out);
        }
    }
}

fn line(name: &str, data: &Object<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(&data.to_bytes());
    out.extend_from_slice(b"\n\n");
}
