//! One event of streamGenerateContent in, neutral events out. Google has no terminal event: an answer is complete when each of its
//! candidates has said why it stopped and the stream ends.

use std::collections::BTreeMap;

use super::answer::{self, Found};
use crate::translate::{
    json::{Json, Object},
    neutral::{Event, Stop},
};

#[derive(Debug, Default)]
pub struct Reader {
    id: Option<String>,
    /// Tool calls that have been told.
    calls: u64,
    /// By their indices.
    candidates: BTreeMap<u64, Candidate>,
    /// The last thing told was a thought.
    is_thinking: bool,
}

#[derive(Debug, Default)]
struct Candidate {
    has_calls: bool,
    has_stopped: bool,
}

/// Google's own bound is 8.
const MAX_CANDIDATES: usize = 128;

impl Reader {
    pub fn read<'a>(&mut self, mut data: Object<'a>, events: &mut Vec<Event<'a>>) {
        if data.get("error").is_some() {
            events.push(Event::Failure(answer::failure(data).unwrap_or_default()));
            return;
        }
        // Anthropic's first event tells of the input's tokens.
        events.extend(data.get("usageMetadata").and_then(answer::usage).map(Event::Usage));
        if self.id.is_none() {
            let id = data.take_text("responseId").unwrap_or_default();
            self.id = Some(id.clone().into_owned());
            events.push(Event::Start { id, model: data.take_text("modelVersion").unwrap_or_default() });
        }
        let candidates = data.take_list("candidates").unwrap_or_default();
        if candidates.is_empty() && answer::blocked(&data) {
            self.candidate(0).has_stopped = true;
            events.push(Event::Stop { choice: 0, stop: Stop::Filter });
        }
        for candidate in candidates.into_iter().filter_map(Json::into_object) {
            self.say(candidate, events);
        }
    }

    /// Whether a stream that ends now has said all.
    pub fn is_complete(&self) -> bool {
        !self.candidates.is_empty() && self.candidates.values().all(|candidate| candidate.has_stopped)
    }

    fn say<'a>(&mut self, mut data: Object<'a>, events: &mut Vec<Event<'a>>) {
        let choice = data.u64("index").unwrap_or(0);
        for found in answer::parts(&mut data) {
            let was_thinking = std::mem::replace(&mut self.is_thinking, matches!(found, Found::Thought(_)));
            match found {
                Found::Text(text) => events.push(Event::Text { choice, text }),
                Found::Thought(text) => events.push(Event::Thinking { choice, text }),
                Found::Call { id, name, arguments, signature } => {
                    if let Some(text) = signature {
                        // Whoever keeps a signature keeps it with the thinking before it.
                        if !was_thinking {
                            events.push(Event::Thinking { choice, text: "".into() });
                        }
                        events.push(Event::Signature { choice, text });
                    }
                    let call = self.calls;
                    self.calls = call.saturating_add(1);
                    self.candidate(choice).has_calls = true;
                    let id = id.unwrap_or_else(|| answer::call_id(self.id.as_deref().unwrap_or_default(), call));
                    events.push(Event::ToolCall { choice, call, id, name });
                    events.push(Event::ToolArguments { choice, call, text: arguments.to_text().into() });
                }
            }
        }
        if let Some(logprobs) = data.take_object("logprobsResult").and_then(answer::logprobs) {
            events.push(Event::Logprobs { choice, logprobs });
        }
        let reason = data.take_text("finishReason");
        let candidate = self.candidate(choice);
        // A reason that is told again says nothing new.
        if let Some(reason) = reason.filter(|_| !std::mem::replace(&mut candidate.has_stopped, true)) {
            events.push(Event::Stop { choice, stop: answer::stop(reason, candidate.has_calls) });
        }
    }

    /// Beyond the bound they share one.
    fn candidate(&mut self, index: u64) -> &mut Candidate {
        let known = self.candidates.len() < MAX_CANDIDATES || self.candidates.contains_key(&index);
        self.candidates.entry(if known { index } else { u64::MAX }).or_default()
    }
}
