//! One attempt in the upstream role. The gateway role has made the primary's request, so Envoy skips the role on a first
//! attempt that is in the caller's own API; a later one points the request, whose body Envoy has restored, at its own entity.
//! Attempts that fail are noted in filter state, where the gateway role finds them; of the first one Envoy tells the second.

use std::rc::Rc;

mod notes;
mod place;
mod translate;
mod whole;

pub use self::translate::REFUSED_HEADER;
use self::{
    translate::{Body, Translated},
    whole::Sent,
};
pub use notes::{FAILED_HEADER, FAILED_METADATA, FIRST_IS_OURS, Failure, Handover, IN_EVERY_PLAN, Note, read_notes};
pub use place::HOST_CLUSTER;

use crate::{
    config::{Endpoint, ServedEntity},
    gateway::Gateway,
    host::{Effect, Host, Input, Step, Verdict},
    provider,
    reply::text,
    translate::Way,
};

/// Filter state `wasm.weir.plan`: a [`Handover`], only where the plan has a fallback.
pub const PLAN: &str = "weir.plan";
/// Filter state `wasm.weir.attempts`: [`Note`]s of the attempts that failed, in order.
pub const ATTEMPTS: &str = "weir.attempts";

/// Filter state `wasm.weir.context`: the number of the attempt's context, where [`crate::unpaused`] needs it.
pub const CONTEXT: &str = "weir.context";

/// Marks an answer whose body is not the caller's to see, for the gateway role, which takes it off.
pub const DISOWNED_HEADER: &str = "x-weir-disowned";

/// See the module.
#[derive(Debug)]
pub struct Attempt {
    gateway: Rc<Gateway>,
    in_force: InForce,
    /// The chosen host says whose turn it is, not the attempt's number.
    goes_by_host: bool,
    /// What is to be put back: see [`whole`].
    sent: Option<Box<Sent>>,
    phase: Phase,
}

/// Finds the configuration of a hash among those that this VM still holds.
pub type InForce = fn(&str) -> Option<Rc<Gateway>>;

#[derive(Debug)]
enum Phase {
    AwaitHeaders,
    AwaitBody {
        handover: Handover,
        number: usize,
        started_at: u64,
        size: usize,
    },
    AwaitAnswer {
        started_at: u64,
    },
    /// As `AwaitAnswer`, in another API's words.
    AwaitTranslated(Box<Translated>),
    Translate(Body),
    /// Whatever is answered is no answer to the request.
    Astray {
        started_at: u64,
    },
    Over,
}

impl Attempt {
    /// The gateway role may have planned with a configuration that is not this one: a reload has come between, or is
    /// under way. `in_force` finds it, since the gateway role's stream holds it. Where it does not (the other role runs in
    /// another VM), the attempt fails, and the caller hears that no model could be reached.
    pub fn new(gateway: Rc<Gateway>, in_force: InForce) -> Self {
        Self { gateway, in_force, goes_by_host: false, sent: None, phase: Phase::AwaitHeaders }
    }

    /// Behind aggregate clusters.
    pub fn by_host(gateway: Rc<Gateway>, in_force: InForce) -> Self {
        Self { goes_by_host: true, ..Self::new(gateway, in_force) }
    }

    pub fn handle(&mut self, input: Input, host: &impl Host) -> Step {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let (phase, mut step) = match (phase, input) {
            (Phase::AwaitHeaders, Input::RequestHeaders { end }) => self.begin(end, host),
            (Phase::AwaitBody { handover, number, started_at, .. }, Input::RequestBody { size, end: false }) => {
                (Phase::AwaitBody { handover, number, started_at, size }, paused())
            }
            (Phase::AwaitBody { handover, number, started_at, .. }, Input::RequestBody { size, .. }) => {
                self.send(&handover, number, size, started_at, host)
            }
            (Phase::AwaitBody { handover, number, started_at, size }, Input::RequestTrailers) => {
                self.send(&handover, number, size, started_at, host)
            }
            (Phase::AwaitAnswer { started_at }, Input::ResponseHeaders { .. }) => {
                (Phase::Over, answered(started_at, host))
            }
            (Phase::Astray { started_at }, Input::ResponseHeaders { .. }) => (Phase::Over, disowned(started_at, host)),
            (Phase::AwaitTranslated(sent), Input::ResponseHeaders { end }) => translated(*sent, end, host),
            (Phase::Translate(body), Input::ResponseBody { size, end }) => translating(body.push(size, end, host)),
            (Phase::Translate(body), Input::ResponseTrailers) => trailed(body, host),
            (Phase::AwaitTranslated(sent), Input::Done) => (Phase::Over, self.unanswered(sent.started_at, host)),
            (
                Phase::AwaitAnswer { started_at } | Phase::Astray { started_at } | Phase::AwaitBody { started_at, .. },
                Input::Done,
            ) => (Phase::Over, self.unanswered(started_at, host)),
            (phase, _) => (phase, Step::default()),
        };
        self.phase = phase;
        self.put_back(input, &mut step.effects);
        step
    }

