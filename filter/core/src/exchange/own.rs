//! What Weir answers itself, and what it lets pass: the read-only paths, and requests for what the policy does not know.

use std::borrow::Cow;

use serde_json::json;

use super::{Gateway, Phase, close::Replied, facts::Facts};
use crate::{
    config::Unmatched,
    host::{Effect, Step},
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

/// Answers that depend on who asks: the endpoints that he may query, as OpenAI lists models.
pub fn for_caller(local: Local, gateway: &Gateway, facts: &Facts) -> Option<Reply> {
    let caller = facts.caller.as_ref().filter(|_| local == Local::Models)?;
    let endpoints = gateway.config.endpoints.iter().filter(|endpoint| policy::may_query(endpoint, caller));
    let data: Vec<_> = endpoints
        .map(|endpoint| json!({ "id": endpoint.name, "object": "model", "created": 0, "owned_by": "weir" }))
        .collect();
    Some(reply::json(&json!({ "object": "list", "data": data }), &facts.id))
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
