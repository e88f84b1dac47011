//! OpenAI's answers, whole or one event of a stream: the usage, the characters of the text, the reason of the end. One walk, and
//! nothing is allocated but a finish reason. Fields of other types than OpenAI's are left unread.

use crate::{
    cursor::{Cursor, Kind},
    request::text::characters,
    tokens::KeptText,
};

/// What the provider says it counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    pub input: Option<u64>,
    pub output: Option<u64>,
    pub cached_input: Option<u64>,
    pub cache_write_input: Option<u64>,
    pub reasoning: Option<u64>,
}

/// A chat completion, a completion, a list of embeddings, an error, or one event's chunk of the first two.
#[derive(Debug, Default)]
pub struct Answer<'a> {
    choices: Option<Choices<'a>>,
    pub usage: Option<Reported>,
    pub is_error: bool,
}

impl<'a> Answer<'a> {
    /// `None`: it is no object, or not all of one.
    pub fn read(json: &'a [u8]) -> Option<Self> {
        let mut answer = Self::default();
        let mut cursor = Cursor::new(json);
        if cursor.kind() != Some(Kind::Object) {
            return None;
        }
        cursor.object(|cursor, key| match key {
            b"choices" if cursor.kind() == Some(Kind::List) => answer.choices = Some(Choices::read(cursor)),
            b"usage" if cursor.kind() == Some(Kind::Object) => answer.usage = Some(Reported::read(cursor)),
            b"error" => answer.is_error = cursor.raw() != b"null",
            _ => {}
        });
        cursor.is_whole().then_some(answer)
    }

    /// Adds what the model wrote to `kept`.
    pub fn keep_text(&self, kept: &mut KeptText) {
        let Some(choices) = &self.choices else { return };
        for text in choices.first.iter().chain(&choices.others) {
            kept.push(text, characters(text.as_bytes()));
        }
    }

    pub fn finish_reason(&mut self) -> Option<String> {
        super::long_enough(self.choices.as_mut()?.finish_reason.take()?.into())
    }

    /// The extra chunk of `include_usage`: a usage and no choice.
    pub fn is_usage_alone(&self) -> bool {
        self.usage.is_some() && self.choices.as_ref().is_some_and(|choices| choices.count == 0)
    }
}

impl Reported {
    /// A count of another type is none, and does not spoil the others.
    pub fn read(usage: &mut Cursor<'_>) -> Self {
        let mut reported = Self::default();
        usage.object(|cursor, key| match key {
            b"prompt_tokens" => reported.input = count(cursor),
            b"completion_tokens" => reported.output = count(cursor),
            b"prompt_tokens_details" => cursor.object(|cursor, key| match key {
                b"cached_tokens" => reported.cached_input = count(cursor),
                b"cache_write_tokens" => reported.cache_write_input = count(cursor),
                _ => {}
            }),
            b"completion_tokens_details" => cursor.object(|cursor, key| {
                if key == b"reasoning_tokens" {
                    reported.reasoning = count(cursor);
                }
            }),
            _ => {}
        });
        reported
    }
}

/// A whole number that is not negative; `None`: anything else.
fn count(cursor: &mut Cursor<'_>) -> Option<u64> {
    std::str::from_utf8(cursor.raw()).ok()?.parse().ok()
}

/// All choices of an answer: the insides of their texts in a row. Most events have one text, which needs no list.
#[derive(Debug, Default)]
struct Choices<'a> {
    count: usize,
    first: Option<&'a str>,
    others: Vec<&'a str>,
    finish_reason: Option<String>,
}

impl<'a> Choices<'a> {
    fn read(list: &mut Cursor<'a>) -> Self {
        let mut choices = Self::default();
        list.list(|cursor| {
            choices.count = choices.count.saturating_add(1);
            cursor.object(|cursor, key| match key {
                // `text`: of the older completions.
                b"delta" | b"message" | b"text" => choices.written(cursor, 0),
                b"finish_reason" if cursor.kind() == Some(Kind::Text) => {
                    choices.finish_reason = serde_json::from_slice(cursor.raw()).ok();
                }
                _ => {}
            });
        });
        choices
    }

    /// Finds a text, or the members of an object that the model wrote.
    fn written(&mut self, cursor: &mut Cursor<'a>, depth: u8) {
        let inner = depth.saturating_add(1);
        match cursor.kind() {
            Some(Kind::Text) => self.push(cursor.text()),
            Some(Kind::Object) if depth < MAX_DEPTH => cursor.object(|cursor, key| {
                if is_written(key) {
                    self.written(cursor, inner);
                }
            }),
            Some(Kind::List) if depth < MAX_DEPTH => cursor.list(|cursor| self.written(cursor, inner)),
            _ => {}
        }
    }

    fn push(&mut self, inside: &'a [u8]) {
        // What is no text was not written by a model.
        let Ok(text) = std::str::from_utf8(inside) else { return };
        if self.first.is_none() {
            self.first = Some(text);
        } else {
            self.others.push(text);
        }
    }
}

/// A delta holds tool calls, which hold a function, which holds arguments.
const MAX_DEPTH: u8 = 4;

/// Members of a message or a delta that hold the model's own words, and the way to a tool call's.
fn is_written(key: &[u8]) -> bool {
    matches!(
        key,
        b"content"
            | b"refusal"
            | b"reasoning_content"
            | b"text"
            | b"tool_calls"
            | b"function_call"
            | b"function"
            | b"arguments"
    )
}
