//! The limits' part of an exchange: what is reserved and admitted before anything goes to a provider, and what is settled
//! at the end, on whatever way it came. The request and its plan in, a charge or a refusal out.

use super::{close::Refused, facts::Facts};
use crate::{
    config::{Endpoint, Plan, ServedEntity},
    host::{Effect, Host},
    limits::{self, Admission, Changed, Charge, Refusal, Reserve, Tokens, Unit},
    metrics::Metric,
    reply::{Denied, Exceeded, Standings},
    request::ApiRequest,
    tokens::{calibrate, count_request},
    usage::Usage,
};

/// An admitted call: what it was charged to, and what there is to say of it.
#[derive(Debug, Default)]
pub struct Admitted {
    pub charge: Charge,
    pub effects: Vec<Effect>,
}

/// Asks the endpoint's limits. What a shadow limit would have refused is noted in `facts`.
pub fn admit(
    endpoint: &Endpoint,
    facts: &mut Facts,
    plan: &Plan,
    request: &ApiRequest,
    body: &[u8],
    host: &impl Host,
) -> Result<Admitted, Box<Refused>> {
    let limits = &endpoint.limits;
    let Some(caller) = facts.caller.as_ref().filter(|_| !limits.is_empty()) else { return Ok(Admitted::default()) };
    let reserved = match limits.rules().reserve {
        Some(reserve) => reserved(reserve, endpoint, plan, request, body, host),
        None => Tokens::default(),
    };
    let now_ms = host.now() / 1_000_000;
    let decision = limits.admit(host, now_ms, caller, reserved);
    let mut effects = moved(decision.changed);
    match decision.admission {
        Admission::Admitted(charge) => {
            if let Some(index) = charge.would_limit {
                let line = limits.shadow_line(&endpoint.name, index, now_ms);
                facts.would_limit = facts.would_limit.take().or_else(|| limits.label(index));
                effects.push(Effect::Count(Metric::LimitsWouldRefuse, 1));
                effects.extend(line.map(Effect::Warn));
            }
            Ok(Admitted { charge, effects })
        }
        Admission::Refused(refusal) => {
            effects.push(Effect::Count(Metric::LimitsRefused, 1));
            Err(Box::new(refused(endpoint, &refusal, effects)))
        }
        Admission::Contended => {
            effects.push(Effect::Count(Metric::LimitsContended, 1));
            Err(Box::new(Refused {
                denied: Denied::Unavailable("the gateway's counters are under contention: send the request again"),
                limit: None,
                standings: Standings::default(),
                effects,
            }))
        }
    }
}

/// Settles what was used with the limits that admitted the request: once, also where it is nothing.
pub fn settled(
    endpoint: Option<&Endpoint>,
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
    let Some(endpoint) = endpoint.filter(|_| is_due) else { return Vec::new() };
    let settlement = endpoint.limits.settle(host, host.now() / 1_000_000, charge, used);
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

/// What a request may use at most: its prompt, the longest answer, and the dearest entity of its plan.
fn reserved(
    reserve: Reserve,
    endpoint: &Endpoint,
    plan: &Plan,
    request: &ApiRequest,
    body: &[u8],
    host: &impl Host,
) -> Tokens {
    let output = match endpoint.task {
        crate::config::Task::Embeddings => 0,
        _ => reserve.output(request.max_tokens, request.choices.unwrap_or(1)),
    };
    let entities = || plan.entities.iter().filter_map(|index| endpoint.entities.get(*index));
    let usage = Usage { input: prompt_tokens(body, entities(), host), output, ..Usage::default() };
    let cost = entities().map(|entity| cost(entity, &usage)).max().unwrap_or(0);
    Tokens { input: usage.input, cached_input: 0, output, cost }
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
