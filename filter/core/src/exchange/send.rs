//! The first attempt's request, ready to go: made of the client's before the limits are asked elsewhere, or after they have
//! let it in here.

use super::{Phase, answer::AwaitAnswer, facts::Facts, gate::Admitted};
use crate::host::{Effect, Host, Step};

/// What turns the client's request into the primary's.
#[derive(Debug)]
pub struct Prepared {
    pub effects: Vec<Effect>,
    /// Indices of the endpoint's entities, in the order of attempts.
    pub plan: Vec<usize>,
    /// The client did not ask for the usage chunk that its stream will have.
    pub drop_usage: bool,
}

impl Prepared {
    pub fn send(self, facts: Facts, admitted: Admitted, host: &impl Host) -> (Phase, Step) {
        let Self { mut effects, plan, drop_usage } = self;
        effects.extend(admitted.effects);
        let phase = AwaitAnswer::new(facts, plan, admitted.charge, drop_usage, host.now());
        (Phase::AwaitAnswer(Box::new(phase)), Step::next(effects))
    }
}
