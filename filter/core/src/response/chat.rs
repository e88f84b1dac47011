//! OpenAI's answers, whole or one event of a stream: the usage, the characters of the text, the reason of the end. Typed
//! and borrowed: nothing is allocated but a finish reason. Fields of other types than OpenAI's are left unread.

use std::fmt;

use serde::{
    Deserialize,
    de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{request::text::Prompt, tokens::KeptText};

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
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Answer<'a> {
    #[serde(borrow)]
    choices: Option<Choices<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    error: Option<IgnoredAny>,
}

impl Answer<'_> {
    pub fn usage(&self) -> Option<Reported> {
        // A list would be read as the members in their order.
        let usage = self.usage.map(RawValue::get).filter(|usage| usage.starts_with('{'))?;
        let usage: Counts = serde_json::from_str(usage).ok()?;
        let detail = |raw: Option<&RawValue>| serde_json::from_str::<Details>(raw?.get()).ok();
        let prompt = detail(usage.prompt_tokens_details);
        Some(Reported {
            input: usage.prompt_tokens.0,
            output: usage.completion_tokens.0,
            cached_input: prompt.as_ref().and_then(|details| details.cached_tokens.0),
            cache_write_input: prompt.and_then(|details| details.cache_write_tokens.0),
            reasoning: detail(usage.completion_tokens_details).and_then(|details| details.reasoning_tokens.0),
        })
    }

    /// Adds what the model wrote to `kept`.
    pub fn keep_text(&self, kept: &mut KeptText) {
        let Some(choices) = &self.choices else { return };
        for text in choices.first.iter().chain(&choices.others) {
            kept.push(text.inside, text.characters);
        }
    }

    pub fn finish_reason(&mut self) -> Option<String> {
        super::long_enough(self.choices.as_mut()?.finish_reason.take()?.into())
    }

    pub fn is_error(&self) -> bool {
        self.error.is_some()
    }

    /// The extra chunk of `include_usage`: a usage and no choice.
    pub fn is_usage_alone(&self) -> bool {
        self.choices.as_ref().is_some_and(|choices| choices.count == 0)
            && self.usage.is_some_and(|usage| usage.get().starts_with('{'))
    }
}

/// `usage`: an object, or it is none. A count of another type is none, and does not spoil the others.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts<'a> {
    prompt_tokens: Count,
    completion_tokens: Count,
    #[serde(borrow)]
    prompt_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens_details: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Count,
    cache_write_tokens: Count,
    reasoning_tokens: Count,
}

/// A whole number that is not negative; `None`: anything else.
#[derive(Default)]
struct Count(Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(raw.get().parse().ok()))
    }
}

/// All choices of an answer: their texts in a row. Most events have one text, which needs no list.
#[derive(Debug, Default)]
struct Choices<'a> {
    count: usize,
    first: Option<Text<'a>>,
    others: Vec<Text<'a>>,
    finish_reason: Option<String>,
}

/// The inside of a JSON string, with its characters.
#[derive(Clone, Copy, Debug)]
struct Text<'a> {
    inside: &'a str,
    characters: u64,
}

impl<'a> Choices<'a> {
    fn push(&mut self, text: Text<'a>) {
        if self.first.is_none() {
            self.first = Some(text);
        } else {
            self.others.push(text);
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ChoicesVisitor)
    }
}

struct ChoicesVisitor;

impl<'de> Visitor<'de> for ChoicesVisitor {
    type Value = Choices<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of choices")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Choices<'de>, A::Error> {
        let mut choices = Choices::default();
        while let Some(choice) = list.next_element::<Choice<'de>>()? {
            choices.count = choices.count.saturating_add(1);
            for raw in [choice.delta, choice.message, choice.text].into_iter().flatten() {
                written(raw.get(), 0, &mut choices).map_err(A::Error::custom)?;
            }
            choices.finish_reason = choice.finish_reason.or(choices.finish_reason);
        }
        Ok(choices)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    /// Of the older completions.
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    finish_reason: Option<String>,
}

/// A delta holds tool calls, which hold a function, which holds arguments.
const MAX_DEPTH: u8 = 4;

/// Finds a text, or the members of an object that the model wrote.
fn written<'a>(raw: &'a str, depth: u8, choices: &mut Choices<'a>) -> serde_json::Result<()> {
    let is_deep = depth >= MAX_DEPTH;
    let inner = Written { depth: depth.saturating_add(1), choices };
    match raw.as_bytes().first() {
        Some(b'"') => {
            let characters = Prompt::of_text(raw).characters();
            let inside = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
            inner.choices.push(Text { inside, characters });
            Ok(())
        }
        Some(b'{') if !is_deep => serde_json::Deserializer::from_str(raw).deserialize_map(inner),
        Some(b'[') if !is_deep => serde_json::Deserializer::from_str(raw).deserialize_seq(inner),
        _ => Ok(()),
    }
}

struct Written<'c, 'a> {
    depth: u8,
    choices: &'c mut Choices<'a>,
}

impl<'de> Visitor<'de> for Written<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what a model wrote")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(item) = list.next_element::<&'de RawValue>()? {
            written(item.get(), self.depth, self.choices).map_err(A::Error::custom)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            if is_written(key.get()) {
                let value = map.next_value::<&'de RawValue>()?;
                written(value.get(), self.depth, self.choices).map_err(A::Error::custom)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Members of a message or a delta that hold the model's own words, and the way to a tool call's.
fn is_written(key: &str) -> bool {
    matches!(
        key,
        r#""content""#
            | r#""refusal""#
            | r#""reasoning_content""#
            | r#""text""#
            | r#""tool_calls""#
            | r#""function_call""#
            | r#""function""#
            | r#""arguments""#
    )
}
