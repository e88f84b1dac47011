//! The door: what a request's headers alone decide.

use super::{
    Gateway, Phase, body::AwaitBody, close::Replied, facts::Facts, look::AwaitLook, own, permission::permitted,
};
use crate::{
    headers::Headers,
    host::{Effect, Host, Step},
    identity,
    paths::{self, CLUSTER_HEADER, Local, Matched, Target},
    reply::Denied,
    request::InvalidRequest,
};

/// Everything outside the scope goes on untouched. All headers cost hardly more than one: whatever the host hands over, it has
/// the VM allocate memory for, and that is nearly all of it (docs/speed.md).
pub fn begin(gateway: &Gateway, is_unpaused: bool, end: bool, host: &impl Host) -> (Phase, Step) {
    let headers = host.request_headers();
    let path = headers.text(":path").unwrap_or_default().to_owned();
    let Some(matched) = paths::resolve(&path).filter(|_| gateway.is_host_in_scope(&headers)) else {
        return (Phase::Outside, without_routing_header(&headers));
    };
    let mut facts = Facts::new(headers, matched.pattern, matched.target, host);
    facts.is_unpaused = is_unpaused;
    match admit(gateway, facts, &matched, end, host) {
        Ok(answer) => answer,
        Err(refused) => refused.reply(),
    }
}

/// Envoy takes the routing header off before this (`weir render`). Where an operator's listener does not, no client shall
/// name a cluster all the same.
fn without_routing_header(headers: &Headers) -> Step {
    match headers.value(CLUSTER_HEADER) {
        Some(_) => Step::next(vec![Effect::RemoveRequestHeader(CLUSTER_HEADER.into())]),
        None => Step::default(),
    }
}

/// A request that has no body yet: go on to read it, or answer.
fn admit(
    gateway: &Gateway,
    mut facts: Facts,
    matched: &Matched<'_>,
    end: bool,
    host: &impl Host,
) -> Result<(Phase, Step), Box<Replied>> {
    if facts.headers().value(":method") != Some(matched.method.as_bytes()) {
        return Err(Replied::new(facts, Denied::MethodNotAllowed { allowed: matched.method }));
    }
    let (api, local) = match matched.target {
        Target::Query { api, .. } => (api, None),
        Target::Local(local) => (None, Some(local)),
    };
    if let Some(reply) = local.and_then(|local| own::without_caller(local, &facts)) {
        return Ok((Phase::Outside, Step::reply(reply)));
    }
    match identity::resolve(&gateway.config.identity, facts.headers(), host) {
        Ok(caller) => facts.caller = Some(caller),
        Err(why) => return Err(Replied::new(facts, Denied::Unauthenticated(why.0))),
    }
    if let (Some(Local::Limits), Some(rls)) = (local, &gateway.config.rls) {
        return Ok(AwaitLook::begin(gateway, rls, facts, host));
    }
    if let Some(reply) = local.and_then(|local| own::for_caller(local, gateway, &facts, matched.endpoint, host)) {
        return Ok((Phase::Outside, Step::reply(reply)));
    }
    if let Some(name) = matched.endpoint {
        facts.endpoint = gateway.config.names.endpoints.get(name).copied();
        match facts.endpoint(gateway) {
            Some(_) => facts = permitted(gateway, facts)?,
            None => return own::unmatched(gateway, facts, name),
        }
    }
    let length = facts.headers().text("content-length").and_then(|length| length.parse::<u64>().ok());
    let max_bytes = gateway.config.max_request_bytes;
    if length.is_some_and(|length| length > max_bytes as u64) {
        return Err(Replied::new(facts, Denied::TooLarge { max_bytes }));
    }
    if let Err(InvalidRequest(why)) = facts.read_usage_context() {
        return Err(Replied::new(facts, Denied::InvalidRequest(why)));
    }
    if end {
        let why = "the request's body is empty: send a JSON object";
        return Err(Replied::new(facts, Denied::InvalidRequest(why.into())));
    }
    Ok((Phase::AwaitBody(Box::new(AwaitBody::new(facts, api))), Step::wait()))
}
