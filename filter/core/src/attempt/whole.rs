//! Behind a gateway role that does not pause ([`crate::unpaused`]) every attempt makes the whole request of what the client
//! sent, the first one too, and puts back what access logs read when it ends: the headers are the same map.

use std::borrow::Cow;

use super::Attempt;
use crate::{
    config::{Endpoint, ServedEntity},
    headers::Headers,
    host::{Effect, Host, Input},
    provider,
    reply::text,
    restore,
};

/// A request's headers before an attempt changed them.
#[derive(Debug)]
pub struct Sent {
    headers: Headers,
    /// Index of the policy's endpoints.
    endpoint: usize,
}

impl Sent {
    pub fn new(endpoint: usize, host: &impl Host) -> Self {
        Self { headers: host.request_headers(), endpoint }
    }

    /// Takes off what is not for a provider, before an entity's own is set; the caller's headers where they are of the first
    /// entity's API.
    pub fn scrub(
        &self,
        endpoint: &Endpoint,
        entity: &ServedEntity,
        number: usize,
        effects: &mut Vec<Effect>,
    ) -> Option<&Headers> {
        let is_first = number == 1;
        if is_first {
            provider::scrub_request(&self.headers, endpoint, entity, effects);
        } else {
            provider::strip_request(&self.headers, effects);
        }
        effects.push(Effect::SetRequestHeader("accept-encoding".into(), text("identity")));
        is_first.then_some(&self.headers)
    }
}

impl Attempt {
    /// Once, when the attempt ends or is answered.
    pub(super) fn put_back(&mut self, input: Input, effects: &mut Vec<Effect>) {
        if self.sent.is_none() || !matches!(input, Input::ResponseHeaders { .. } | Input::Done) {
            return;
        }
        let Some(sent) = self.sent.take() else { return };
        let endpoint = self.gateway.config.endpoints.get(sent.endpoint);
        let own = endpoint.map(|endpoint| endpoint.own_headers.as_slice()).unwrap_or_default();
        effects.extend(own.iter().map(|name| Effect::RemoveRequestHeader(Cow::clone(name))));
        restore::restore(&sent.headers, effects);
    }
}
