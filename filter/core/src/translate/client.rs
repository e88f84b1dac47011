//! The chat APIs that callers speak: each reads its own requests and writes its own answers, from and to the neutral types.

pub mod chat;
pub mod messages;
pub mod responses;

use super::{
    Memo, Untranslatable,
    json::Object,
    neutral::{Answer, Event, Failure, Request},
    provider::Wire,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Chat,
    Messages,
    Responses,
}

/// Writes a stream of one API.
#[derive(Debug)]
pub enum Writer {
    Chat(chat::Writer),
    Messages(messages::Writer),
    Responses(Box<responses::Writer>),
}

impl Client {
    pub const ALL: [Self; 3] = [Self::Chat, Self::Messages, Self::Responses];

    /// As golden files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Messages => "messages",
            Self::Responses => "responses",
        }
    }

    /// The provider's API that is the same.
    pub fn own_wire(self) -> Option<Wire> {
        match self {
            Self::Chat => Some(Wire::OpenAi),
            Self::Messages => Some(Wire::Anthropic),
            // OpenAI's own server has it; those that resemble it are spoken to in chat completions.
            Self::Responses => None,
        }
    }

    /// A request of this API, and what its answer must know of it.
    pub fn request(self, body: &[u8]) -> Result<(Request<'_>, Memo), Untranslatable> {
        match self {
            Self::Chat => Ok((chat::request(body)?, Memo::default())),
            Self::Messages => Ok((messages::request(body)?, Memo::default())),
            Self::Responses => {
                responses::request(body).map(|(request, echo)| (request, Memo { echo, ..Memo::default() }))
            }
        }
    }

    pub fn answer(self, answer: Answer<'_>, memo: &Memo) -> Vec<u8> {
        match self {
            Self::Chat => chat::answer(answer, memo.created),
            Self::Messages => messages::answer(answer),
            Self::Responses => responses::answer(answer, memo),
        }
    }

    pub fn error(self, status: u16, failure: Failure<'_>) -> Object<'_> {
        match self {
            Self::Chat => chat::error(status, failure),
            Self::Messages => messages::error(status, failure),
            Self::Responses => responses::error(status, failure),
        }
    }

    pub fn writer(self, memo: Memo) -> Writer {
        match self {
            Self::Chat => Writer::Chat(chat::Writer::new(memo.created)),
            Self::Messages => Writer::Messages(messages::Writer::default()),
            Self::Responses => Writer::Responses(Box::new(responses::Writer::new(memo))),
        }
    }
}

impl Writer {
    /// Appends what a caller sees of `event`.
    pub fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Chat(writer) => writer.write(event, out),
            Self::Messages(writer) => writer.write(event, out),
            Self::Responses(writer) => writer.write(event, out),
        }
    }
}
