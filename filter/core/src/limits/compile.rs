//! From limits as configured to the counters of one caller: which limits apply to him, which are overridden and by what,
//! and where each counter lies. Done once per configuration as far as it can be; must never look at a count.

use super::{
    Conflict, Limit, LimitKey, Period, Rules, Unit,
    amount::{Tokens, Weight},
    tags::{self, Subject},
    window::Window,
};
use crate::caller::{Caller, Principal};

/// One unit of one limit. Where each caller has a counter of his own, the tag is the part that all share until
/// [`applicable`] makes it the caller's. Small, since each request copies those that apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    pub maximum: u64,
    pub(super) tag: u64,
    pub cached_input_weight: Weight,
    /// The first limit of the same group, where groups stop a caller only all together.
    pub(super) group: Option<u16>,
    limit: u16,
    pub unit: Unit,
    pub period: Period,
    /// Never refuses.
    pub shadow: bool,
    pub(super) place: Place,
    /// An earlier limit has the same counter: checked here, charged there.
    pub(super) repeats: bool,
    priority: Priority,
}

/// Which of two limits of one unit holds, where both are about the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Priority {
    /// It names the caller, and overrides.
    Custom,
    Yields,
    Holds,
}

impl Counter {
    /// An index of the limits as configured.
    pub fn limit(&self) -> usize {
        self.limit.into()
    }
}

/// The key in shared data that holds a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The endpoint's packed value.
    Endpoint,
    /// The caller's slot.
    Caller,
}

/// A counter that applies, with its window as last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub counter: Counter,
    /// What admission charges; tokens are none where nothing is reserved.
    pub charged: u64,
    pub(super) window: Window,
    /// What an engine elsewhere says of it, which goes before the window.
    pub(super) told: Option<Told>,
}

/// What an engine says of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub used: u64,
    /// Until nothing of it is used any more.
    pub reset_ms: u64,
}

impl Held {
    pub(super) fn used(&self, now_ms: u64) -> u64 {
        match self.told {
            Some(told) => told.used,
            None => self.window.used(now_ms, self.counter.period),
        }
    }

    /// Milliseconds until no more than `target` is used, if nothing is charged meanwhile.
    pub(super) fn wait(&self, now_ms: u64, target: u64) -> u64 {
        match self.told {
            Some(told) if told.used > target => told.reset_ms,
            Some(_) => 0,
            None => self.window.wait(now_ms, self.counter.period, target),
        }
    }

    /// A call needs room for what it is charged, and for one token where nothing is reserved.
    pub(super) fn needed(&self) -> u64 {
        self.charged.max(1)
    }

    pub(super) fn has_room(&self, now_ms: u64) -> bool {
        let after = self.used(now_ms).checked_add(self.needed());
        after.is_some_and(|after| after <= self.counter.maximum)
    }
}

/// All counters of an endpoint, in the policy's order.
pub(super) fn counters(endpoint: &str, limits: &[Limit], rules: Rules) -> Vec<Counter> {
    let is_databricks = rules.conflict == Conflict::Databricks;
    let mut counters: Vec<Counter> = Vec::new();
    for (index, limit) in (0..u16::MAX).zip(limits) {
        let same_group = |group: &str| limits.iter().position(|other| other.key.group() == Some(group));
        let group = limit.key.group().filter(|_| is_databricks).and_then(same_group);
        for &(unit, maximum) in &limit.units {
            let tag = tags::of_counter(endpoint, limit, unit);
            // `user` with and without a principal never meet: the one overrides the other.
            let is_same = |c: &Counter| c.tag == tag && limits.get(c.limit()).is_some_and(|l| l.key == limit.key);
            counters.push(Counter {
                maximum,
                tag,
                cached_input_weight: limit.cached_input_weight,
                group: group.and_then(|group| u16::try_from(group).ok()),
                limit: index,
                unit,
                period: limit.period,
                shadow: limit.shadow || rules.shadow,
                place: match limit.key {
                    LimitKey::EachUser | LimitKey::User(_) | LimitKey::EachMember(_) => Place::Caller,
                    LimitKey::Endpoint | LimitKey::ServicePrincipal(_) | LimitKey::UserGroup(_) => Place::Endpoint,
                },
                repeats: counters.iter().any(is_same),
                priority: match limit.key {
                    LimitKey::User(_) | LimitKey::ServicePrincipal(_) => Priority::Custom,
                    LimitKey::EachUser => Priority::Yields,
                    LimitKey::UserGroup(_) | LimitKey::EachMember(_) if is_databricks => Priority::Yields,
                    _ => Priority::Holds,
                },
            });
        }
    }
    counters
}

/// What becomes of one counter for one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Applies,
    /// It is about others.
    OfOthers,
    /// A custom limit of the same unit has priority: an index of the limits.
    Overridden {
        by: usize,
    },
}

/// What becomes of each counter, in the policy's order. The one place that knows which limits apply.
pub(super) fn verdicts<'a>(
    limits: &'a [Limit],
    counters: &'a [Counter],
    caller: &Caller,
) -> impl Iterator<Item = Verdict> {
    // A bit for each limit: a policy has at most 20.
    let mut concerned = 0_u64;
    for (index, _) in (0..u64::BITS).zip(limits).filter(|(_, limit)| concerns(&limit.key, caller)) {
        concerned |= 1 << index;
    }
    let applies = move |counter: &Counter| (concerned >> (counter.limit & 63)) & 1 == 1;
    counters.iter().map(move |counter| {
        if !applies(counter) {
            return Verdict::OfOthers;
        }
        if counter.priority == Priority::Yields {
            let mut custom = counters.iter().filter(|c| c.priority == Priority::Custom && c.unit == counter.unit);
            if let Some(custom) = custom.find(|custom| applies(custom)) {
                return Verdict::Overridden { by: custom.limit() };
            }
        }
        Verdict::Applies
    })
}

/// The counters that apply to a caller, in the policy's order, each with what it is charged at admission. A walk over all
/// limits: there are at most 20, of which at most 5 are of groups, so an index by name would cost its hashing and the
/// sorting afterwards.
pub(super) fn applicable(
    limits: &[Limit],
    counters: &[Counter],
    caller: &Caller,
    reserved: Tokens,
) -> (Vec<Held>, Option<Subject>) {
    let mut subject = None;
    let mut held = Vec::with_capacity(counters.len());
    for (verdict, &counter) in verdicts(limits, counters, caller).zip(counters) {
        if verdict != Verdict::Applies {
            continue;
        }
        let tag = match counter.place {
            Place::Caller => subject.get_or_insert_with(|| Subject::of(&caller.principal)).tag(counter.tag),
            Place::Endpoint => counter.tag,
        };
        let charged = match counter.unit {
            Unit::Calls => 1,
            unit => reserved.amount(unit, counter.cached_input_weight),
        };
        held.push(Held { counter: Counter { tag, ..counter }, charged, window: Window::default(), told: None });
    }
    (held, subject)
}

/// Whether a limit is about this caller at all.
fn concerns(key: &LimitKey, caller: &Caller) -> bool {
    match (key, &caller.principal) {
        (LimitKey::Endpoint, _) => true,
        (LimitKey::EachUser, Principal::User(_) | Principal::Anonymous) => true,
        (LimitKey::User(name), Principal::User(user)) => name == user,
        (LimitKey::ServicePrincipal(name), Principal::ServicePrincipal(principal)) => name == principal,
        (LimitKey::UserGroup(group) | LimitKey::EachMember(group), _) => caller.groups.contains(group),
        (LimitKey::EachUser | LimitKey::User(_) | LimitKey::ServicePrincipal(_), _) => false,
    }
}
