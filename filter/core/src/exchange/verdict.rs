//! The engine of `limits_store.rls` has been asked, and the request waits: what it says, or what `on_error` says in its
//! place, sends the request on or ends it. The wait is bounded by `timeout_ms`, which Envoy keeps.

use super::{
    Gateway, Phase,
    close::Replied,
    facts::Facts,
    gate::{self, Admitted, Asked},
    send::Prepared,
};
use crate::{
    host::{Effect, Host, Step},
    limits::rls::{Fault, Rls, Turn},
    metrics::Metric,
};

/// gRPC's `OK`.
pub const OK: u32 = 0;
/// In bytes: an answer has a status for each counter, of some 30 bytes.
const MAX_ANSWER: usize = 64 << 10;

/// The request is made and not sent.
#[derive(Debug)]
pub struct AwaitVerdict {
    pub facts: Facts,
    asked: Asked,
    prepared: Prepared,
}

impl AwaitVerdict {
    pub fn new(facts: Facts, asked: Asked, prepared: Prepared) -> Self {
        Self { facts, asked, prepared }
    }

    pub fn answered(self: Box<Self>, gateway: &Gateway, status: u32, size: usize, host: &impl Host) -> (Phase, Step) {
        let Self { mut facts, asked, prepared } = *self;
        let (Some(endpoint), Some(rls)) = (facts.endpoint(gateway), &gateway.config.rls) else {
            return Replied::new(facts, gate::LOST).reply();
        };
        let mut effects = Vec::new();
        let now_ms = host.now() / 1_000_000;
        let (reserved, is_shadow) = (asked.reserved, asked.is_shadow());
        let said = match status {
            OK => endpoint.limits.judge(asked.held, &host.answer(size.min(MAX_ANSWER)), now_ms),
            _ => Err(Fault::Unreadable),
        };
        let verdict = match noted(rls, said, now_ms, &mut effects) {
            Some(admission) => gate::heed(endpoint, &mut facts, admission, now_ms),
            None => gate::without_engine(gateway, rls, endpoint, &mut facts, reserved, is_shadow, host),
        };
        match verdict {
            Ok(mut admitted) => {
                effects.append(&mut admitted.effects);
                prepared.send(facts, Admitted { effects, ..admitted }, host)
            }
            Err(mut refused) => {
                effects.append(&mut refused.effects);
                Replied::at_gate(facts, &prepared.plan, gate::Refused { effects, ..*refused }).reply()
            }
        }
    }

    /// The client went away before there was a verdict. What the engine charges stays charged.
    pub fn abandoned(self, gateway: &Gateway, host: &impl Host) -> (Phase, Step) {
        Replied::abandoned(self.facts).close(gateway, host)
    }

    /// Envoy has ended the request itself.
    pub fn answered_by_envoy(self, host: &impl Host) -> (Phase, Step) {
        Replied::ended_by_envoy(self.facts, host)
    }
}

/// What the engine has said, and the circuit hears of it; `None`: it has said nothing.
pub fn noted<T>(rls: &Rls, said: Result<T, Fault>, now_ms: u64, effects: &mut Vec<Effect>) -> Option<T> {
    let fault = match said {
        Ok(said) => {
            note(rls, rls.circuit.answered(), effects);
            return Some(said);
        }
        Err(fault) => fault,
    };
    effects.push(Effect::Count(Metric::RlsFailed, 1));
    let turn = rls.circuit.failed(now_ms);
    if fault == Fault::NoSuchLimit && turn == Turn::Opened {
        effects.push(Effect::Warn(format!(
            "limits_store.rls: the engine has no limits for domain `{}`: give it what `weir render ratelimit` writes",
            rls.domain
        )));
    }
    note(rls, turn, effects);
    None
}

/// A line for the log when the engine goes and when it comes back.
fn note(rls: &Rls, turn: Turn, effects: &mut Vec<Effect>) {
    let cluster = rls.cluster.name();
    effects.extend(match turn {
        Turn::None => None,
        Turn::Opened => Some(Effect::Warn(format!(
            "limits_store.rls: cluster `{cluster}` does not answer within {} ms: `on_error` decides until it does",
            rls.timeout_ms
        ))),
        Turn::Closed => Some(Effect::Warn(format!("limits_store.rls: cluster `{cluster}` answers again"))),
    });
}
