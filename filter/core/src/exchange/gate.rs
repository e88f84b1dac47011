//! The limits' part of an exchange: what is reserved and admitted before anything goes to a provider, and what is settled
//! at the end, on whatever way it came. The request and its plan in, a charge or a refusal out.

use super::{Gateway, facts::Facts};
use crate::{
    api::Api,
    config::{Endpoint, Plan, ServedEntity},
    host::{Effect, Host},
    limits::{
        self, Admission, Changed, Charge, Held, Refusal, Reserve, Tokens, Unit,
        rls::{OnError, Rls},
    },
    metrics::Metric,
    reply::{Denied, Exceeded, Standings},
    request::ApiRequest,
    tokens::{calibrate, count_request},
    usage::Usage,
};

/// A request's way past the limits.
#[derive(Debug)]
pub enum Gate {
    Admitted(Admitted),
    /// An engine elsewhere has to say; with its `RateLimitRequest`.
    Asked(Asked, Vec<u8>),
}

/// An admitted call: what it was charged to, and what there is to say of it.
#[derive(Debug, Default)]
pub struct Admitted {
    pub charge: Charge,
    pub effects: Vec<Effect>,
}

/// What an engine's answer will be about.
#[derive(Debug)]
pub struct Asked {
    pub held: Vec<Held>,
    pub reserved: Tokens,
}

impl Asked {
    /// Whether none of the limits could refuse, whatever the engine says.
    pub fn is_shadow(&self) -> bool {
        self.held.iter().all(|held| held.counter.shadow)
    }
}

/// Why the limits let a request not in.
#[derive(Debug)]
pub struct Refused {
    pub denied: Denied,
    pub limit: Option<String>,
    pub standings: Standings,
    pub effects: Vec<Effect>,
}

impl Refused {
    pub fn unavailable(why: &'static str, effects: Vec<Effect>) -> Self {
        Self { denied: Denied::Unavailable(why), limit: None, standings: Standings::default(), effects }
    }
}

/// What cannot be: an exchange that does not find its own endpoint.
pub const LOST: Denied = Denied::Unavailable("the gateway lost its own configuration");

/// Asks the endpoint's limits. What a shadow limit would have refused is noted in `facts`.
pub fn admit(
    gateway: &Gateway,
    endpoint: &Endpoint,
    facts: &mut Facts,
    plan: &Plan,
    request: &ApiRequest,
    body: &[u8],
    host: &impl Host,
) -> Result<Gate, Box<Refused>> {
    let limits = &endpoint.limits;
    let Some(caller) = facts.caller.as_ref().filter(|_| !limits.is_empty()) else {
        return Ok(Gate::Admitted(Admitted::default()));
    };
    let reserved = match limits.rules().reserve {
        Some(reserve) => reserved(reserve, endpoint, facts.asked, plan, request, body, host),
        None => Tokens::default(),
    };
    let Some(rls) = &gateway.config.rls else {
        return admit_here(gateway, endpoint, facts, reserved, host).map(Gate::Admitted);
    };
    let held = limits.applicable(caller, reserved);
    if held.is_empty() {
        return Ok(Gate::Admitted(Admitted::default()));
    }
    let asked = Asked { held, reserved };
    if !rls.circuit.allows(host.now() / 1_000_000) {
        let skipped = Effect::Count(Metric::RlsSkipped, 1);
        return match without_engine(gateway, rls, endpoint, facts, reserved, asked.is_shadow(), host) {
            Ok(mut admitted) => {
                admitted.effects.push(skipped);
                Ok(Gate::Admitted(admitted))
            }
            Err(mut refused) => {
                refused.effects.push(skipped);
                Err(refused)
            }
        };
    }
    let question = limits.question(&rls.domain, caller, &asked.held);
    Ok(Gate::Asked(asked, question))
}

/// What `on_error` says where the engine says nothing. What refuses nobody is not worth a refusal when it cannot be counted.
pub fn without_engine(
    gateway: &Gateway,
    rls: &Rls,
    endpoint: &Endpoint,
    facts: &mut Facts,
    reserved: Tokens,
    is_shadow: bool,
    host: &impl Host,
) -> Result<Admitted, Box<Refused>> {
    match rls.on_error {
        OnError::Deny if is_shadow => Ok(Admitted::default()),
        OnError::Allow => Ok(Admitted::default()),
        OnError::Local => admit_here(gateway, endpoint, facts, reserved, host),
        OnError::Deny => {
            let why = "the store of the limits does not answer: send the request again in a moment";
            Err(Box::new(Refused::unavailable(why, Vec::new())))
        }
    }
}

/// This Envoy's own counters decide.
fn admit_here(
    gateway: &Gateway,
    endpoint: &Endpoint,
    facts: &mut Facts,
    reserved: Tokens,
    host: &impl Host,
) -> Result<Admitted, Box<Refused>> {
    let Some(caller) = facts.caller.as_ref() else { return Ok(Admitted::default()) };
    let now_ms = host.now() / 1_000_000;
    let decision = endpoint.limits.admit(&gateway.guesses.over(host), now_ms, caller, reserved);
    let mut effects = moved(decision.changed);
    match heed(endpoint, facts, decision.admission, now_ms) {
        Ok(mut admitted) => {
            effects.append(&mut admitted.effects);
            Ok(Admitted { effects, ..admitted })
        }
        Err(mut refused) => {
            effects.append(&mut refused.effects);
            refused.effects = effects;
            Err(refused)
        }
    }
}

