//! What Weir answers itself, and what it lets pass: the read-only paths, and requests for what the policy does not know.

use std::borrow::Cow;

use serde_json::json;

use super::{Gateway, Phase, close::Replied, facts::Facts, listed, look};
use crate::{
    config::Unmatched,
    host::{Effect, Host, Step},
    paths::{CLUSTER_HEADER, Local},
    policy,
    reply::{self, Denied, Reply},
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
        Local::Limits => Some(look::here(endpoints, caller, host)),
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

pub fn is_steering(name: &str) -> bool {
    STEERING.iter().any(|prefix| name.starts_with(prefix))
}

/// An endpoint or a model that the policy does not know: refused, or passed on with nothing but the door's own headers
/// taken off. The router is told not to try it again: the retries of Weir's route are for plans.
pub fn unmatched(gateway: &Gateway, facts: Facts, name: &str) -> Result<(Phase, Step), Box<Replied>> {
    let Unmatched::Pass { cluster } = &gateway.config.unmatched else {
        return Err(Replied::new(facts, Denied::UnknownEndpoint { name: name.to_owned() }));
    };
    let removed = facts.headers().iter().map(|(name, _)| name).filter(|name| is_steering(name));
    let mut effects: Vec<Effect> =
        removed.map(|name| Effect::RemoveRequestHeader(Cow::Owned(name.to_owned()))).collect();
    effects.push(Effect::SetRequestHeader(CLUSTER_HEADER.into(), reply::text(cluster.clone())));
    effects.push(Effect::SetRequestHeader("x-envoy-max-retries".into(), reply::text("0")));
    Ok((Phase::Outside, Step::next(effects)))
}
