//! What an endpoint's inference table takes of an exchange: the request as the caller sent it (its body is moved here, not copied),
//! and the answer as the caller sees it, a stream put together. Only requests that went to a model: what is refused costs its sender
//! nothing and must not fill a table. At most 1 MiB of each; what holds a stream is bounded as [`Aggregate`] says.

use super::{Gateway, Phase, answer};
use crate::{
    api::Api,
    export::Row,
    host::{Effect, Host, Step, Verdict},
    record::{
        self, Exchanged,
        payload::{Bodies, Body},
    },
    response::{
        Reader,
        aggregate::{Aggregate, Aggregated},
    },
    tokens::KeptBody,
};

/// Databricks logs no larger body.
const MAX_BODY: usize = 1 << 20;

#[derive(Debug)]
pub struct Payload {
    /// `None`: it is too large.
    request: Option<Vec<u8>>,
    response: Response,
    /// Nanoseconds since the Unix epoch.
    sent_at: u64,
}

#[derive(Debug)]
enum Response {
    /// Nothing of it has come, or it is packed.
    Missing,
    Text(Vec<u8>),
    Stream(Box<Aggregate>),
    TooLarge,
}

/// Keeps the body of a request that goes to a model: for its endpoint's table, where it has one and the request is drawn; in any
/// case what of it may have to be counted.
pub fn kept(gateway: &Gateway, mut phase: Phase, body: Vec<u8>) -> Phase {
    let (facts, sent_at) = match &mut phase {
        Phase::AwaitAnswer(answer) => (&mut answer.facts, answer.sent_at),
        Phase::AwaitVerdict(verdict) => {
            let at = verdict.facts.received_at;
            (&mut verdict.facts, at)
        }
        _ => return phase,
    };
    let table = facts.endpoint(gateway).and_then(|endpoint| endpoint.inference_table.as_ref());
    if table.is_none_or(|table| !table.takes(&facts.id)) {
        facts.prompt = KeptBody::of(body);
        return phase;
    }
    facts.prompt = KeptBody::copy_of(&body);
    let request = Some(body).filter(|body| body.len() <= MAX_BODY);
    facts.payload = Some(Box::new(Payload { request, response: Response::Missing, sent_at }));
    phase
}

/// The answer's headers have passed: from now on what passes is kept too.
pub fn begun((phase, step): (Phase, Step), host: &impl Host) -> (Phase, Step) {
    match phase {
        Phase::ReadAnswer(mut answer) if answer.facts.payload.is_some() => {
            let api = answer.facts.asked;
            if let Some(payload) = &mut answer.facts.payload {
                payload.response = response_for(api, &answer.body, host);
                payload.see(&step, 0, false, host);
            }
            (Phase::LogAnswer(answer), step)
        }
        phase => (phase, step),
    }
}

/// A piece of the answer has passed, or its trailers (a piece of 0 bytes).
#[inline(never)]
pub fn passed((phase, step): (Phase, Step), size: usize, end: bool, host: &impl Host) -> (Phase, Step) {
    let Phase::ReadAnswer(mut answer) = phase else { return (phase, step) };
    if let Some(payload) = &mut answer.facts.payload {
        payload.see(&step, size, end, host);
    }
    (Phase::LogAnswer(answer), step)
}

fn response_for(api: Api, body: &answer::Body, host: &impl Host) -> Response {
    let is_own = matches!(body, answer::Body::Replaced(_));
    match body {
        answer::Body::Read(Reader::Sse(_)) => Response::Stream(Box::new(Aggregate::new(api, MAX_BODY))),
        _ if !is_own && host.response_header("content-encoding").is_some_and(|coding| coding != b"identity") => {
            Response::Missing
        }
        _ => Response::Text(Vec::new()),
    }
}

impl Payload {
    /// What the caller sees of this step: Weir's own words where it has some, else the piece as it came.
    fn see(&mut self, step: &Step, size: usize, end: bool, host: &impl Host) {
        let own = step.effects.iter().rev().find_map(|effect| match effect {
            Effect::ReplaceResponseChunk(bytes) => Some(bytes.as_slice()),
            Effect::Reply(reply) => Some(reply.body.as_slice()),
            _ => None,
        });
        match own {
            Some(own) => {
                if let Some(Effect::Reply(_)) = step.effects.last() {
                    self.response = Response::Text(Vec::new());
                }
                self.response.push(own, end);
            }
            None if step.verdict == Verdict::Pause => {}
            None if self.response.is_kept() && size > 0 => self.response.push(&host.response_chunk(size), end),
            None => self.response.push(&[], end),
        }
    }

    /// `None` where the endpoint has no table.
    pub fn row(self, exchanged: &Exchanged<'_>) -> Option<Row> {
        let table = exchanged.endpoint?.inference_table.as_ref()?;
        let aggregated;
        let response = match self.response {
            Response::Missing => Body::Missing,
            Response::TooLarge => Body::TooLarge,
            Response::Text(text) => {
                aggregated = text;
                Body::Text(&aggregated)
            }
            Response::Stream(stream) => match stream.finish() {
                Aggregated::Nothing => Body::Missing,
                Aggregated::TooLarge => Body::TooLarge,
                Aggregated::Answer(answer) => {
                    aggregated = answer;
                    Body::Text(&aggregated)
                }
            },
        };
        let request = self.request.as_deref().map_or(Body::TooLarge, Body::Text);
        let execution_duration_ms = exchanged.ended_at.saturating_sub(self.sent_at) / 1_000_000;
        Some(record::payload_row(exchanged, table, &Bodies { request, response, execution_duration_ms }))
    }
}

impl Response {
    fn is_kept(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Stream(_))
    }

    fn push(&mut self, piece: &[u8], end: bool) {
        match self {
            Self::Text(text) if text.len().saturating_add(piece.len()) > MAX_BODY => *self = Self::TooLarge,
            Self::Text(text) => text.extend_from_slice(piece),
            Self::Stream(stream) => stream.push(piece, end),
            Self::Missing | Self::TooLarge => {}
        }
    }
}
