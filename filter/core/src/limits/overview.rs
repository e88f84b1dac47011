//! How all counters of one caller stand, for himself and for nobody else: his limits and the shared counts in, one row a
//! counter out. Changes nothing.

use super::{
    Counter, Limits, Tokens,
    compile::Held,
    slots,
    standing::{self, Standing},
};
use crate::{caller::Caller, shared::SharedData};

/// How one counter that applies stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overview {
    pub counter: Counter,
    pub used: u64,
    pub standing: Standing,
}

impl Overview {
    pub(super) fn of(held: &Held, now_ms: u64) -> Self {
        let (used, limit) = (held.used(now_ms), held.counter.maximum);
        let standing =
            Standing { limit, remaining: limit.saturating_sub(used), reset_ms: standing::reset_ms(held, now_ms) };
        Self { counter: held.counter, used, standing }
    }
}

impl Limits {
    /// Every counter that applies to the caller, in the policy's order: at most two loads.
    pub fn overview(&self, data: &impl SharedData, now_ms: u64, caller: &Caller) -> Vec<Overview> {
        let (mut counters, subject) =
            super::compile::applicable(&self.limits, &self.counters, caller, Tokens::default());
        let slot_key = subject.map(slots::key_of);
        self.ledger(data, now_ms, slot_key.as_deref()).look_at_all(&mut counters);
        counters.iter().map(|held| Overview::of(held, now_ms)).collect()
    }
}