    fn begin(&mut self, end: bool, host: &impl Host) -> (Phase, Step) {
        let started_at = host.now();
        let Some(plan) = host.property(&[PLAN]).filter(|_| !end) else {
            return (Phase::AwaitAnswer { started_at }, Step::default());
        };
        let number = attempt_number(host).max(1);
        // The gateway role has addressed the first attempt.
        if number == 1 && !self.goes_by_host && !Handover::is_first_ours(&plan) {
            return (Phase::AwaitAnswer { started_at }, Step::default());
        }
        // The body is waited for also where it will not go: without the pause it could not be taken off any more.
        let mut handover = Handover::read(&plan).unwrap_or_default();
        if handover.config != self.gateway.config.hash
            && let Some(planned) = (self.in_force)(&handover.config)
        {
            self.gateway = planned;
        }
        let (number, mut effects) = if self.goes_by_host { self.place(&handover, host) } else { (number, Vec::new()) };
        if number == 1 && self.goes_by_host && !Handover::is_first_ours(&plan) {
            return (Phase::AwaitAnswer { started_at }, Step::default());
        }
        if number == 2 {
            effects.extend(self.first_noted(&handover, started_at, host));
        }
        let is_whole = handover.is_whole;
        if is_whole {
            self.sent = Some(Box::new(Sent::new(handover.endpoint, host)));
            effects.push(Effect::NameContext(CONTEXT));
        }
        let is_ready = |(_, entity): (_, &ServedEntity)| entity.credential.is_ready(|| started_at);
        // An entity without its token counts as failed, which is what becomes of one that is not known.
        let is_lost = !self.entity(&handover, number).is_none_or(is_ready);
        if is_lost {
            handover = Handover::default();
        }
        if number == 1 && !is_whole {
            return (Phase::AwaitBody { handover, number, started_at, size: 0 }, paused());
        }
        let Some((endpoint, entity)) = self.entity(&handover, number) else {
            let step = Step { effects, verdict: Verdict::Pause };
            return (Phase::AwaitBody { handover, number, started_at, size: 0 }, step);
        };
        let headers = self.sent.as_ref().and_then(|sent| sent.scrub(endpoint, entity, number, &mut effects));
        provider::address(endpoint, entity, handover.call, ":authority", headers, || started_at, &mut effects);
        (Phase::AwaitBody { handover, number, started_at, size: 0 }, Step { effects, verdict: Verdict::Pause })
    }

    /// The whole body, with the entity's own model in the primary's place.
    fn send(
        &self,
        handover: &Handover,
        number: usize,
        size: usize,
        started_at: u64,
        host: &impl Host,
    ) -> (Phase, Step) {
        let Some((_, entity)) = self.entity(handover, number) else { return astray(started_at, host) };
        let body = host.request_body(size);
        if let Some(Way::Translated(pair)) = entity.provider.way(handover.call.api) {
            let mut effects = Vec::with_capacity(8);
            let target = provider::target(entity);
            let sign = |body: &[u8], effects: &mut _| provider::sign(entity, handover.call, body, started_at, effects);
            return match Translated::request(pair, &target, &body, started_at, sign, &mut effects) {
                Ok(sent) => (Phase::AwaitTranslated(Box::new(sent)), Step { effects, verdict: Verdict::Continue }),
                Err(reply) => (Phase::Over, Step { effects: vec![Effect::Reply(reply)], verdict: Verdict::Pause }),
            };
        }
        let range = handover.model_range.clone();
        if range.is_empty() {
            // Of a model's own API: the path says which model it is, and nothing in the body does.
            return (Phase::AwaitAnswer { started_at }, Step::default());
        }
        let (Some(before), Some(behind)) = (body.get(..range.start), body.get(range.end..)) else {
            return astray(started_at, host);
        };
        let model = crate::request::quoted(&entity.model);
        let body = [before, model.as_bytes(), behind].concat();
        let length = Effect::SetRequestHeader("content-length".into(), text(body.len().to_string()));
        let effects = vec![length, Effect::ReplaceRequestBody(body)];
        (Phase::AwaitAnswer { started_at }, Step { effects, verdict: Verdict::Continue })
    }

    /// Reset, timeout and connect failure come as the end of an attempt without an answer (ENVOY.md, section 1). A plan
    /// without a fallback leaves no handover: then the gateway role, which sees Envoy's own answer, tells a timeout.
    fn unanswered(&self, started_at: u64, host: &impl Host) -> Step {
        let reason = host.property(&["upstream", "transport_failure_reason"]);
        let handover = host.property(&[PLAN]).and_then(|state| Handover::read(&state));
        let first_byte_ms = handover.and_then(|handover| Some(self.entity(&handover, 1)?.1.first_byte_ms));
        let waited_ms = host.now().saturating_sub(started_at) / 1_000_000;
        let failure = match first_byte_ms {
            _ if reason.is_some_and(|reason| !reason.is_empty()) => Failure::Connect,
            Some(first_byte_ms) if waited_ms >= first_byte_ms => Failure::Timeout,
            _ => Failure::Reset,
        };
        noted(Note { status: 0, failure, latency_ms: 0 }, started_at, host)
    }

