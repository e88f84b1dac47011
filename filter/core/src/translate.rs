//! From a caller's API to a provider's and back: requests, answers, streams, errors. Pure functions: nothing here knows of
//! attempts or of Envoy. A caller's side ([`client`]) and a provider's side ([`provider`]) meet in the types of
//! [`neutral`]; what cannot be carried from one to the other is dropped or refused as `docs/translation.md` says.

pub mod client;
pub mod embeddings;
pub(crate) mod events;
mod frames;
pub mod json;
pub mod neutral;
pub mod provider;
mod read;

use self::{
    client::{Client, Writer},
    embeddings::Embedder,
    events::Events,
    frames::{Broken, Frames, Kind},
    json::{Json, Object},
    neutral::{Event, Failure, Text},
    provider::{Reader, Wire},
};

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
pub enum Pair {
    Chat { client: Client, wire: Wire },
    Embeddings(Embedder),
}

/// Whom a request is for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The provider's own name of the model.
    pub model: &'a str,
    /// OpenAI's own server or Azure's, whose newer models refuse names that all other servers know.
    pub is_openai: bool,
    /// One of Anthropic's models, whoever serves it.
    pub is_anthropic: bool,
}

/// What an answer must know of its request.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    /// Seconds since the Unix epoch, for answers that tell when they were made.
    pub created: u64,
    /// Members of the request that the answer repeats.
    pub echo: Object<'static>,
    /// For answers that do not tell: what was asked for, and the provider's name of the exchange.
    pub model: String,
    pub id: String,
    /// Embeddings as base64.
    pub is_base64: bool,
    /// The provider's count, where it stands in a header.
    pub input_tokens: Option<u64>,
}

/// A request for the provider.
#[derive(Debug)]
pub struct Sent {
    pub body: Vec<u8>,
    pub memo: Memo,
}

impl Pair {
    pub fn new(client: Client, wire: Wire) -> Self {
        Self::Chat { client, wire }
    }

    /// The provider's words, as golden files have them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat { wire, .. } => wire.name(),
            Self::Embeddings(embedder) => embedder.name(),
        }
    }

    /// A whole request's body.
    #[inline(never)]
    pub fn request(self, body: &[u8], target: &Target<'_>, now_seconds: u64) -> Result<Sent, Untranslatable> {
        let (client, wire) = match self {
            Self::Chat { client, wire } => (client, wire),
            Self::Embeddings(embedder) => return embedder.request(body, target),
        };
        let (request, mut memo) = client.request(body)?;
        memo.created = now_seconds;
        memo.model = target.model.to_owned();
        Ok(Sent { body: wire.request(request, target)?, memo })
    }

    /// A whole answer's body. What is no answer becomes an error in the caller's shape.
    #[inline(never)]
    pub fn answer(self, body: &[u8], memo: &Memo) -> Vec<u8> {
        let answer = Json::parse(body).ok().and_then(Json::into_object);
        let answer = answer.and_then(|answer| match self {
            Self::Chat { wire, .. } if wire.has_failed(&answer) => None,
            Self::Chat { client, wire } => {
                let mut answer = wire.answer(answer);
                named(&mut answer.id, &mut answer.model, memo);
                Some(client.answer(answer, memo))
            }
            Self::Embeddings(embedder) => embedder.answer(answer, memo),
        });
        answer.unwrap_or_else(|| self.error(502, body))
    }

    /// A provider's error. Where it is not of the provider's shape, its whole text is the message.
    #[inline(never)]
    pub fn error(self, status: u16, body: &[u8]) -> Vec<u8> {
        let error = Json::parse(body).ok().and_then(Json::into_object);
        let failure = error.and_then(|error| match self {
            Self::Chat { wire, .. } => wire.failure(error),
            Self::Embeddings(embedder) => embedder.failure(error),
        });
        let failure = failure.unwrap_or_else(|| {
            let text = String::from_utf8_lossy(body).trim().chars().take(MAX_MESSAGE_CHARS).collect::<String>();
            let none = || format!("The model's server answered {status} and did not say why.");
            Failure { message: if text.is_empty() { none() } else { text }.into(), ..Failure::default() }
        });
        self.failed(status, failure)
    }

    /// What a caller hears of a request that has no translation.
    pub fn refusal(self, why: &Untranslatable) -> Vec<u8> {
        self.failed(400, Failure { message: why.0.as_str().into(), ..Failure::default() })
    }

    fn failed(self, status: u16, failure: Failure<'_>) -> Vec<u8> {
        match self {
            Self::Chat { client, .. } => client.error(status, failure),
            Self::Embeddings(embedder) => embedder.error(status, failure),
        }
        .to_bytes()
    }

    /// Whose answers are named, and some counted, in headers.
    pub fn is_bedrock(self) -> bool {
        use Embedder::{BedrockCohere, BedrockTitan};
        matches!(self, Self::Chat { wire: Wire::Bedrock, .. } | Self::Embeddings(BedrockCohere | BedrockTitan))
    }

    /// The content type of the provider's streams; `None`: this API has none.
    pub fn stream_type(self) -> Option<&'static str> {
        match self {
            Self::Chat { wire, .. } => Some(wire.stream_type()),
            Self::Embeddings(_) => None,
        }
    }

    /// `None`: this API has no streams.
    pub fn stream(self, memo: Memo) -> Option<Stream> {
        let Self::Chat { client, wire } = self else { return None };
        let reader = wire.reader();
        let cutter = match wire {
            Wire::Bedrock => Cutter::Frames(Frames::default()),
            _ => Cutter::Events(Events::default()),
        };
        let names = Memo { id: memo.id.clone(), model: memo.model.clone(), ..Memo::default() };
        Some(Stream { cutter, reader, writer: client.writer(memo), names, is_over: false })
    }
}

