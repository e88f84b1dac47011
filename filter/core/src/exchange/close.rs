//! The end of an exchange, whatever way it took: usage is settled with the limits, and the record written. Once.

use super::{
    Gateway, Phase,
    answer::{AwaitAnswer, Body, ReadAnswer},
    facts::Facts,
    gate::{self, Refused},
    payload::Payload,
};
use crate::{
    attempt::{ATTEMPTS, Failure, Note, read_notes},
    config::{Endpoint, Format, ServedEntity, Tokenizer},
    host::{Effect, Host, Step},
    record::{self, Attempted, Exchanged, otlp},
    reply::{Denied, Standings, text},
    response::Read,
    tokens::calibrate,
    usage::Usage,
};

/// Filter state `wasm.weir.usage`: the record, for native access logs.
pub const USAGE: &str = "weir.usage";

/// What the record says where the client went away before it had an answer: nginx' code for it, since none was sent.
const CLIENT_GONE: u16 = 499;

/// A request that no model answers.
#[derive(Debug)]
pub struct Replied {
    facts: Facts,
    /// `None`: it was not Weir that answered.
    denied: Option<Denied>,
    status: u16,
    /// The first of the plan that was drawn.
    entity: Option<usize>,
    /// The limit that refused it.
    limit: Option<String>,
    standings: Standings,
    /// What there is to count of it.
    effects: Vec<Effect>,
}

impl Replied {
    pub fn new(facts: Facts, denied: Denied) -> Box<Self> {
        Box::new(Self { status: denied.status(), denied: Some(denied), ..Self::by_envoy(facts, 0) })
    }

    pub fn by_envoy(facts: Facts, status: u16) -> Self {
        Self {
            facts,
            denied: None,
            status,
            entity: None,
            limit: None,
            standings: Standings::default(),
            effects: Vec::new(),
        }
    }

    /// Envoy has refused the request itself: too large for its buffers, or too slow.
    pub fn ended_by_envoy(facts: Facts, host: &impl Host) -> (Phase, Step) {
        let id = Effect::SetResponseHeader("x-databricks-request-id".into(), text(facts.id.clone()));
        let status = host.response_header(":status").and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok());
        (Phase::Replied(Box::new(Self::by_envoy(facts, status.unwrap_or(0)))), Step::next(vec![id]))
    }

    pub fn abandoned(facts: Facts) -> Box<Self> {
        Box::new(Self::by_envoy(facts, CLIENT_GONE))
    }

    /// Refused at the gate, with a plan drawn.
    pub fn at_gate(facts: Facts, plan: &[usize], refused: Refused) -> Box<Self> {
        let Refused { denied, limit, standings, effects } = refused;
        let entity = plan.first().copied();
        Box::new(Self { entity, limit, standings, effects, ..*Self::new(facts, denied) })
    }

    /// Answers, and waits for the end.
    pub fn reply(mut self: Box<Self>) -> (Phase, Step) {
        let reply = self.denied.as_ref().map(|denied| denied.reply(self.facts.shape, &self.facts.id, &self.standings));
        let mut step = reply.map(Step::reply).unwrap_or_default();
        step.effects.splice(0..0, self.effects.drain(..));
        (Phase::Replied(self), step)
    }

    pub fn close(self: Box<Self>, gateway: &Gateway, host: &impl Host) -> (Phase, Step) {
        let endpoint = self.facts.endpoint(gateway);
        let entity = endpoint.and_then(|endpoint| endpoint.entities.get(self.entity.unwrap_or(0)));
        let exchanged = Exchanged {
            status: self.status,
            limit: self.limit.as_deref(),
            complete: self.status != CLIENT_GONE,
            ..nothing_used(gateway, &self.facts, endpoint, entity, host)
        };
        (Phase::Settled, Step::next(recorded(gateway, &exchanged, true, None)))
    }
}

impl AwaitAnswer {
    /// The client went away before the answer began. Access logs read the request's headers after this.
    pub fn abandoned(mut self: Box<Self>, gateway: &Gateway, host: &impl Host) -> (Phase, Step) {
        let payload = self.facts.payload.take();
        let endpoint = self.facts.endpoint(gateway);
        let entities = endpoint.map(|endpoint| endpoint.entities.as_slice()).unwrap_or_default();
        let notes = host.property(&[ATTEMPTS]).map(|state| read_notes(&state)).unwrap_or_default();
        let mut attempts = attempted(entities, &self.plan, &notes);
        // Envoy logs before it ends the attempt that is under way, which is not noted yet.
        let running = self.plan.get(notes.len()).and_then(|index| entities.get(*index));
        let last = self.plan.last().and_then(|index| entities.get(*index));
        let exchanged = nothing_used(gateway, &self.facts, endpoint, running.or(last), host);
        if let Some(entity) = running {
            attempts.push(unnoted(entity, None, Some("client_gone"), &attempts, self.sent_at, exchanged.ended_at));
        }
        let mut effects = gate::settled(gateway, &self.facts, None, &self.charge, Usage::default(), host);
        self.facts.restore(gateway, &mut effects);
        let exchanged = Exchanged { status: CLIENT_GONE, attempts: &attempts, ..exchanged };
        effects.extend(recorded(gateway, &exchanged, false, payload));
        (Phase::Settled, Step::next(effects))
    }
}