    /// The note of a first attempt at which nobody was there to make it.
    fn first_noted(&self, handover: &Handover, now: u64, host: &impl Host) -> Option<Effect> {
        let header = host.request_header(notes::FAILED_HEADER)?;
        if host.property(&[ATTEMPTS]).is_some() {
            return None;
        }
        let latency_ms = millis(handover.sent_at, now);
        let is_late = self.entity(handover, 1).is_some_and(|(_, entity)| u64::from(latency_ms) >= entity.first_byte_ms);
        let (status, failure) = notes::failed(&header, is_late)?;
        let mut state = Vec::new();
        Note { status, failure, latency_ms }.write(&mut state);
        Some(Effect::SetState(ATTEMPTS, state))
    }

    fn entity(&self, handover: &Handover, number: usize) -> Option<(&Endpoint, &ServedEntity)> {
        let config = &self.gateway.config;
        if handover.config != config.hash {
            return None;
        }
        let endpoint = config.endpoints.get(handover.endpoint)?;
        let index = *handover.entities.get(number.checked_sub(1)?)?;
        Some((endpoint, endpoint.entities.get(index)?))
    }
}

/// From 1.
pub(crate) fn attempt_number(host: &impl Host) -> usize {
    let count = host.property(&["upstream", "request_attempt_count"]);
    let count = count.and_then(|bytes| bytes.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes)));
    count.and_then(|count| usize::try_from(count).ok()).unwrap_or(1)
}

/// Only a failure is worth a note: on success the gateway role sees all of it.
fn answered(started_at: u64, host: &impl Host) -> Step {
    match status(host) {
        Some(status) if provider::is_failure(status) => {
            noted(Note { status, failure: Failure::Status, latency_ms: 0 }, started_at, host)
        }
        _ => Step::default(),
    }
}

fn status(host: &impl Host) -> Option<u16> {
    host.response_header(":status").and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok())
}

pub(crate) fn millis(since: u64, now: u64) -> u32 {
    u32::try_from(now.saturating_sub(since) / 1_000_000).unwrap_or(u32::MAX)
}

fn noted(note: Note, started_at: u64, host: &impl Host) -> Step {
    let latency_ms = millis(started_at, host.now());
    let mut state = host.property(&[ATTEMPTS]).unwrap_or_default();
    Note { latency_ms, ..note }.write(&mut state);
    Step { effects: vec![Effect::SetState(ATTEMPTS, state)], verdict: Verdict::Continue }
}

/// An attempt whose entity is not known must reach no provider with another one's credential: without a host, a path and
/// a credential it ends in an error of whoever gets it.
fn astray(started_at: u64, host: &impl Host) -> (Phase, Step) {
    let mut effects = Vec::with_capacity(12);
    provider::strip_request(&host.request_headers(), &mut effects);
    effects.push(Effect::SetRequestHeader(":path".into(), text("/")));
    effects.push(Effect::SetRequestHeader(":authority".into(), text("weir.invalid")));
    effects.push(Effect::SetRequestHeader("content-length".into(), text("0")));
    effects.push(Effect::ReplaceRequestBody(Vec::new()));
    (Phase::Astray { started_at }, Step { effects, verdict: Verdict::Continue })
}

/// The answer of a provider that was asked for nothing, as what it is to the caller: none. The next one may be tried.
fn disowned(started_at: u64, host: &impl Host) -> Step {
    let mut step = noted(Note { status: 503, failure: Failure::Status, latency_ms: 0 }, started_at, host);
    step.effects.push(Effect::SetResponseHeader(":status".into(), text("503")));
    step.effects.push(Effect::SetResponseHeader(DISOWNED_HEADER.into(), text("1")));
    step
}

/// The headers of an answer in another API's words.
fn translated(sent: Translated, end: bool, host: &impl Host) -> (Phase, Step) {
    let started_at = sent.started_at;
    let mut effects = Vec::with_capacity(4);
    let (status, body) = sent.headers(status(host).unwrap_or(0), end, host, &mut effects);
    if provider::is_failure(status) {
        effects.extend(noted(Note { status, failure: Failure::Status, latency_ms: 0 }, started_at, host).effects);
    }
    (Phase::Translate(body), Step { effects, verdict: Verdict::Continue })
}

fn translating((body, step): (Body, Step)) -> (Phase, Step) {
    (Phase::Translate(body), step)
}

/// Trailers finish the body: what Envoy holds of it is all there.
fn trailed(body: Body, host: &impl Host) -> (Phase, Step) {
    translating(match body {
        Body::Stream(_) => (body, Step::default()),
        held => held.push(translate::MAX_ANSWER, true, host),
    })
}

fn paused() -> Step {
    Step { effects: Vec::new(), verdict: Verdict::Pause }
}

#[cfg(test)]
mod tests;
