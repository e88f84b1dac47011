//! The last attempt's answer, or Envoy's own where no attempt had one: headers for the client, then the body as it
//! passes.

use std::borrow::Cow;

use super::{Gateway, Phase, facts::Facts};
use crate::{
    api::Api,
    attempt::{
        ATTEMPTS, DISOWNED_HEADER, FAILED_METADATA, Failure, Note, REFUSED_HEADER, attempt_number, millis, read_notes,
    },
    config::{Endpoint, ServedEntity},
    headers::Headers,
    host::{Effect, Host, Step, Verdict},
    limits::Charge,
    metrics::Metric,
    paths::Shape,
    provider,
    reply::{Denied, Standings, databricks_error, text},
    response::{Filter, Piece, Reader},
};

/// The request has gone to the primary.
#[derive(Debug)]
pub struct AwaitAnswer {
    pub facts: Facts,
    /// Indices of the endpoint's entities, in the order of attempts.
    pub plan: Vec<usize>,
    pub charge: Charge,
    drop_usage: bool,
    pub sent_at: u64,
}

/// The answer's headers have passed.
#[derive(Debug)]
pub struct ReadAnswer {
    pub facts: Facts,
    pub plan: Vec<usize>,
    pub charge: Charge,
    pub sent_at: u64,
    /// What the client sees.
    pub status: u16,
    /// What the provider said; `None`: it was Envoy.
    pub provider_status: Option<u16>,
    /// Attempts that failed, this answer's own included.
    pub notes: Vec<Note>,
    pub first_byte_at: u64,
    pub body: Body,
}

/// What becomes of the answer's body.
#[derive(Debug)]
pub enum Body {
    /// Passes, and is read.
    Read(Reader),
    /// Passes unread.
    Passed,
    /// Weir's own stands in its place; `None` once it has gone.
    Replaced(Option<Vec<u8>>),
    /// A provider's error, held back until it is whole to be put in Databricks' shape.
    Reshaped { gone: bool },
}

/// A longer error is passed on as far as it was held: no error's text is that long, and Envoy's buffers are larger.
const MAX_ERROR: usize = 64 << 10;

impl AwaitAnswer {
    pub fn new(facts: Facts, plan: Vec<usize>, charge: Charge, drop_usage: bool, sent_at: u64) -> Self {
        Self { facts, plan, charge, drop_usage, sent_at }
    }

    pub fn headers(self: Box<Self>, gateway: &Gateway, end: bool, host: &impl Host) -> (Phase, Step) {
        let headers = host.response_headers();
        let status = headers.text(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut notes = match self.plan.len() {
            0 | 1 => Vec::new(),
            _ => host.property(&[ATTEMPTS]).map(|state| read_notes(&state)).unwrap_or_default(),
        };
        let own_details = if status >= 400 { envoys_own_details(host) } else { None };
        if let Some(details) = own_details.as_ref().filter(|_| is_about_attempts(status)) {
            if notes.is_empty() && self.plan.len() > 1 {
                notes.extend(first_unnoted(self.sent_at, host));
            }
            complete_notes(&mut notes, failure_of(details), self.sent_at, host);
        }
        let mut effects = Vec::with_capacity(24);
        self.facts.restore(gateway, &mut effects);
        let mut answer = ReadAnswer {
            provider_status: own_details.is_none().then_some(status),
            plan: self.plan,
            charge: self.charge,
            sent_at: self.sent_at,
            status,
            notes,
            first_byte_at: host.now(),
            body: Body::Passed,
            facts: self.facts,
        };
        provider::scrub_response(&headers, |name| answer.standings().is_header(name), &mut effects);
        let denied = answer.denied(gateway, own_details.as_deref(), &headers);
        answer.status = denied.as_ref().map_or(status, Denied::status);
        let fallbacks = answer.notes.len().min(answer.plan.len().saturating_sub(1));
        if fallbacks > 0 {
            effects.push(Effect::Count(Metric::Fallbacks, fallbacks as u64));
        }
        if let (Some(denied), true) = (&denied, end) {
            // There is no body to put another one in the place of.
            let reply = denied.reply(answer.facts.shape, &answer.facts.id, &answer.standings());
            effects.push(Effect::Reply(reply));
            return (Phase::ReadAnswer(Box::new(answer)), Step { effects, verdict: Verdict::Pause });
        }
        answer.body = answer.body_for(denied, &headers, self.drop_usage, end);
        answer.own_headers(gateway, &headers, &mut effects);
        (Phase::ReadAnswer(Box::new(answer)), Step::next(effects))
    }
}

impl ReadAnswer {
    /// One piece of the body. Inlined: a call of its own, for the sake of those that are logged, is 7 instructions a piece.
    #[inline(always)]
    pub fn body(mut self: Box<Self>, size: usize, end: bool, host: &impl Host) -> (Phase, Step) {
        let mut effects = Vec::new();
        match &mut self.body {
            Body::Passed => {}
            Body::Read(reader) => {
                if let Piece::Replaced(piece) = reader.push(host.response_chunk(size), end) {
                    effects.push(Effect::ReplaceResponseChunk(piece));
                }
            }
            Body::Replaced(own) => effects.push(Effect::ReplaceResponseChunk(own.take().unwrap_or_default())),
            Body::Reshaped { gone: false } if !end && size <= MAX_ERROR => {
                return (Phase::ReadAnswer(self), Step::wait());
            }
            Body::Reshaped { gone: false } => effects.push(self.reshape(size, host)),
            Body::Reshaped { gone: true } => effects.push(Effect::ReplaceResponseChunk(Vec::new())),
        }
        (Phase::ReadAnswer(self), Step::next(effects))
    }

