//! The chat APIs that providers speak: each writes its own requests and reads its own answers, from and to the neutral
//! types. A new one is a folder here, a variant of [`Wire`] and a column of golden files.

pub mod anthropic;
pub mod bedrock;
pub mod cohere;
pub mod google;
pub mod openai;

use super::{
    Target, Untranslatable,
    json::{Json, Object},
    neutral::{Answer, Event, Failure, Request},
};

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Anthropic,
    Bedrock,
    Cohere,
    Google,
    OpenAi,
}

/// Reads a stream of one API.
#[derive(Debug)]
pub enum Reader {
    Anthropic(anthropic::Reader),
    Bedrock(bedrock::Reader),
    Cohere(cohere::Reader),
    Google(google::Reader),
    OpenAi(openai::Reader),
}

impl Wire {
    pub const ALL: [Self; 5] = [Self::Anthropic, Self::Bedrock, Self::Cohere, Self::Google, Self::OpenAi];

    /// As golden files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Bedrock => "bedrock",
            Self::Cohere => "cohere",
            Self::Google => "google",
            Self::OpenAi => "openai",
        }
    }

    pub fn request(self, request: Request<'_>, target: &Target<'_>) -> Result<Vec<u8>, Untranslatable> {
        match self {
            Self::Anthropic => anthropic::request(request, target),
            Self::Bedrock => bedrock::request(request, target),
            Self::Cohere => cohere::request(request, target),
            Self::Google => google::request(request, target),
            Self::OpenAi => openai::request(request, target),
        }
    }

    pub fn answer(self, answer: Object<'_>) -> Answer<'_> {
        match self {
            Self::Anthropic => anthropic::answer(answer),
            Self::Bedrock => bedrock::answer(answer),
            Self::Cohere => cohere::answer(answer),
            Self::Google => google::answer(answer),
            Self::OpenAi => openai::answer(answer),
        }
    }

    /// Whether a whole answer says itself that it is none.
    pub fn has_failed(self, answer: &Object<'_>) -> bool {
        let reason = || answer.text("finish_reason").unwrap_or_default();
        answer.get("error").is_some() || self == Self::Cohere && cohere::has_failed(reason())
    }

    pub fn failure(self, error: Object<'_>) -> Option<Failure<'_>> {
        match self {
            Self::Anthropic => anthropic::failure(error),
            Self::Bedrock => bedrock::failure(error),
            Self::Cohere => cohere::failure(error),
            Self::Google => google::failure(error),
            Self::OpenAi => openai::failure(error),
        }
    }

    /// The content type of its streams.
    pub fn stream_type(self) -> &'static str {
        match self {
            Self::Bedrock => "application/vnd.amazon.eventstream",
            _ => "text/event-stream",
        }
    }

    pub fn reader(self) -> Reader {
        match self {
            Self::Anthropic => Reader::Anthropic(anthropic::Reader::default()),
            Self::Bedrock => Reader::Bedrock(bedrock::Reader::default()),
            Self::Cohere => Reader::Cohere(cohere::Reader::default()),
            Self::Google => Reader::Google(google::Reader::default()),
            Self::OpenAi => Reader::OpenAi(openai::Reader::default()),
        }
    }
}

impl Reader {
    /// One event's data, and its name where that stands elsewhere. False: it cannot be read.
    pub fn read<'a>(&mut self, name: &'a str, data: &'a [u8], events: &mut Vec<Event<'a>>) -> bool {
        if data == b"[DONE]" {
            events.push(Event::End);
            return true;
        }
        let Some(data) = Json::parse(data).ok().and_then(Json::into_object) else { return false };
        match self {
            Self::Anthropic(reader) => reader.read(data, events),
            Self::Bedrock(reader) => reader.read(name, data, events),
            Self::Cohere(reader) => reader.read(data, events),
            Self::Google(reader) => reader.read(data, events),
            Self::OpenAi(reader) => reader.read(data, events),
        }
        true
    }

    /// Whether a stream that ends now is complete, of a provider that has no terminal event.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Google(reader) => reader.is_complete(),
            Self::Anthropic(_) | Self::Bedrock(_) | Self::Cohere(_) | Self::OpenAi(_) => false,
        }
    }
}
