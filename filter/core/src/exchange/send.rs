//! The first attempt's request, ready to go: made of the client's before the limits are asked elsewhere, or after they have
//! let it in here.

use super::{Phase, answer::AwaitAnswer, facts::Facts, gate::Admitted};
use crate::{
    attempt::{Handover, PLAN},
    host::{Effect, Host, Step},
};

/// What turns the client's request into the primary's.
#[derive(Debug)]
pub struct Prepared {
    pub effects: Vec<Effect>,
    /// For the attempt role, where it is needed.
    pub handover: Option<Handover>,
    /// Indices of the endpoint's entities, in the order of attempts.
    pub plan: Vec<usize>,
    /// The client did not ask for the usage chunk that its stream will have.
    pub drop_usage: bool,
}

impl Prepared {
    pub fn send(self, facts: Facts, admitted: Admitted, host: &impl Host) -> (Phase, Step) {
        let Self { mut effects, handover, plan, drop_usage } = self;
        let sent_at = host.now();
        effects.extend(handover.map(|handover| Effect::SetState(PLAN, Handover { sent_at, ..handover }.write())));
        effects.extend(admitted.effects);
        let phase = AwaitAnswer::new(facts, plan, admitted.charge, drop_usage, sent_at);
        (Phase::AwaitAnswer(Box::new(phase)), Step::next(effects))
    }
}
