//! The prompt's text, walked where it stands in the JSON: characters are counted, nothing is decoded or kept. Text that
//! cannot be decoded (a lone surrogate) is counted like any other: refusing it is the provider's business.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What a prompt is, with the characters of its text: those of a string, of each string of a list, and of the `content`
/// of messages, which is a string or parts with `text`. Numbers (token ids) and everything else count nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    Text(u64),
    List(u64),
    Other,
}

impl Prompt {
    pub fn characters(self) -> u64 {
        match self {
            Self::Text(characters) | Self::List(characters) => characters,
            Self::Other => 0,
        }
    }

    /// Of one JSON value as it stands in the body.
    pub fn of(raw: &RawValue) -> serde_json::Result<Self> {
        Self::at_depth(raw.get(), 0)
    }

    /// Of a JSON string, quotes included.
    pub fn of_text(raw: &str) -> Self {
        match raw.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(text) => Self::Text(characters(text.as_bytes())),
            None => Self::Other,
        }
    }

    fn at_depth(raw: &str, depth: u8) -> serde_json::Result<Self> {
        match raw.as_bytes() {
            [b'"', ..] => Ok(Self::of_text(raw)),
            [b'[', ..] if depth < MAX_DEPTH => serde_json::Deserializer::from_str(raw)
                .deserialize_seq(List { depth: depth.saturating_add(1) })
                .map(Self::List),
            [b'[', ..] => Ok(Self::List(0)),
            _ => Ok(Self::Other),
        }
    }
}

/// How many prompts a list holds; 0 of what is one prompt: a text, or its token ids.
pub fn prompts(raw: &RawValue) -> serde_json::Result<u64> {
    match raw.get().as_bytes().first() {
        Some(b'[') => serde_json::Deserializer::from_str(raw.get()).deserialize_seq(Prompts),
        _ => Ok(0),
    }
}

struct Prompts;

impl<'de> Visitor<'de> for Prompts {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of prompts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<u64, A::Error> {
        let mut prompts = 0u64;
        while let Some(item) = list.next_element::<&'de RawValue>()? {
            prompts = prompts.saturating_add(u64::from(matches!(item.get().as_bytes(), [b'"' | b'[', ..])));
        }
        Ok(prompts)
    }
}

/// Lists within lists: messages, their parts, a tool result's parts within one. Deeper ones hold no prompt's text.
const MAX_DEPTH: u8 = 4;

/// Characters of a JSON string's inside: an escape is one, a surrogate pair is one.
pub fn characters(inside: &[u8]) -> u64 {
    let mut rest = inside;
    let mut count = code_points(rest);
    while let Some(escape) = memchr::memchr(b'\\', rest).and_then(|at| rest.get(at..)) {
        let (length, written) = match escape {
            [_, b'u', b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', ..] => (6, 0), // the second half of a counted pair
            [_, b'u', ..] => (6, 1),
            _ => (2, 1),
        };
        count = count.saturating_sub(length - written);
        rest = escape.get(length..).unwrap_or_default();
    }
    count as u64
}

/// Of UTF-8: its bytes but for those that continue one. As `chars().count()`, which looks at a word at a time; sums of bytes
/// (so of at most 255) become vectors, of 16 bytes in WebAssembly.
fn code_points(text: &[u8]) -> usize {
    let begins = |byte: &u8| u8::from((*byte as i8) >= -0x40);
    let sum = |part: &[u8]| usize::from(part.iter().fold(0u8, |sum, byte| sum.wrapping_add(begins(byte))));
    text.chunks(240).map(sum).sum()
}

/// Reads `messages`: the characters of their text, in one pass.
pub struct Messages;

impl<'de> DeserializeSeed<'de> for Messages {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Messages {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<u64, A::Error> {
        let mut characters = 0u64;
        while let Some(message) = list.next_element_seed(Message { depth: 1 })? {
            characters = characters.saturating_add(message);
        }
        Ok(characters)
    }
}

/// Reads a list of strings or parts.
struct List {
    depth: u8,
}

impl<'de> Visitor<'de> for List {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<u64, A::Error> {
        let mut characters = 0u64;
        while let Some(item) = list.next_element::<&'de RawValue>()? {
            let of_item = match item.get().as_bytes().first() {
                Some(b'{') => {
                    serde_json::Deserializer::from_str(item.get()).deserialize_map(Message { depth: self.depth })
                }
                _ => Prompt::at_depth(item.get(), self.depth).map(Prompt::characters),
            };
            characters = characters.saturating_add(of_item.map_err(A::Error::custom)?);
        }
        Ok(characters)
    }
}

/// Reads a message or a part.
struct Message {
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for Message {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Message {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        let mut characters = 0u64;
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            if matches!(key.get(), r#""content""# | r#""text""#) {
                let text = Prompt::at_depth(map.next_value::<&'de RawValue>()?.get(), self.depth);
                characters = characters.saturating_add(text.map_err(A::Error::custom)?.characters());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(characters)
    }
}