/// What a provider leaves out is what was asked for.
fn named<'a>(id: &mut Text<'a>, model: &mut Text<'a>, memo: &Memo) {
    for (name, own) in [(id, &memo.id), (model, &memo.model)] {
        if name.is_empty() {
            *name = own.clone().into();
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
    cutter: Cutter,
    reader: Reader,
    writer: Writer,
    /// Its id and model alone.
    names: Memo,
    /// The terminal event or an error has gone.
    is_over: bool,
}

/// Where one event ends and the next begins.
#[derive(Debug)]
enum Cutter {
    Events(Events),
    Frames(Frames),
}

const TOO_LONG: &str = "The provider sent an event that is too long. Send the request again.";

impl Stream {
    /// What goes to the caller in the place of `piece`, which is the last one where it is the `end`.
    #[inline(never)]
    pub fn push(&mut self, piece: &[u8], end: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len());
        let Self { cutter, reader, writer, names, is_over } = self;
        let mut found = |read: bool, events: Vec<Event<'_>>| {
            let unreadable = (!read).then(|| failed(UNREADABLE));
            for mut event in events.into_iter().chain(unreadable) {
                if *is_over {
                    return;
                }
                if let Event::Start { id, model } = &mut event {
                    named(id, model, names);
                }
                *is_over = matches!(event, Event::End | Event::Failure(_));
                writer.write(event, &mut out);
            }
        };
        let pushed = match cutter {
            Cutter::Events(events) => events
                .push(piece, end, |data, is_whole| {
                    let mut events = Vec::new();
                    let read = reader.read("", data, &mut events);
                    found(read || !is_whole, events);
                })
                .map_err(|events::TooLong| TOO_LONG),
            Cutter::Frames(frames) => frames
                .push(piece, |frame| {
                    let mut events = Vec::new();
                    let read = match frame.kind {
                        Kind::Event | Kind::Exception => reader.read(frame.name, frame.payload, &mut events),
                        Kind::Error(message) => {
                            events.push(failed(if message.is_empty() { UNREADABLE } else { message }));
                            true
                        }
                    };
                    found(read, events);
                })
                .map_err(|broken| match broken {
                    Broken::Corrupt => UNREADABLE,
                    Broken::TooLong => TOO_LONG,
                }),
        };
        let lost = match pushed {
            Err(lost) => Some(lost),
            Ok(()) if end && reader.is_complete() => {
                found(true, vec![Event::End]);
                None
            }
            Ok(()) if end => {
                Some("The provider ended the stream before the answer was complete. Send the request again.")
            }
            Ok(()) => None,
        };
        if let Some(lost) = lost {
            found(true, vec![failed(lost)]);
        }
        out
    }
}

fn failed(message: &str) -> Event<'_> {
    Event::Failure(Failure { message: message.into(), ..Failure::default() })
}

#[cfg(test)]
mod tests;
