//! The gateway role where it cannot pause on a request's headers: a plugin that somebody else configures, without
//! `allow_on_headers_stop_iteration`. Headers go on at once and are out of its hands for good, so what the engine would
//! write into them goes into filter state, from which Envoy's own filters take what a route reads; the request that a
//! provider gets is the attempt role's, the first one's too (docs/decisions/0020-versions-of-envoy.md).

use std::{borrow::Cow, rc::Rc};

use crate::{
    attempt::CONTEXT,
    config::Unmatched,
    exchange::{Exchange, is_steering},
    gateway::Gateway,
    host::{Effect, Host, Input, Step, Verdict},
    paths::{AUTHORITY_HEADER, CLUSTER_HEADER},
    provider,
};

/// Request headers that a filter behind the gateway writes, and the filter state `wasm.<key>` that it takes them from.
pub const HEADERS: [(&str, &str); 5] = [
    (CLUSTER_HEADER, "weir.cluster"),
    (AUTHORITY_HEADER, "weir.authority"),
    ("content-length", "weir.length"),
    ("x-envoy-max-retries", "weir.retries"),
    ("x-envoy-upstream-rq-per-try-timeout-ms", "weir.try_ms"),
];

/// One request.
#[derive(Debug)]
pub struct Unpaused {
    gateway: Rc<Gateway>,
    exchange: Exchange,
}

impl Unpaused {
    pub fn new(gateway: Rc<Gateway>) -> Self {
        Self { exchange: Exchange::unpaused(gateway.clone()), gateway }
    }

    pub fn handle(&mut self, input: Input, host: &impl Host) -> Step {
        let step = self.exchange.handle(input, host);
        match input {
            Input::RequestHeaders { .. } if step == Step::wait() => self.let_go(host),
            Input::RequestHeaders { .. } => step,
            Input::Log => by_attempt(step, host),
            _ => by_state(step),
        }
    }

    /// The last that is done to the headers here: nothing that a client could steer with goes on, and nothing that is his
    /// alone. Where requests may yet pass as they came, the rest stays for that.
    fn let_go(&self, host: &impl Host) -> Step {
        let passes = matches!(self.gateway.config.unmatched, Unmatched::Pass { .. });
        let goes = |name: &str| if passes { is_steering(name) } else { !provider::may_go_on(name) };
        let headers = host.request_headers();
        let removed = headers.iter().map(|(name, _)| name).filter(|name| goes(name));
        let effects = removed.map(|name| Effect::RemoveRequestHeader(Cow::Owned(name.to_owned()))).collect();
        Step { effects, verdict: Verdict::Continue }
    }
}

/// The client went away while an attempt is under way: access logs read the headers before that one ends and puts them
/// back. Its context has them still.
fn by_attempt(step: Step, host: &impl Host) -> Step {
    let is_header = |effect: &Effect| matches!(effect, Effect::SetRequestHeader(..) | Effect::RemoveRequestHeader(_));
    let (back, mut effects): (Vec<_>, Vec<_>) = step.effects.into_iter().partition(is_header);
    let context = (!back.is_empty()).then(|| host.property(&[CONTEXT])).flatten();
    if let Some(number) = context.and_then(|context| context.first_chunk().copied()) {
        effects.push(Effect::InContext(u32::from_le_bytes(number), back));
    }
    Step { effects, verdict: step.verdict }
}

/// The headers are gone: what a route needs goes by filter state, the rest is the attempt role's.
fn by_state(step: Step) -> Step {
    let mut is_routed = false;
    let mut effects = Vec::with_capacity(step.effects.len());
    for effect in step.effects {
        match effect {
            Effect::SetRequestHeader(name, value) => {
                if let Some((_, key)) = HEADERS.iter().find(|(header, _)| *header == name) {
                    is_routed |= name == CLUSTER_HEADER;
                    effects.push(Effect::SetState(key, value.into_owned()));
                }
            }
            Effect::RemoveRequestHeader(_) => {}
            other => effects.push(other),
        }
    }
    if is_routed {
        effects.push(Effect::ForgetRoute);
    }
    Step { effects, verdict: step.verdict }
}
