//! `GET /weir/v1/limits`: every counter that applies to the caller, as it stands, his own and those that he shares with others.
//! Where an engine counts, it is looked at: the request waits for it as one at the gate does, and what cannot be known is `null`.
//! Charges nothing.

use serde_json::{Value, json};

use super::{Gateway, Phase, facts::Facts, verdict};
use crate::{
    caller::Caller,
    config::Endpoint,
    host::{Effect, Host, Step},
    limits::{
        self, Overview, Unit,
        rls::{
            Fault, Rls,
            look::{self, Look},
        },
    },
    metrics::Metric,
    policy, reply,
    time::rfc3339,
};

/// By this Envoy's own counters.
pub fn here<'g>(endpoints: impl Iterator<Item = &'g Endpoint>, caller: &Caller, host: &impl Host) -> Value {
    let now_ms = host.now() / 1_000_000;
    let rows = |endpoint: &'g Endpoint| {
        let overview = endpoint.limits.overview(host, now_ms, caller);
        overview.into_iter().filter_map(|row| shown(endpoint, &row, Some(now_ms))).collect::<Vec<_>>()
    };
    list(endpoints.flat_map(rows).collect())
}

/// The engine of `limits_store.rls` has been asked.
#[derive(Debug)]
pub struct AwaitLook {
    facts: Facts,
    /// Indices of the policy's endpoints, and a look at each.
    endpoints: Vec<usize>,
    looks: Vec<Look>,
    /// It can be looked at, and is being.
    can_look: bool,
}

impl AwaitLook {
    /// Asks first whether the engine can be looked at: a look charges 1 where it cannot.
    pub fn begin(gateway: &Gateway, rls: &Rls, facts: Facts, host: &impl Host) -> (Phase, Step) {
        let (mut endpoints, mut looks) = (Vec::new(), Vec::new());
        for (index, endpoint) in gateway.config.endpoints.iter().enumerate() {
            let caller = facts.caller.as_ref().filter(|caller| policy::may_query(endpoint, caller));
            if let Some(look) = caller.and_then(|caller| Look::at(&endpoint.limits, caller)) {
                endpoints.push(index);
                looks.push(look);
            }
        }
        let this = Self { facts, endpoints, looks, can_look: false };
        if this.looks.is_empty() {
            return this.reply(gateway, None, Vec::new());
        }
        if !rls.circuit.allows(host.now() / 1_000_000) {
            return this.reply(gateway, None, vec![Effect::Count(Metric::RlsSkipped, 1)]);
        }
        this.ask(look::probe(&rls.domain), Vec::new())
    }

    pub fn answered(mut self, gateway: &Gateway, status: u32, size: usize, host: &impl Host) -> (Phase, Step) {
        let (Some(rls), Some(caller)) = (&gateway.config.rls, &self.facts.caller) else {
            return self.reply(gateway, None, Vec::new());
        };
        let now_ms = host.now() / 1_000_000;
        let bytes = size.min(Look::answer_bytes(self.looks.iter()));
        let answer = if status == verdict::OK { Ok(host.answer(bytes)) } else { Err(Fault::Unreadable) };
        let mut effects = Vec::new();
        if self.can_look {
            let seen = answer.and_then(|answer| look::seen(&self.looks, &answer, now_ms));
            let seen = verdict::noted(rls, seen, now_ms, &mut effects);
            return self.reply(gateway, seen.map(|rows| (rows, now_ms)), effects);
        }
        let can_look = answer.and_then(|answer| look::can_look(&answer));
        // That it can be looked at is no answer yet: it may still not know the domain.
        if can_look != Ok(true) {
            verdict::noted(rls, can_look, now_ms, &mut effects);
            return self.reply(gateway, None, effects);
        }
        self.can_look = true;
        let limits = self.endpoints.iter().filter_map(|index| Some(&gateway.config.endpoints.get(*index)?.limits));
        let question = look::question(&rls.domain, caller, limits.zip(&self.looks));
        self.ask(question, effects)
    }

    fn ask(self, question: Vec<u8>, mut effects: Vec<Effect>) -> (Phase, Step) {
        effects.push(Effect::Ask(question));
        (Phase::AwaitLook(Box::new(self)), Step { effects, ..Step::wait() })
    }

    /// With what was seen, and when.
    fn reply(
        self,
        gateway: &Gateway,
        seen: Option<(Vec<Vec<Overview>>, u64)>,
        mut effects: Vec<Effect>,
    ) -> (Phase, Step) {
        let (rows, now_ms) = match seen {
            Some((rows, now_ms)) => (rows, Some(now_ms)),
            None => (self.looks.iter().map(Look::unseen).collect(), None),
        };
        let mut data = Vec::new();
        for (index, rows) in self.endpoints.iter().zip(&rows) {
            let Some(endpoint) = gateway.config.endpoints.get(*index) else { continue };
            data.extend(rows.iter().filter_map(|row| shown(endpoint, row, now_ms)));
        }
        effects.push(Effect::Reply(reply::json(&list(data), &self.facts.id)));
        (Phase::Outside, Step { effects, ..Step::wait() })
    }
}

fn list(data: Vec<Value>) -> Value {
    json!({ "object": "list", "data": data })
}

/// Money in US dollars, the rest in whole numbers. `seen_ms`: when it was looked at; `None`: nobody knows how it stands.
fn shown(endpoint: &Endpoint, row: &Overview, seen_ms: Option<u64>) -> Option<Value> {
    let Overview { counter, used, standing } = row;
    let limit = endpoint.limits.entries().get(counter.limit())?;
    let amount = |amount: u64| match counter.unit {
        Unit::CostUsd => json!(limits::usd(amount)),
        _ => json!(amount),
    };
    let at_ms = seen_ms.map(|now_ms| now_ms.saturating_add(standing.reset_ms));
    let known = |value: Value| if seen_ms.is_some() { value } else { Value::Null };
    Some(json!({
        "endpoint": endpoint.name,
        "name": limit.name,
        "key": limit.key.kind(),
        "principal": limit.key.principal(),
        "unit": counter.unit.name(),
        "renewal_period": counter.period.to_string(),
        "mode": if counter.shadow { "shadow" } else { "enforce" },
        "limit": amount(counter.maximum),
        "used": known(amount(*used)),
        "remaining": known(amount(standing.remaining)),
        "reset_seconds": known(json!(standing.reset_ms.div_ceil(1_000))),
        "reset_time": at_ms.map(|at_ms| rfc3339(at_ms.saturating_mul(1_000_000))),
    }))
}
