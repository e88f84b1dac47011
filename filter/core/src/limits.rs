//! Which limits apply to a caller, whether they admit him, and what an answer adds to them. A caller and the shared counts
//! go in, a verdict comes out. Exact per Envoy process, however many workers: a count is changed by compare-and-swap or not
//! at all. `docs/limits.md` has the rules, `docs/decisions/0002-limits-in-shared-data.md` says why it is laid out as it is.

use std::cell::{Cell, OnceCell};

use crate::{caller::Caller, shared::SharedData};

mod amount;
mod compile;
mod guess;
mod ledger;
mod overview;
mod packed;
mod period;
pub mod rls;
mod slots;
mod standing;
mod tags;
mod window;
mod words;

#[cfg(test)]
mod tests;

use self::ledger::Ledger;
pub use self::{
    amount::{Reserve, Tokens, Unit, Weight, is_quota, nano_usd, usd},
    compile::{Counter, Held, Verdict},
    guess::Guesses,
    ledger::{ENDPOINT_ROOM, MAX_TRIES},
    overview::Overview,
    packed::{ENTRY_BYTES, Room},
    period::Period,
    slots::{Changed, SLOT_ROOM, SLOTS, is_first},
    standing::{Refusal, Standing, duration},
};

/// One entry of `ai_gateway.rate_limits`, as configured. A limit holds each of its units in a counter of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    pub key: LimitKey,
    /// Each unit at most once, with its maximum in one period; of cost in billionths of a US dollar.
    pub units: Vec<(Unit, u64)>,
    pub period: Period,
    /// `name`, for messages and records.
    pub name: Option<String>,
    pub cached_input_weight: Weight,
    /// `mode: shadow`: counts, and refuses nobody.
    pub shadow: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    Endpoint,
    /// `key: user` without `principal`: each user on his own.
    EachUser,
    User(String),
    ServicePrincipal(String),
    /// One counter for all members.
    UserGroup(String),
    /// `per: member`: each member of the group on his own.
    EachMember(String),
}

impl LimitKey {
    /// The group that it is for.
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::UserGroup(group) | Self::EachMember(group) => Some(group),
            Self::Endpoint | Self::EachUser | Self::User(_) | Self::ServicePrincipal(_) => None,
        }
    }
}

/// What the policy says of all limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub conflict: Conflict,
    /// `enforcement: shadow`: no limit refuses.
    pub shadow: bool,
    /// `accounting: reserve`; `None`: tokens are charged after the response.
    pub reserve: Option<Reserve>,
}

/// `limit_conflict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conflict {
    /// Every counter that applies must have room.
    #[default]
    Strictest,
    /// A custom limit overrides those of groups, and groups stop a caller only when all of his are exceeded.
    Databricks,
}

/// Of an endpoint's key in shared data.
const KEY_PREFIX: &str = "weir.e.";

/// An endpoint's limits, compiled: who is subject to which, and where each counter lies.
#[derive(Debug, Default)]
pub struct Limits {
    limits: Vec<Limit>,
    rules: Rules,
    counters: Vec<Counter>,
    /// Holds the counters of the endpoint itself, of groups and of service principals.
    endpoint_key: String,
    /// The counters as an engine knows them; made where one is asked.
    descriptors: OnceCell<Vec<rls::Prepared>>,
    said: words::Said,
}

impl Limits {
    /// `endpoint` is a part of every counter's identity, as are key, principal, unit and period; a limit's number, place
    /// in the list and name are not, so that counts outlive a reload.
    pub fn new(endpoint: &str, limits: Vec<Limit>, rules: Rules) -> Self {
        let counters = compile::counters(endpoint, &limits, rules);
        let endpoint_key = format!("{KEY_PREFIX}{endpoint}");
        Self { limits, rules, counters, endpoint_key, ..Self::default() }
    }

    fn endpoint(&self) -> &str {
        self.endpoint_key.strip_prefix(KEY_PREFIX).unwrap_or_default()
    }

    /// As configured, in the policy's order.
    pub fn entries(&self) -> &[Limit] {
        &self.limits
    }

