//! The chat APIs that callers speak: each reads its own requests and writes its own answers, from and to the neutral types.

pub mod chat;

use super::{
    Memo, Untranslatable,
    json::Object,
    neutral::{Answer, Event, Failure, Request},
    provider::Wire,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Chat,
}

/// Writes a stream of one API.
#[derive(Debug)]
pub enum Writer {
    Chat(chat::Writer),
}

impl Client {
    pub const ALL: [Self; 1] = [Self::Chat];

    /// As golden files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
        }
    }

    /// The provider's API that is the same.
    pub fn own_wire(self) -> Option<Wire> {
        match self {
            Self::Chat => Some(Wire::OpenAi),
        }
    }

    /// A request of this API, and what its answer must know of it.
    pub fn request(self, body: &[u8]) -> Result<(Request<'_>, Memo), Untranslatable> {
        match self {
            Self::Chat => Ok((chat::request(body)?, Memo::default())),
        }
    }

    pub fn answer(self, answer: Answer<'_>, memo: &Memo) -> Vec<u8> {
        match self {
            Self::Chat => chat::answer(answer, memo.created),
        }
    }

    pub fn error(self, status: u16, failure: Failure<'_>) -> Object<'_> {
        match self {
            Self::Chat => chat::error(status, failure),
        }
    }

    pub fn writer(self, memo: Memo) -> Writer {
        match self {
            Self::Chat => Writer::Chat(chat::Writer::new(memo.created)),
        }
    }
}

impl Writer {
    /// Appends what a caller sees of `event`.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Chat(writer) => writer.write(event, out),
        }
    }
}