    /// Trailers finish the body. What has passed of it cannot be changed any more, what is held back can.
    pub fn trailers(mut self: Box<Self>, host: &impl Host) -> (Phase, Step) {
        let mut effects = Vec::new();
        match &mut self.body {
            Body::Read(reader) => drop(reader.push(Vec::new(), true)),
            Body::Reshaped { gone: false } => effects.push(self.reshape(MAX_ERROR, host)),
            Body::Reshaped { gone: true } | Body::Passed | Body::Replaced(_) => {}
        }
        (Phase::ReadAnswer(self), Step::next(effects))
    }

    fn reshape(&mut self, size: usize, host: &impl Host) -> Effect {
        self.body = Body::Reshaped { gone: true };
        Effect::ReplaceResponseChunk(reshaped(self.status, &host.response_chunk(size.min(MAX_ERROR))))
    }

    /// The entity whose answer this is: the one that failed last, or the one behind those that failed.
    pub fn entity<'g>(&self, endpoint: &'g Endpoint) -> Option<(usize, &'g ServedEntity)> {
        let failed = self.notes.len();
        let answered = if self.provider_status.is_some_and(|status| !provider::is_failure(status)) {
            failed
        } else {
            failed.saturating_sub(1)
        };
        let index = *self.plan.get(answered).or(self.plan.last())?;
        Some((answered, endpoint.entities.get(index)?))
    }

    /// What the caller hears instead of an answer that is not his to see. What another filter of Envoy's has to say of
    /// the request is: but for 404, which says that there is no route to the model.
    fn denied(&self, gateway: &Gateway, own_details: Option<&str>, headers: &Headers) -> Option<Denied> {
        match (own_details, self.status) {
            (Some(details), status) if is_about_attempts(status) => {
                Some(Denied::UpstreamFailed { timed_out: failure_of(details) == Failure::Timeout })
            }
            // Whoever answered was asked for nothing.
            (None, 503) if headers.value(DISOWNED_HEADER).is_some() => {
                Some(Denied::UpstreamFailed { timed_out: false })
            }
            (None, 401 | 403) => {
                let entity = self.facts.endpoint(gateway).and_then(|endpoint| self.entity(endpoint));
                let served_entity = entity.map(|(_, entity)| entity.name.clone()).unwrap_or_default();
                Some(Denied::UpstreamAuthFailed { served_entity })
            }
            _ => None,
        }
    }