    pub fn rules(&self) -> Rules {
        self.rules
    }

    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Every counter of the endpoint, and what becomes of it for this caller: in the policy's order.
    pub fn verdicts(&self, caller: &Caller) -> Vec<(Counter, Verdict)> {
        let verdicts = compile::verdicts(&self.limits, &self.counters, caller);
        self.counters.iter().copied().zip(verdicts).collect()
    }

    /// The counters that apply to a caller, each with what admission charges it where `reserved` is reserved: what a
    /// store elsewhere has to be asked for. What settlement adds is [`Tokens::amount`] of the same counters.
    pub fn applicable(&self, caller: &Caller, reserved: Tokens) -> Vec<Held> {
        compile::applicable(&self.limits, &self.counters, caller, reserved).0
    }

    /// Admits a call where the counters that apply let it in, and charges it to all of them or to none. Tokens and cost
    /// have room for what is `reserved`, or, where nothing is, while less than their limit is used; what they cost is
    /// settled by [`Limits::settle`].
    pub fn admit(&self, data: &impl SharedData, now_ms: u64, caller: &Caller, reserved: Tokens) -> Decision {
        let (counters, subject) = compile::applicable(&self.limits, &self.counters, caller, reserved);
        if counters.is_empty() {
            return Decision { admission: Admission::Admitted(Charge::default()), changed: Changed::default() };
        }
        // What refuses nobody is not worth a refusal when it cannot be counted.
        let is_shadow = counters.iter().all(|held| held.counter.shadow);
        let slot_key = subject.map(slots::key_of);
        let ledger = self.ledger(data, now_ms, slot_key.as_deref());
        let mut admission = ledger.admit(counters);
        let changed = ledger.changed.get();
        match &mut admission {
            Admission::Admitted(charge) => {
                charge.reserved = self.rules.reserve.is_some();
                charge.slot_key = slot_key;
            }
            Admission::Contended if is_shadow => admission = Admission::Admitted(Charge::default()),
            Admission::Contended | Admission::Refused(_) => {}
        }
        Decision { admission, changed }
    }

    /// Settles what an answer used: adds it to the period in which the answer ends, or puts it in the place of what was
    /// reserved, in the period of the admission. Once per charge and never again, also not after an error: one of the two
    /// keys may have been charged. Nothing used is settled too: a reservation is given back.
    pub fn settle(&self, data: &impl SharedData, now_ms: u64, charge: &Charge, used: Tokens) -> Settlement {
        let ledger = self.ledger(data, now_ms, charge.slot_key.as_deref());
        let contended = ledger.settle(&charge.counters, used, charge.reserved).is_err();
        Settlement { contended, changed: ledger.changed.get() }
    }

    fn ledger<'a, D: SharedData>(&'a self, data: &'a D, now_ms: u64, slot_key: Option<&'a str>) -> Ledger<'a, D> {
        Ledger { data, now_ms, endpoint_key: &self.endpoint_key, slot_key, changed: Cell::default() }
    }
}

/// The verdict on one call, and what it did to the slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub admission: Admission,
    pub changed: Changed,
}

/// The verdict on one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted(Charge),
    /// Nothing is charged.
    Refused(Box<Refusal>),
    /// A compare-and-swap ran out of tries. Nothing is charged, and nothing may be admitted on a guess: 503.
    Contended,
}

/// What an admitted call was charged to; [`Limits::settle`] settles the tokens there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    counters: Vec<Held>,
    slot_key: Option<String>,
    /// Tokens were reserved: what was used comes in their place.
    reserved: bool,
    /// An engine elsewhere counts it: [`Limits::reports`] settles it.
    shared: bool,
    /// After this call.
    pub requests: Option<Standing>,
    /// Over all three token units: before this call's tokens, or after what it reserved.
    pub tokens: Option<Standing>,
    /// The limit that would have refused it, were it not a shadow: an index of [`Limits::entries`].
    pub would_limit: Option<usize>,
}

impl Charge {
    /// Whether tokens were reserved: then it must be settled, also where nothing was used.
    pub fn is_reserved(&self) -> bool {
        self.reserved
    }

    pub fn is_shared(&self) -> bool {
        self.shared
    }
}

/// What became of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// A key ran out of tries: its part of the usage is in no count, and its part of a reservation stays.
    pub contended: bool,
    pub changed: Changed,
}

/// A compare-and-swap ran out of tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Contended;
