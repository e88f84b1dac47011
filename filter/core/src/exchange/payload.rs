//! What an endpoint's inference table takes of an exchange: the request as the caller sent it (its body is moved here, not copied),
//! and the answer as the caller sees it, a stream put together. Only requests that went to a model: what is refused costs its sender
//! nothing and must not fill a table. At most 1 MiB of each; what holds a stream is bounded as [`Aggregate`] says.

use crate::{
    export::Row,
    host::{Effect, Host, Step, Verdict},
    record::{
        self, Exchanged,
        payload::{Bodies, Body},
    },
    response::aggregate::{Aggregate, Aggregated},
};

/// Databricks logs no larger body.
pub const MAX_BODY: usize = 1 << 20;

#[derive(Debug)]
pub struct Payload {
    /// `None`: it is too large.
    request: Option<Vec<u8>>,
    pub response: Response,
    /// Nanoseconds since the Unix epoch.
    sent_at: u64,
}

#[derive(Debug)]
pub enum Response {
    /// Nothing of it has come, or it is packed.
    Missing,
    Text(Vec<u8>),
    Stream(Box<Aggregate>),
    TooLarge,
}

impl Payload {
    pub fn new(request: Vec<u8>, sent_at: u64) -> Self {
        let request = Some(request).filter(|request| request.len() <= MAX_BODY);
        Self { request, response: Response::Missing, sent_at }
    }

    /// What the caller sees of this step: Weir's own words where it has some, else the piece as it came.
    pub fn see(&mut self, step: &Step, size: usize, end: bool, host: &impl Host) {
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
