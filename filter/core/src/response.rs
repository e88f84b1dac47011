//! A model's answer as it passes: pieces of any size in, the same bytes out (but for what Weir owns), and at the end what
//! the answer said of itself. Pieces may be cut anywhere, in the middle of a character too. Bytes that are no JSON and no
//! event pass as they came.

pub mod aggregate;
mod chat;
mod json;
mod message;
mod openai_response;
mod sse;

use crate::{api::Api, paths::Shape, tokens::KeptText, translate::neutral};

pub use chat::Reported;
pub use json::Json;
pub use sse::Sse;

/// What to pass on in a piece's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Same,
    Replaced(Vec<u8>),
}

/// What an answer said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    pub usage: Option<Reported>,
    /// What the model wrote, as far as it may have to be counted.
    pub text: KeptText,
    /// Whether it was found out what the model wrote, if anything.
    pub is_read: bool,
    pub finish_reason: Option<String>,
    /// Whether the answer came to its own end.
    pub complete: bool,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terminal {
    Done,
    /// The provider's own error event.
    Error,
}

impl From<neutral::Usage> for Reported {
    fn from(usage: neutral::Usage) -> Self {
        Self {
            input: Some(usage.input),
            output: Some(usage.output),
            cached_input: usage.cached_input,
            cache_write_input: usage.cache_write_input,
            reasoning: usage.reasoning,
        }
    }
}

/// In bytes; `model_context_window_exceeded` has 29.
const MAX_FINISH_REASON: usize = 64;

/// A longer one than any that is known is no reason for a record to hold.
fn long_enough(reason: neutral::Text<'_>) -> Option<String> {
    (reason.len() <= MAX_FINISH_REASON).then(|| reason.into_owned())
}

/// What is done with a stream besides reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The client did not ask for the extra usage chunk.
    pub drop_usage: bool,
    /// Nothing but lines of `data: ` may pass: what MLflow's clients read.
    pub data_only: bool,
}

impl Filter {
    pub fn new(shape: Shape, drop_usage: bool) -> Self {
        Self { drop_usage, data_only: shape == Shape::Databricks }
    }

    fn is_needed(self) -> bool {
        self.drop_usage || self.data_only
    }
}

/// Reads an answer by its kind.
#[derive(Debug)]
pub enum Reader {
    Json(Json),
    Sse(Box<Sse>),
    /// Neither: passes unread.
    Opaque {
        ended: bool,
    },
}

impl Reader {
    /// By the API that the client spoke, and the answer's `content-type`.
    pub fn new(api: Api, content_type: &str, filter: Filter) -> Self {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("text/event-stream") {
            Self::Sse(Box::new(Sse::new(api, filter)))
        } else if kind.eq_ignore_ascii_case("application/json") {
            Self::Json(Json::new(api))
        } else {
            Self::Opaque { ended: false }
        }
    }

    /// Whether [`Reader::push`] may give anything but [`Piece::Same`].
    pub fn may_replace(&self) -> bool {
        matches!(self, Self::Sse(_))
    }

    /// Takes the next piece, `end` with the last one, which may be empty.
    pub fn push(&mut self, piece: Vec<u8>, end: bool) -> Piece {
        match self {
            Self::Json(json) => {
                json.push(piece, end);
                Piece::Same
            }
            Self::Sse(sse) => sse.push(piece, end),
            Self::Opaque { ended } => {
                *ended = end;
                Piece::Same
            }
        }
    }

    /// What has been read so far.
    pub fn finish(self) -> Read {
        match self {
            Self::Json(json) => json.finish(),
            Self::Sse(sse) => sse.finish(),
            Self::Opaque { ended } => Read { complete: ended, ..Read::default() },
        }
    }
}

#[cfg(test)]
mod tests;
