//! The chat APIs that providers speak: each writes its own requests and reads its own answers, from and to the neutral
//! types. A new one is a folder here, a variant of [`Wire`] and a column of golden files.

pub mod anthropic;

use super::{
    Target, Untranslatable,
    json::{Json, Object},
    neutral::{Answer, Event, Failure, Request},
};

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Anthropic,
    OpenAi,
}

/// Reads a stream of one API.
#[derive(Debug)]
pub enum Reader {
    Anthropic(anthropic::Reader),
}

impl Wire {
    pub const ALL: [Self; 2] = [Self::Anthropic, Self::OpenAi];

    /// As golden files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
        }
    }

    pub fn request(self, request: Request<'_>, target: &Target<'_>) -> Result<Vec<u8>, Untranslatable> {
        match self {
            Self::Anthropic => anthropic::request(request, target),
            Self::OpenAi => Err(Untranslatable("no".into())),
        }
    }

    pub fn answer(self, answer: Object<'_>) -> Answer<'_> {
        match self {
            Self::Anthropic => anthropic::answer(answer),
            Self::OpenAi => Answer::default(),
        }
    }

    pub fn failure(self, error: Object<'_>) -> Option<Failure<'_>> {
        match self {
            Self::Anthropic => anthropic::failure(error),
            Self::OpenAi => None,
        }
    }

    pub fn reader(self) -> Reader {
        match self {
            Self::Anthropic | Self::OpenAi => Reader::Anthropic(anthropic::Reader::default()),
        }
    }
}

impl Reader {
    /// `data`: one event's. What is no JSON is a failure of the provider's: something of its answer is lost.
    pub fn read<'a>(&mut self, data: &'a [u8], events: &mut Vec<Event<'a>>) {
        if data == b"[DONE]" {
            return events.push(Event::End);
        }
        match (self, Json::parse(data).ok().and_then(Json::into_object)) {
            (_, None) => events.push(Event::Failure(Failure {
                message: "The provider sent an event that cannot be read. Send the request again.".into(),
                ..Failure::default()
            })),
            (Self::Anthropic(reader), Some(data)) => reader.read(data, events),
        }
    }
}
