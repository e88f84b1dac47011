//! What Weir answers itself, and what it lets pass: the read-only paths, and requests for what the policy does not know.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{Gateway, Phase, close::Replied, facts::Facts, listed};
use crate::{
    caller::Caller,
    config::{Endpoint, Unmatched},
    host::{Effect, Host, Step},
    limits::{self, Overview, Unit},
    paths::{CLUSTER_HEADER, Local},
    policy,
    reply::{self, Denied, Reply},
    time::rfc3339,
};

/// Headers that are Weir's own, or by which a client could steer the router: taken off what passes, by their beginning.
const STEERING: [&str; 7] = [
    "x-weir-",
    "x-envoy-hedge-",
    "x-envoy-max-retries",
    "x-envoy-original-dst-host",
    "x-envoy-retriable-",
    "x-envoy-retry-",
    "x-envoy-upstream-",
];

/// Answers that anybody may have.
pub fn without_caller(local: Local, facts: &Facts) -> Option<Reply> {
    (local == Local::Health).then(|| reply::json(&json!({ "status": "OK" }), &facts.id))
}

/// Answers that depend on who asks: the endpoints that he may query. One that he may not is one that is not there.
pub fn for_caller(
    local: Local,
    gateway: &Gateway,
    facts: &Facts,
    name: Option<&str>,
    host: &impl Host,
) -> Option<Reply> {
    let caller = facts.caller.as_ref()?;
    let endpoints = gateway.config.endpoints.iter().filter(|endpoint| policy::may_query(endpoint, caller));
    let named = || endpoints.clone().find(|endpoint| name == Some(endpoint.name.as_str()));
    let body = match local {
        Local::Endpoint => named().and_then(listed::mlflow),
        Local::Endpoints => Some(json!({ "endpoints": endpoints.filter_map(listed::mlflow).collect::<Vec<_>>() })),
        Local::Health => None,
        Local::Limits => Some(limits(endpoints, caller, host)),
        Local::Models => Some(json!({ "object": "list", "data": endpoints.map(listed::openai).collect::<Vec<_>>() })),
        Local::ServingEndpoint => named().map(listed::databricks),
        Local::ServingEndpoints => Some(json!({ "endpoints": endpoints.map(listed::databricks).collect::<Vec<_>>() })),
    };
    let unknown = || {
        let name = name.unwrap_or_default().to_owned();
        Denied::UnknownEndpoint { name }.reply(facts.shape, &facts.id, &reply::Standings::default())
    };
    Some(body.map_or_else(unknown, |body| reply::json(&body, &facts.id)))
}

/// Every counter that applies to the caller, as it stands: his own, and those that he shares with others.
fn limits<'g>(endpoints: impl Iterator<Item = &'g Endpoint>, caller: &Caller, host: &impl Host) -> Value {
    let now_ms = host.now() / 1_000_000;
    let of_endpoint = |endpoint: &'g Endpoint| {
        let rows = endpoint.limits.overview(host, now_ms, caller).into_iter();
        rows.filter_map(move |row| limit(endpoint, &row, now_ms)).collect::<Vec<_>>()
    };
    json!({ "object": "list", "data": endpoints.flat_map(of_endpoint).collect::<Vec<_>>() })
}

/// Money in US dollars, the rest in whole numbers.
fn limit(endpoint: &Endpoint, row: &Overview, now_ms: u64) -> Option<Value> {
    let Overview { counter, used, standing } = row;
    let limit = endpoint.limits.entries().get(counter.limit())?;
    let amount = |amount: u64| match counter.unit {
        Unit::CostUsd => json!(limits::usd(amount)),
        _ => json!(amount),
    };
    let at_ms = now_ms.saturating_add(standing.reset_ms);
    Some(json!({
        "endpoint": endpoint.name,
        "name": limit.name,
        "key": limit.key.kind(),
        "principal": limit.key.principal(),
        "unit": counter.unit.name(),
        "renewal_period": counter.period.to_string(),
        "mode": if counter.shadow { "shadow" } else { "enforce" },
        "limit": amount(counter.maximum),
        "used": amount(*used),
        "remaining": amount(standing.remaining),
        "reset_seconds": standing.reset_ms.div_ceil(1_000),
        "reset_time": rfc3339(at_ms.saturating_mul(1_000_000)),
    }))
}

/// An endpoint or a model that the policy does not know: refused, or passed on with nothing but the door's own headers
/// taken off. The router is told not to try it again: the retries of Weir's route are for plans.
pub fn unmatched(gateway: &Gateway, facts: Facts, name: &str) -> Result<(Phase, Step), Box<Replied>> {
    let Unmatched::Pass { cluster } = &gateway.config.unmatched else {
        return Err(Replied::new(facts, Denied::UnknownEndpoint { name: name.to_owned() }));
    };
    let spoofable = |name: &&str| STEERING.iter().any(|prefix| name.starts_with(prefix));
    let removed = facts.headers().iter().map(|(name, _)| name).filter(spoofable);
    let mut effects: Vec<Effect> =
        removed.map(|name| Effect::RemoveRequestHeader(Cow::Owned(name.to_owned()))).collect();
    effects.push(Effect::SetRequestHeader(CLUSTER_HEADER.into(), reply::text(cluster.clone())));
    effects.push(Effect::SetRequestHeader("x-envoy-max-retries".into(), reply::text("0")));
    Ok((Phase::Outside, Step::next(effects)))
}
