//! OpenAI's answers, whole or one event of a stream: the usage, the characters of the text, the reason of the end. Typed
//! and borrowed: nothing is allocated but a finish reason. Fields of other types than OpenAI's are left unread.

use std::fmt;

use serde::{
    Deserialize,
    de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::request::text::Prompt;

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
    choices: Option<Choices>,
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

    pub fn characters(&self) -> u64 {
        self.choices.as_ref().map_or(0, |choices| choices.characters)
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

/// All choices of an answer, added up.
#[derive(Debug, Default)]
struct Choices {
    count: usize,
    characters: u64,
    finish_reason: Option<String>,
}

impl<'de> Deserialize<'de> for Choices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ChoicesVisitor)
    }
}

struct ChoicesVisitor;

impl<'de> Visitor<'de> for ChoicesVisitor {
    type Value = Choices;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of choices")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Choices, A::Error> {
        let mut choices = Choices::default();
        while let Some(choice) = list.next_element::<Choice>()? {
            choices.count = choices.count.saturating_add(1);
            let texts = [choice.delta, choice.message, choice.text].into_iter().flatten();
            choices.characters = texts.fold(choices.characters, |sum, Text(n)| sum.saturating_add(n));
            choices.finish_reason = choice.finish_reason.or(choices.finish_reason);
        }
        Ok(choices)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice {
    delta: Option<Text>,
    message: Option<Text>,
    /// Of the older completions.
    text: Option<Text>,
    finish_reason: Option<String>,
}

/// Characters of a text, or of the members of an object that the model wrote.
struct Text(u64);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        written(raw.get(), 0).map(Self).map_err(D::Error::custom)
    }
}

/// A delta holds tool calls, which hold a function, which holds arguments.
const MAX_DEPTH: u8 = 4;

fn written(raw: &str, depth: u8) -> serde_json::Result<u64> {
    let inner = Written { depth: depth.saturating_add(1) };
    match raw.as_bytes().first() {
        Some(b'"') => Ok(Prompt::of_text(raw).characters()),
        Some(b'{') if depth < MAX_DEPTH => serde_json::Deserializer::from_str(raw).deserialize_map(inner),
        Some(b'[') if depth < MAX_DEPTH => serde_json::Deserializer::from_str(raw).deserialize_seq(inner),
        _ => Ok(0),
    }
}

struct Written {
    depth: u8,
}

impl<'de> Visitor<'de> for Written {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what a model wrote")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<u64, A::Error> {
        let mut sum = 0u64;
        while let Some(item) = list.next_element::<&'de RawValue>()? {
            sum = sum.saturating_add(written(item.get(), self.depth).map_err(A::Error::custom)?);
        }
        Ok(sum)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        let mut sum = 0u64;
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            if is_written(key.get()) {
                let value = map.next_value::<&'de RawValue>()?;
                sum = sum.saturating_add(written(value.get(), self.depth).map_err(A::Error::custom)?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(sum)
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