    /// Decides what becomes of the body. A packed one cannot be read, and nothing can be added to it.
    fn body_for(&self, denied: Option<Denied>, headers: &Headers, drop_usage: bool, end: bool) -> Body {
        if let Some(denied) = denied {
            return Body::Replaced(Some(denied.body(self.facts.shape)));
        }
        let is_packed =
            headers.value("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"));
        match self.provider_status {
            // What is no model's text has no usage.
            Some(200..=299) if matches!(self.facts.asked, Api::CountTokens | Api::Predict) => Body::Passed,
            Some(200..=299) => {
                let kind = headers.text("content-type").filter(|_| !is_packed);
                let filter = Filter::new(self.facts.shape, drop_usage);
                let mut reader = Reader::new(self.facts.asked, kind.unwrap_or_default(), filter);
                if end {
                    reader.push(Vec::new(), true);
                }
                Body::Read(reader)
            }
            Some(400..) if self.facts.shape == Shape::Databricks && !end && !is_packed => {
                Body::Reshaped { gone: false }
            }
            // The attempt role's own; what other filters answer passes.
            None if self.facts.shape == Shape::Databricks && !end && headers.value(REFUSED_HEADER).is_some() => {
                Body::Reshaped { gone: false }
            }
            _ => Body::Passed,
        }
    }

    fn standings(&self) -> Standings {
        Standings { requests: self.charge.requests, tokens: self.charge.tokens }
    }

    /// Writes what Weir adds to the answer's headers, and takes off what its changes make untrue.
    fn own_headers(&self, gateway: &Gateway, headers: &Headers, effects: &mut Vec<Effect>) {
        let mut set = |name: &'static str, value: Cow<'static, str>| {
            effects.push(Effect::SetResponseHeader(name.into(), text(value)));
        };
        set("x-databricks-request-id", self.facts.id.clone().into());
        if let Some((_, entity)) = self.facts.endpoint(gateway).and_then(|endpoint| self.entity(endpoint))
            && self.provider_status.is_some()
            && !matches!(self.body, Body::Replaced(_))
        {
            set("served-model-name", entity.name.clone().into());
        }
        if matches!(self.status, 429 | 503) && headers.value("retry-after").is_none() {
            set("retry-after", "1".into());
        }
        match &self.body {
            Body::Replaced(Some(own)) => {
                set(":status", self.status.to_string().into());
                set("content-type", "application/json".into());
                set("content-length", own.len().to_string().into());
                effects.push(Effect::RemoveResponseHeader("content-encoding".into()));
            }
            Body::Reshaped { .. } => {
                set("content-type", "application/json".into());
                effects.push(Effect::RemoveResponseHeader("content-length".into()));
            }
            Body::Read(reader) if reader.may_replace() && headers.value("content-length").is_some() => {
                effects.push(Effect::RemoveResponseHeader("content-length".into()));
            }
            Body::Read(_) | Body::Passed | Body::Replaced(None) => {}
        }
        effects.extend(self.standings().headers().map(|(name, value)| Effect::SetResponseHeader(name, value)));
    }
}

/// Why Envoy answered itself; `None` where a provider did.
fn envoys_own_details(host: &impl Host) -> Option<String> {
    let details = String::from_utf8(host.property(&["response", "code_details"])?).ok()?;
    (details != "via_upstream").then_some(details)
}

/// Whether an answer of Envoy's own says that no model was reached: 404 says that there is no route to it.
fn is_about_attempts(status: u16) -> bool {
    matches!(status, 404 | 500..)
}

/// Where the first attempt failed and the second found nobody to go to, no attempt role has told of the first.
fn first_unnoted(sent_at: u64, host: &impl Host) -> Option<Note> {
    if attempt_number(host) < 2 {
        return None;
    }
    let status = host.property(&["metadata", "filter_metadata", FAILED_METADATA, "status"]);
    let status = status.and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok());
    let reason = host.property(&["upstream", "transport_failure_reason"]);
    let failure = match status {
        Some(_) => Failure::Status,
        None if reason.is_some_and(|reason| !reason.is_empty()) => Failure::Connect,
        None => Failure::Reset,
    };
    Some(Note { status: status.unwrap_or(0), failure, latency_ms: millis(sent_at, host.now()) })
}

/// Envoy's answer says of the last attempt what its own end did not tell the attempt role; and of one that was not even
/// sent, or had no attempt role since its plan has no fallback, it says all.
fn complete_notes(notes: &mut Vec<Note>, failure: Failure, sent_at: u64, host: &impl Host) {
    match notes.last_mut() {
        Some(last) if failure != Failure::NotSent => {
            if last.failure == Failure::Reset {
                last.failure = failure;
            }
        }
        _ => {
            let noted_ms = notes.iter().map(|note| u64::from(note.latency_ms)).sum();
            let latency_ms = (host.now().saturating_sub(sent_at) / 1_000_000).saturating_sub(noted_ms);
            notes.push(Note { status: 0, failure, latency_ms: u32::try_from(latency_ms).unwrap_or(u32::MAX) });
        }
    }
}

/// By Envoy's response code details.
fn failure_of(details: &str) -> Failure {
    if details.contains("timeout") {
        Failure::Timeout
    } else if details.contains("connection_failure") {
        Failure::Connect
    } else if details.starts_with("upstream_reset") {
        Failure::Reset
    } else {
        Failure::NotSent
    }
}

/// The `error.message` of a provider's error, or all of it, in Databricks' shape.
fn reshaped(status: u16, error: &[u8]) -> Vec<u8> {
    let value: Option<serde_json::Value> = serde_json::from_slice(error).ok();
    let message = value.as_ref().and_then(|value| value.pointer("/error/message").or(value.get("message"))?.as_str());
    let whole = String::from_utf8_lossy(error);
    databricks_error(status, message.unwrap_or(&whole))
}
