//! A model's answer as it passes: pieces of any size in, the same bytes out (but for what Weir owns), and at the end what
//! the answer said of itself. Pieces may be cut anywhere, in the middle of a character too. Bytes that are no JSON and no
//! event pass as they came.

mod chat;
mod json;
mod sse;

pub use chat::Reported;
pub use json::Json;
pub use sse::Sse;
pub(crate) use sse::event_end;

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
    /// Characters of the text that the model wrote.
    pub characters: u64,
    pub finish_reason: Option<String>,
    /// Whether the answer came to its own end.
    pub complete: bool,
}

/// Reads an answer by its kind.
#[derive(Debug)]
pub enum Reader {
    Json(Json),
    Sse(Sse),
    /// Neither: passes unread.
    Opaque {
        ended: bool,
    },
}

impl Reader {
    /// By the answer's `content-type`. `drop_usage`: the client did not ask for a stream's extra usage chunk.
    pub fn new(content_type: &str, drop_usage: bool) -> Self {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("text/event-stream") {
            Self::Sse(Sse::new(drop_usage))
        } else if kind.eq_ignore_ascii_case("application/json") {
            Self::Json(Json::default())
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
