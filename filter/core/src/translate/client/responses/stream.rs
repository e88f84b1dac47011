//! Neutral events in, a stream of OpenAI's response out. Its last events repeat the whole output, so that is kept: at most
//! [`MAX_OUTPUT`].

use super::{HIDDEN, SIGNED, answer};
use crate::translate::{
    Memo,
    json::{Json, Object},
    neutral::*,
};

/// In bytes of text. A longer answer ends in an error event.
const MAX_OUTPUT: usize = 4 << 20;

#[derive(Debug)]
pub struct Writer {
    memo: Memo,
    id: String,
    model: String,
    sequence: u64,
    items: Vec<Item>,
    kept: usize,
    usage: Option<Usage>,
    stop: Option<Stop<'static>>,
    failed: bool,
}

#[derive(Debug)]
struct Item {
    what: What,
    text: String,
    is_open: bool,
}

#[derive(Debug)]
enum What {
    Call { call: u64, id: String, name: String },
    Hidden,
    Reasoning { signature: Option<String> },
    Refusal,
    Text,
}

impl Writer {
    pub fn new(memo: Memo) -> Self {
        Self {
            memo,
            id: String::new(),
            model: String::new(),
            sequence: 0,
            items: Vec::new(),
            kept: 0,
            usage: None,
            stop: None,
            failed: false,
        }
    }

