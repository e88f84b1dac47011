//! The policy as it was written: JSON in, a tree out that keeps what `serde_json::Value` would lose, namely the order of
//! keys and keys that stand twice. Judges nothing.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;

use crate::key::Key;

#[derive(Debug)]
pub(super) enum Node<'a> {
    Null,
    Flag(bool),
    Number(Number),
    /// Borrowed from the document unless it is escaped there.
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    /// In the order of the document; a key may stand in here twice.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// The value as an error may show it: one line, long texts cut, lists and objects by their kind alone.
    pub fn show(&self) -> String {
        match self {
            Self::Flag(flag) => format!("`{flag}`"),
            Self::Number(number) => format!("`{number}`"),
            Self::Text(text) => format!("`{}`", show_text(text)),
            Self::List(items) if items.is_empty() => "an empty list".to_owned(),
            Self::Null | Self::List(_) | Self::Object(_) => self.kind().to_owned(),
        }
    }

    /// What kind of value it is: all that an error may show of a value that should have been of another kind, because a
    /// secret may stand where an object belongs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "`null`",
            Self::Flag(_) => "a flag",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An object's value of `key`.
    pub fn entry(&self, key: &str) -> Option<&Node<'a>> {
        let Self::Object(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// A whole number that is not negative; `5.0` is one, because Envoy turns every number of a `Struct` into a double.
    pub fn whole(&self) -> Option<u64> {
        /// 2^53: up to here a double holds every whole number.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let Self::Number(number) = self else { return None };
        number.as_u64().or_else(|| {
            let double = number.as_f64()?;
            (double.fract() == 0.0 && (0.0..=EXACT).contains(&double)).then_some(double as u64)
        })
    }
}

/// `text` without line breaks and other control characters, cut at 80 characters.
pub(super) fn show_text(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown = String::new();
    for (at, character) in text.chars().enumerate() {
        if at == SHOWN {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Node<'de>, E> {
        Ok(Node::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node<'de>, E> {
        Ok(Number::from_f64(number).map_or(Node::Null, Node::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some((Key(key), value)) = access.next_entry()? {
            entries.push((key, value));
        }
        Ok(Node::Object(entries))
    }
}
