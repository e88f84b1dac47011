//! Which limits apply to a caller, whether they admit him, and what an answer adds to them. A caller and the shared counts
//! go in, a verdict comes out. Exact per Envoy process, however many workers: a count is changed by compare-and-swap or not
//! at all. `docs/decisions/0002-limits-in-shared-data.md` says why it is laid out as it is.

use std::fmt;

use crate::{caller::Caller, host::SharedData};

mod compile;
mod ledger;
mod packed;
mod slots;
mod standing;
mod tags;
mod window;
mod words;

#[cfg(test)]
mod tests;

use self::{
    compile::{Counter, Held, Place},
    ledger::Ledger,
    tags::Subject,
};
pub use self::{
    ledger::{ENDPOINT_CAPACITY, MAX_TRIES},
    packed::ENTRY_BYTES,
    slots::{Fill, SLOT_CAPACITY, SLOTS, create_slots, fill},
    standing::{Refusal, Standing, duration},
};

/// One entry of `ai_gateway.rate_limits`, as configured. A limit holds each of its units in a counter of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    pub key: LimitKey,
    /// Each unit at most once, with its maximum in one period.
    pub units: Vec<(Unit, u64)>,
    pub period: Period,
    /// `name`, for messages and records.
    pub name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    Endpoint,
    /// `key: user` without `principal`: each user on his own.
    EachUser,
    User(String),
    ServicePrincipal(String),
    UserGroup(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    Calls,
    /// Input and output.
    Tokens,
    InputTokens,
    OutputTokens,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    Second,
    Minute,
    Hour,
}

impl Period {
    pub const fn millis(self) -> u64 {
        match self {
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calls => "calls",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
        })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
        })
    }
}

/// An endpoint's limits, compiled: who is subject to which, and where each counter lies.
#[derive(Debug, Default)]
pub struct Limits {
    limits: Vec<Limit>,
    counters: Vec<Counter>,
    /// Holds the counters of the endpoint itself, of groups and of service principals.
    endpoint_key: String,
}

impl Limits {
    /// `endpoint` is a part of every counter's identity, as are key, principal, unit and period; a limit's number, place
    /// in the list and name are not, so that counts outlive a reload.
    pub fn new(endpoint: &str, limits: Vec<Limit>) -> Self {
        let counters = compile::counters(endpoint, &limits);
        Self { limits, counters, endpoint_key: format!("weir.e.{endpoint}") }
    }

    /// As configured, in the policy's order.
    pub fn entries(&self) -> &[Limit] {
        &self.limits
    }

    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// At configure: creates this endpoint's key where it is absent. Users need [`create_slots`] besides.
    pub fn create_keys(&self, data: &impl SharedData) {
        if self.counters.iter().any(|counter| counter.place == Place::Endpoint) {
            slots::create_absent(data, &self.endpoint_key);
        }
    }

    /// Admits a call where every counter that applies has room, and charges it to all of them or to none. Tokens have
    /// room while less than their limit is used; what they cost is added by [`Limits::settle`].
    pub fn admit(&self, data: &impl SharedData, now_ms: u64, caller: &Caller) -> Admission {
        let counters = compile::applicable(&self.limits, &self.counters, caller);
        if counters.is_empty() {
            return Admission::Admitted(Charge::default());
        }
        let own = counters.iter().any(|held| held.counter.place == Place::Caller);
        let slot_key = Subject::of(&caller.principal).filter(|_| own).map(slots::key_of);
        self.ledger(data, now_ms, slot_key.as_deref()).admit(counters)
    }

    /// Adds what an answer used, to the period in which it ends. Once per charge and never again, also not after an
    /// error: one of the two keys may have been charged.
    ///
    /// # Errors
    /// [`Contended`] where a key ran out of tries or does not exist; its part of the usage is in no count.
    pub fn settle(&self, data: &impl SharedData, now_ms: u64, charge: &Charge, used: Tokens) -> Result<(), Contended> {
        self.ledger(data, now_ms, charge.slot_key.as_deref()).settle(&charge.counters, used)
    }

    fn ledger<'a, D: SharedData>(&'a self, data: &'a D, now_ms: u64, slot_key: Option<&'a str>) -> Ledger<'a, D> {
        Ledger { data, now_ms, endpoint_key: &self.endpoint_key, slot_key }
    }
}

/// The verdict on one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted(Charge),
    /// Nothing is charged.
    Refused(Refusal),
    /// A compare-and-swap ran out of tries, or a key was not created at configure. Nothing is charged, and nothing may be
    /// admitted on a guess: 503.
    Contended,
}

/// What an admitted call was charged to; [`Limits::settle`] adds the tokens there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    counters: Vec<Held>,
    slot_key: Option<String>,
    /// After this call.
    pub requests: Option<Standing>,
    /// Before this call's tokens, over all three token units.
    pub tokens: Option<Standing>,
}

/// What an answer used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
}

/// A compare-and-swap ran out of tries, or a key was not created at configure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contended;