impl ReadAnswer {
    pub fn close(mut self: Box<Self>, gateway: &Gateway, host: &impl Host) -> (Phase, Step) {
        let payload = self.facts.payload.take();
        let endpoint = self.facts.endpoint(gateway);
        let entities = endpoint.map(|endpoint| endpoint.entities.as_slice()).unwrap_or_default();
        let (answered, entity) = endpoint.and_then(|endpoint| self.entity(endpoint)).unzip();
        let (read, usage) = match std::mem::replace(&mut self.body, Body::Passed) {
            Body::Read(reader) => {
                let read = reader.finish();
                let usage = used(&read, &self.facts, entity, host);
                (read, usage)
            }
            Body::Passed | Body::Replaced(_) | Body::Reshaped { .. } => {
                (Read { complete: true, ..Read::default() }, Usage::default())
            }
        };
        let mut attempts = attempted(entities, &self.plan, &self.notes);
        if let (Some(answered), Some(entity)) = (answered, entity)
            && answered >= attempts.len()
        {
            attempts.push(unnoted(entity, self.provider_status, None, &attempts, self.sent_at, self.first_byte_at));
        }
        let mut effects = gate::settled(gateway, &self.facts, entity, &self.charge, usage, host);
        let exchanged = Exchanged {
            status: self.status,
            output_characters: usage.source.map(|_| read.text.characters()),
            usage,
            attempts: &attempts,
            finish_reason: read.finish_reason.as_deref(),
            complete: read.complete,
            first_byte_at: Some(self.first_byte_at),
            ..nothing_used(gateway, &self.facts, endpoint, entity, host)
        };
        effects.extend(recorded(gateway, &exchanged, false, payload));
        (Phase::Settled, Step::next(effects))
    }
}

/// What the facts alone say.
fn nothing_used<'a>(
    gateway: &'a Gateway,
    facts: &'a Facts,
    endpoint: Option<&'a Endpoint>,
    entity: Option<&'a ServedEntity>,
    host: &impl Host,
) -> Exchanged<'a> {
    Exchanged {
        api: facts.api,
        operation: facts.endpoint.map(|_| facts.asked),
        client_request_id: facts.client_request_id.as_deref(),
        usage_context: &facts.usage_context,
        trace_id: facts.trace_id(),
        request_id: facts.request_id(),
        caller: facts.caller.as_ref(),
        endpoint,
        entity,
        streaming: facts.streaming,
        input_characters: facts.prompt_characters,
        would_limit: facts.would_limit.as_deref(),
        ended_at: host.now(),
        ..Exchanged::blank(&gateway.config, &gateway.node, &facts.id, facts.received_at)
    }
}

/// What an answer used; and of some answers it is learnt how the entity's tokens compare to those that Weir counts.
fn used(read: &Read, facts: &Facts, entity: Option<&ServedEntity>, host: &impl Host) -> Usage {
    let Some(entity) = entity.filter(|entity| entity.tokenizer != Tokenizer::O200kBase) else {
        return Usage::of(read, || facts.count_prompt(), |count| count);
    };
    if let Some(reported) = read.usage.and_then(|usage| usage.input)
        && host.random().is_multiple_of(calibrate::ONE_OF)
    {
        let counted = facts.count_prompt();
        if counted.is_exact {
            calibrate::learn(host, &entity.id, counted.tokens, reported);
        }
    }
    Usage::of(read, || facts.count_prompt(), |count| calibrate::in_own_tokens(count, entity, host))
}

/// The record goes to the outbox and to access logs. Refusals before an endpoint is known are recorded wherever there is a
/// collector; the rest where the endpoint wants its usage tracked, and its `payload` where it has a table for that.
fn recorded(gateway: &Gateway, exchanged: &Exchanged<'_>, refused: bool, payload: Option<Box<Payload>>) -> Vec<Effect> {
    let mut row = record::usage_row(exchanged, refused);
    // The copy has no room to spare, and is what may have to wait in the outbox.
    let line = row.line.clone();
    let mut effects = vec![Effect::SetState(USAGE, std::mem::replace(&mut row.line, line))];
    let is_tracked = exchanged.endpoint.is_none_or(|endpoint| endpoint.usage_tracking);
    if let Some(logging) = gateway.config.logging.as_ref().filter(|_| is_tracked) {
        if logging.format == Format::Otlp {
            row.line = otlp::usage(exchanged, None);
        }
        effects.push(Effect::Record(row));
    }
    effects.extend(payload.and_then(|payload| payload.row(exchanged)).map(Effect::Record));
    effects
}

/// The attempt behind those that failed: what they took is not its own.
fn unnoted<'a>(
    entity: &'a ServedEntity,
    status_code: Option<u16>,
    error: Option<&'static str>,
    failed: &[Attempted<'_>],
    sent_at: u64,
    until: u64,
) -> Attempted<'a> {
    let earlier = failed.iter().map(|attempt| attempt.latency_ms).fold(0, u64::saturating_add);
    let all = until.saturating_sub(sent_at) / 1_000_000;
    Attempted { served_entity_name: &entity.name, status_code, error, latency_ms: all.saturating_sub(earlier) }
}

/// The attempts that failed, as the record has them.
fn attempted<'a>(entities: &'a [ServedEntity], plan: &[usize], notes: &[Note]) -> Vec<Attempted<'a>> {
    let names = plan.iter().map(|index| entities.get(*index).map(|entity| entity.name.as_str()).unwrap_or_default());
    notes
        .iter()
        .zip(names)
        .map(|(note, served_entity_name)| Attempted {
            served_entity_name,
            status_code: Some(note.status).filter(|status| *status != 0),
            error: match note.failure {
                Failure::Status => None,
                Failure::Connect => Some("connect_failure"),
                Failure::Reset => Some("reset"),
                Failure::Timeout => Some("timeout"),
                Failure::NotSent => Some("not_sent"),
            },
            latency_ms: note.latency_ms.into(),
        })
        .collect()
}
