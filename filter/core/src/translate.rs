//! From a caller's API to a provider's and back: requests, answers, streams, errors. Pure functions: nothing here knows of
//! attempts or of Envoy. A caller's side ([`client`]) and a provider's side ([`provider`]) meet in the types of
//! [`neutral`]; what cannot be carried from one to the other is dropped or refused as `docs/translation.md` says.

pub mod client;
pub(crate) mod events;
pub mod json;
pub mod neutral;
pub mod provider;
mod read;

use self::{
    client::{Client, Writer},
    events::Events,
    json::{Json, Object},
    neutral::{Event, Failure},
    provider::{Reader, Wire},
};
use crate::{api::Api, config::Provider};

/// Why a request cannot be put in a provider's words: a sentence for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untranslatable(pub String);

/// How an entity answers an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In the API's own words: bytes pass.
    Same,
    Translated(Pair),
}

/// An API that is not the provider's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    client: Client,
    wire: Wire,
}

/// Whom a request is for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The provider's own name of the model.
    pub model: &'a str,
    /// OpenAI's own server or Azure's, whose newer models refuse names that all other servers know.
    pub is_openai: bool,
}

/// What an answer must know of its request.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    /// Seconds since the Unix epoch, for answers that tell when they were made.
    pub created: u64,
    /// Members of the request that the answer repeats.
    pub echo: Object<'static>,
}

/// A request for the provider.
#[derive(Debug)]
pub struct Sent {
    pub body: Vec<u8>,
    pub memo: Memo,
}

/// How `provider` answers `api`; `None`: not at all.
pub fn way(api: Api, provider: &Provider) -> Option<Way> {
    let wire = provider.wire();
    match (api, wire) {
        (Api::Chat | Api::Completions | Api::Embeddings, Wire::OpenAi) => Some(Way::Same),
        (Api::Predict, _) => matches!(provider, Provider::Model { .. }).then_some(Way::Same),
        (Api::Messages | Api::CountTokens, Wire::Anthropic) => Some(Way::Same),
        (Api::Chat, _) => Some(Way::Translated(Pair { client: Client::Chat, wire })),
        (Api::Responses, _) if provider.has_responses() => Some(Way::Same),
        (Api::Responses, _) => Some(Way::Translated(Pair { client: Client::Responses, wire })),
        (Api::Messages, _) => Some(Way::Translated(Pair { client: Client::Messages, wire })),
        _ => None,
    }
}

impl Pair {
    pub fn new(client: Client, wire: Wire) -> Self {
        Self { client, wire }
    }

    pub fn client(self) -> Client {
        self.client
    }

    /// A whole request's body.
    #[inline(never)]
    pub fn request(self, body: &[u8], target: &Target<'_>, now_seconds: u64) -> Result<Sent, Untranslatable> {
        let (request, mut memo) = self.client.request(body)?;
        memo.created = now_seconds;
        Ok(Sent { body: self.wire.request(request, target)?, memo })
    }

    /// A whole answer's body. What is no answer becomes an error in the caller's shape.
    #[inline(never)]
    pub fn answer(self, body: &[u8], memo: &Memo) -> Vec<u8> {
        match Json::parse(body).ok().and_then(Json::into_object) {
            Some(answer) if answer.get("error").is_none() => self.client.answer(self.wire.answer(answer), memo),
            _ => self.error(502, body),
        }
    }

    /// A provider's error. Where it is not of the provider's shape, its whole text is the message.
    #[inline(never)]
    pub fn error(self, status: u16, body: &[u8]) -> Vec<u8> {
        let failure = Json::parse(body).ok().and_then(Json::into_object).and_then(|error| self.wire.failure(error));
        let failure = failure.unwrap_or_else(|| {
            let text = String::from_utf8_lossy(body).trim().chars().take(MAX_MESSAGE_CHARS).collect::<String>();
            let none = || format!("The model's server answered {status} and did not say why.");
            Failure { message: if text.is_empty() { none() } else { text }.into(), ..Failure::default() }
        });
        self.client.error(status, failure).to_bytes()
    }

    /// What a caller hears of a request that has no translation.
    pub fn refusal(self, why: &Untranslatable) -> Vec<u8> {
        let failure = Failure { message: why.0.as_str().into(), ..Failure::default() };
        self.client.error(400, failure).to_bytes()
    }

    pub fn stream(self, memo: Memo) -> Stream {
        Stream {
            events: Events::default(),
            reader: self.wire.reader(),
            writer: self.client.writer(memo),
            is_over: false,
        }
    }
}

/// Something of the answer is lost.
const UNREADABLE: &str = "The provider sent an event that cannot be read. Send the request again.";

/// Of an error that is not of its provider's shape.
const MAX_MESSAGE_CHARS: usize = 500;

/// A stream on its way: the provider's pieces in, the caller's events out. Holds one event of the provider's at most.
#[derive(Debug)]
pub struct Stream {
    events: Events,
    reader: Reader,
    writer: Writer,
    /// The terminal event or an error has gone.
    is_over: bool,
}

impl Stream {
    /// What goes to the caller in the place of `piece`, which is the last one where it is the `end`.
    #[inline(never)]
    pub fn push(&mut self, piece: &[u8], end: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len());
        let Self { events, reader, writer, is_over } = self;
        let pushed = events.push(piece, end, |data, is_whole| {
            let mut found = Vec::new();
            if !reader.read(data, &mut found) && is_whole {
                found.push(Event::Failure(Failure { message: UNREADABLE.into(), ..Failure::default() }));
            }
            for event in found {
                if !*is_over {
                    *is_over = matches!(event, Event::End | Event::Failure(_));
                    writer.write(event, &mut out);
                }
            }
        });
        let lost = match pushed {
            Err(events::TooLong) => Some("The provider sent an event that is too long. Send the request again."),
            Ok(()) if end => {
                Some("The provider ended the stream before the answer was complete. Send the request again.")
            }
            Ok(()) => None,
        };
        if let Some(message) = lost.filter(|_| !self.is_over) {
            self.is_over = true;
            self.writer.write(Event::Failure(Failure { message: message.into(), ..Failure::default() }), &mut out);
        }
        out
    }
}

#[cfg(test)]
mod tests;
