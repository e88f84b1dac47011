//! A request's body: JSON bytes in, an [`ApiRequest`] out, or what is wrong with it. One pass; nothing is copied but the
//! few fields that Weir owns, and the bytes stay as they came.

mod body;
mod splice;
pub(crate) mod text;

use std::{collections::BTreeMap, ops::Range};

pub use body::parse;
pub use splice::{Spliced, quoted, splice, strip};

/// `usage_context` may hold this many bytes of keys and values: Databricks' own limit (10 KiB).
pub const MAX_USAGE_CONTEXT_BYTES: usize = 10 * 1024;

/// What Weir needs to know of a body. Ranges are byte offsets into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiRequest {
    pub model: Option<Field<String>>,
    /// `None` where the body does not say.
    pub stream: Option<bool>,
    pub stream_options: Option<Field<StreamOptions>>,
    pub client_request_id: Option<Field<Option<String>>>,
    pub usage_context: Option<Field<BTreeMap<String, String>>>,
    /// Characters of the prompt's text: strings, and the `text` parts of messages.
    pub characters: u64,
    /// The most tokens that the answer may have: the largest of the fields that say so.
    pub max_tokens: Option<u64>,
    /// How many answers to each prompt are asked for (`n`, `best_of`).
    pub choices: Option<u64>,
    /// How many prompts a list of them in `prompt` holds, each of which gets answers of its own; else 0.
    pub prompts: u64,
    /// Where the object's first member would stand: right behind `{`.
    pub first_member: usize,
    /// How many members the object has.
    pub members: usize,
    /// Which of `messages`, `prompt`, `input` the body holds.
    pub prompt: Option<Prompt>,
}

/// A member of the body that Weir owns: its value, where the value stands, and where the whole member does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<T> {
    pub value: T,
    pub value_range: Range<usize>,
    /// From the key's quote to the value's end, without commas.
    pub member_range: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamOptions {
    Null,
    /// An object, and what it says of `include_usage`.
    Object {
        include_usage: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    Messages,
    Prompt,
    Input,
}

/// Why a body is refused: a sentence for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRequest(pub String);

impl ApiRequest {
    pub fn is_stream(&self) -> bool {
        self.stream == Some(true)
    }

    /// Whether the client itself asked for the extra usage chunk of a stream.
    pub fn asks_for_usage(&self) -> bool {
        matches!(&self.stream_options, Some(field) if field.value == StreamOptions::Object { include_usage: true })
    }
}

#[cfg(test)]
mod tests;