/// Does what a verdict says, whoever gave it.
pub fn heed(
    endpoint: &Endpoint,
    facts: &mut Facts,
    admission: Admission,
    now_ms: u64,
) -> Result<Admitted, Box<Refused>> {
    let limits = &endpoint.limits;
    match admission {
        Admission::Admitted(charge) => {
            let mut effects = Vec::new();
            if let Some(index) = charge.would_limit {
                let line = limits.shadow_line(&endpoint.name, index, now_ms);
                facts.would_limit = facts.would_limit.take().or_else(|| limits.label(index));
                effects.push(Effect::Count(Metric::LimitsWouldRefuse, 1));
                effects.extend(line.map(Effect::Warn));
            }
            Ok(Admitted { charge, effects })
        }
        Admission::Refused(refusal) => {
            Err(Box::new(refused(endpoint, &refusal, vec![Effect::Count(Metric::LimitsRefused, 1)])))
        }
        Admission::Contended => {
            let effects = vec![Effect::Count(Metric::LimitsContended, 1)];
            let why = "the gateway's counters are under contention: send the request again";
            Err(Box::new(Refused::unavailable(why, effects)))
        }
    }
}

/// Settles what was used with the limits that admitted the request: once, also where it is nothing.
pub fn settled(
    gateway: &Gateway,
    facts: &Facts,
    entity: Option<&ServedEntity>,
    charge: &Charge,
    usage: Usage,
    host: &impl Host,
) -> Vec<Effect> {
    let used = Tokens {
        input: usage.input,
        cached_input: usage.cached_input.unwrap_or(0),
        output: usage.output,
        cost: entity.map_or(0, |entity| cost(entity, &usage)),
    };
    let is_due = used != Tokens::default() || charge.is_reserved();
    let Some(endpoint) = facts.endpoint(gateway).filter(|_| is_due) else { return Vec::new() };
    if charge.is_shared() {
        let Some(caller) = &facts.caller else { return Vec::new() };
        return endpoint.limits.reports(caller, charge, used).into_iter().map(Effect::Report).collect();
    }
    let settlement = endpoint.limits.settle(&gateway.guesses.over(host), host.now() / 1_000_000, charge, used);
    let mut effects = moved(settlement.changed);
    if settlement.contended {
        effects.push(Effect::Count(Metric::LimitsContended, 1));
    }
    effects
}

fn refused(endpoint: &Endpoint, refusal: &Refusal, effects: Vec<Effect>) -> Refused {
    let exceeded = match refusal.unit {
        unit if limits::is_quota(unit, refusal.period) => Exceeded::Quota,
        Unit::Calls => Exceeded::Requests,
        _ => Exceeded::Tokens,
    };
    Refused {
        denied: Denied::Limited {
            message: endpoint.limits.message(&endpoint.name, refusal),
            exceeded,
            retry_after_seconds: refusal.retry_after_seconds(),
        },
        limit: endpoint.limits.label(refusal.limit),
        standings: Standings { requests: refusal.requests, tokens: refusal.tokens },
        effects,
    }
}

/// What a request may use at most: its prompt, the longest answers, and the dearest entity of its plan, wherever of a
/// cache the prompt goes.
fn reserved(
    reserve: Reserve,
    endpoint: &Endpoint,
    api: Api,
    plan: &Plan,
    request: &ApiRequest,
    body: &[u8],
    host: &impl Host,
) -> Tokens {
    let output = match api {
        // Their answers pass unread: nothing is ever charged for them.
        Api::CountTokens | Api::Predict => return Tokens::default(),
        Api::Embeddings => 0,
        Api::Chat | Api::Completions | Api::Messages | Api::Responses => {
            let answers = request.choices.unwrap_or(1).max(1).saturating_mul(request.prompts.max(1));
            reserve.output(request.max_tokens, answers)
        }
    };
    let entities = || plan.entities.iter().filter_map(|index| endpoint.entities.get(*index));
    let fresh = Usage { input: prompt_tokens(body, entities(), host), output, ..Usage::default() };
    let cached = Usage { cached_input: Some(fresh.input), ..fresh };
    let written = Usage { cache_write_input: Some(fresh.input), ..fresh };
    let cost = entities().flat_map(|entity| [fresh, cached, written].map(|usage| cost(entity, &usage))).max();
    Tokens { input: fresh.input, cached_input: 0, output, cost: cost.unwrap_or(0) }
}

/// The tokens of a request's prompt before any provider has counted them: as the entity counts that counts the most.
fn prompt_tokens<'e>(body: &[u8], entities: impl Iterator<Item = &'e ServedEntity>, host: &impl Host) -> u64 {
    let counted = count_request(body);
    entities.map(|entity| calibrate::in_own_tokens(counted, entity, host).tokens).max().unwrap_or(counted.tokens)
}

/// In billionths of a US dollar; the same money that the record names.
fn cost(entity: &ServedEntity, usage: &Usage) -> u64 {
    entity.price.as_ref().map_or(0, |price| limits::nano_usd(usage.cost_usd(price)))
}

/// What happened in the callers' slots, for the gauges.
fn moved(changed: Changed) -> Vec<Effect> {
    let mut effects = Vec::new();
    if changed.held != 0 {
        effects.push(Effect::Move(Metric::LimitCounters, changed.held));
    }
    if changed.evicted != 0 {
        effects.push(Effect::Count(Metric::LimitCountersEvicted, changed.evicted));
    }
    effects
}