    /// Responses know one choice.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if self.failed {
            return;
        }
        match event {
            Event::Start { id, model } => self.start(&id, model.into_owned(), out),
            Event::Text { choice: 0, text } => self.say(What::Text, &text, out),
            Event::Refusal { choice: 0, text } => self.say(What::Refusal, &text, out),
            Event::Thinking { choice: 0, text } => self.say(What::Reasoning { signature: None }, &text, out),
            Event::Signature { choice: 0, text } => {
                if let Some(Item { what: What::Reasoning { signature }, .. }) = self.items.last_mut() {
                    *signature = Some(format!("{SIGNED}{text}"));
                }
            }
            Event::RedactedThinking { choice: 0, data } => {
                self.close(out);
                self.open(What::Hidden, out);
                self.append(self.items.len().saturating_sub(1), &format!("{HIDDEN}{data}"), out);
                self.close(out);
            }
            Event::ToolCall { choice: 0, call, id, name } => {
                self.close_said(out);
                self.open(What::Call { call, id: id.into_owned(), name: name.into_owned() }, out);
            }
            Event::ToolArguments { choice: 0, call, text } => {
                let of = |item: &Item| matches!(item.what, What::Call { call: own, .. } if own == call);
                if let Some(at) = self.items.iter().position(of) {
                    self.append(at, &text, out);
                }
            }
            Event::Stop { choice: 0, stop } => {
                self.stop = match stop {
                    Stop::Length => Some(Stop::Length),
                    Stop::Filter => Some(Stop::Filter),
                    _ => None,
                }
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Failure(failure) => self.fail(&failure.message, failure.code.as_deref(), out),
            Event::End => self.end(out),
            // Nothing of this API's.
            _ => {}
        }
    }

    fn start(&mut self, id: &str, model: String, out: &mut Vec<u8>) {
        self.id = id.to_owned();
        self.model = model;
        for name in ["response.created", "response.in_progress"] {
            let response = self.response("in_progress", Vec::new());
            self.event(name, Object::new().with("response", response), out);
        }
    }

    fn say(&mut self, what: What, text: &str, out: &mut Vec<u8>) {
        let is_open = self
            .items
            .last()
            .is_some_and(|last| last.is_open && std::mem::discriminant(&last.what) == std::mem::discriminant(&what));
        if !is_open {
            self.close(out);
            self.open(what, out);
        }
        self.append(self.items.len().saturating_sub(1), text, out);
    }

    fn open(&mut self, what: What, out: &mut Vec<u8>) {
        let at = self.items.len();
        self.items.push(Item { what, text: String::new(), is_open: true });
        let item = self.item(at, "in_progress");
        self.event("response.output_item.added", Object::new().with("output_index", at as u64).with("item", item), out);
        if let Some((name, key)) = self.part_event(at, "added") {
            let part = self.part(at);
            let event = self.place(at, key).with("part", part);
            self.event(name, event, out);
        }
    }

    fn append(&mut self, at: usize, text: &str, out: &mut Vec<u8>) {
        self.kept = self.kept.saturating_add(text.len());
        if self.kept > MAX_OUTPUT {
            return self.fail("The answer is longer than the gateway can translate in a stream.", None, out);
        }
        let Some(item) = self.items.get_mut(at) else { return };
        item.text.push_str(text);
        let (name, key) = match item.what {
            What::Call { .. } => ("response.function_call_arguments.delta", None),
            What::Hidden => return,
            What::Reasoning { .. } => ("response.reasoning_summary_text.delta", Some("summary_index")),
            What::Refusal => ("response.refusal.delta", Some("content_index")),
            What::Text => ("response.output_text.delta", Some("content_index")),
        };
        let logprobs = matches!(item.what, What::Text).then(Vec::new);
        let event = self.place(at, key).with("delta", text.to_owned()).maybe("logprobs", logprobs);
        self.event(name, event, out);
    }

    /// Texts end where something else begins; calls may be written in turns until the end.
    fn close_said(&mut self, out: &mut Vec<u8>) {
        let last = self.items.len().saturating_sub(1);
        if self.items.last().is_some_and(|item| !matches!(item.what, What::Call { .. })) {
            self.close_one(last, out);
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        for at in 0..self.items.len() {
            self.close_one(at, out);
        }
    }

    fn close_one(&mut self, at: usize, out: &mut Vec<u8>) {
        let Some(item) = self.items.get_mut(at).filter(|item| item.is_open) else { return };
        item.is_open = false;
        let text = item.text.clone();
        let done = match item.what {
            What::Call { .. } => Some(("response.function_call_arguments.done", None, "arguments")),
            What::Hidden => None,
            What::Reasoning { .. } => Some(("response.reasoning_summary_text.done", Some("summary_index"), "text")),
            What::Refusal => Some(("response.refusal.done", Some("content_index"), "refusal")),
            What::Text => Some(("response.output_text.done", Some("content_index"), "text")),
        };
        let logprobs = matches!(item.what, What::Text).then(Vec::new);
        let name = match &item.what {
            What::Call { name, .. } => Some(name.clone()),
            _ => None,
        };
        if let Some((event, key, member)) = done {
            let data = self.place(at, key).with(member, text).maybe("logprobs", logprobs).maybe("name", name);
            self.event(event, data, out);
        }
        if let Some((event, key)) = self.part_event(at, "done") {
            let data = self.place(at, key).with("part", self.part(at));
            self.event(event, data, out);
        }
        let item = self.item(at, "completed");
        self.event("response.output_item.done", Object::new().with("output_index", at as u64).with("item", item), out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        let (status, details) = answer::status(self.stop.as_ref());
        let output = (0..self.items.len()).map(|at| self.item(at, "completed").into()).collect();
        let response = self.response(status, output);
        let response = response.with("incomplete_details", details).maybe("usage", self.usage.map(answer::usage));
        let name = if status == "completed" { "response.completed" } else { "response.incomplete" };
        self.event(name, Object::new().with("response", response), out);
    }

    fn fail(&mut self, message: &str, code: Option<&str>, out: &mut Vec<u8>) {
        self.failed = true;
        let code = code.unwrap_or("server_error").to_owned();
        let event = Object::new().with("code", code).with("message", message.to_owned()).with("param", Json::Null);
        self.event("error", event, out);
    }

    fn response(&self, status: &'static str, output: Vec<Json<'static>>) -> Object<'static> {
        answer::response(&answer::response_id(&self.id), &self.model, &self.memo, status, output)
    }

    fn item(&self, at: usize, status: &'static str) -> Object<'static> {
        let id = answer::item_id(&self.id, at);
        let Some(item) = self.items.get(at) else { return Object::new() };
        let is_begun = status != "in_progress";
        let text = item.text.clone();
        match &item.what {
            What::Call { id: call, name, .. } => {
                answer::function_call(id, call.clone().into(), name.clone().into(), text.into(), status)
            }
            What::Hidden => answer::reasoning(id, None, is_begun.then_some(text)),
            What::Reasoning { signature } => {
                answer::reasoning(id, is_begun.then(|| text.into()), signature.clone().filter(|_| is_begun))
            }
            What::Refusal | What::Text => {
                let content = if is_begun { vec![self.part(at).into()] } else { Vec::new() };
                answer::message(id, status, content)
            }
        }
    }

    /// Part of a message or of a reasoning's summary.
    fn part(&self, at: usize) -> Object<'static> {
        let Some(item) = self.items.get(at) else { return Object::new() };
        let text = item.text.clone();
        match item.what {
            What::Refusal => Object::new().with("type", "refusal").with("refusal", text),
            What::Reasoning { .. } => answer::summary_part(text.into()),
            _ => answer::text_part(text.into()),
        }
    }

    fn part_event(&self, at: usize, when: &str) -> Option<(&'static str, Option<&'static str>)> {
        match (&self.items.get(at)?.what, when) {
            (What::Call { .. } | What::Hidden, _) => None,
            (What::Reasoning { .. }, "added") => Some(("response.reasoning_summary_part.added", Some("summary_index"))),
            (What::Reasoning { .. }, _) => Some(("response.reasoning_summary_part.done", Some("summary_index"))),
            (_, "added") => Some(("response.content_part.added", Some("content_index"))),
            _ => Some(("response.content_part.done", Some("content_index"))),
        }
    }

    /// Which item an event is about, and which part: there is one.
    fn place(&self, at: usize, key: Option<&'static str>) -> Object<'static> {
        let place = Object::new().with("item_id", answer::item_id(&self.id, at)).with("output_index", at as u64);
        match key {
            Some(key) => place.with(key, 0),
            None => place,
        }
    }

    fn event(&mut self, name: &'static str, data: Object<'_>, out: &mut Vec<u8>) {
        let mut event = Object::new().with("type", name).with("sequence_number", self.sequence);
        self.sequence = self.sequence.saturating_add(1);
        event.extend(data);
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        out.extend_from_slice(&event.to_bytes());
        out.extend_from_slice(b"\n\n");
    }
}
