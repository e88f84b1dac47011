//! From limits as configured to the counters of one caller: which limits apply to him, and where each counter lies.
//! Done once per configuration as far as it can be; must never look at a count.

use super::{Limit, LimitKey, Period, Unit, tags, window::Window};
use crate::{
    caller::{Caller, Principal},
    limits::tags::Subject,
};

/// One unit of one limit. Of a limit of users, the tag is the part that all users share until [`applicable`] makes it the
/// caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counter {
    /// An index of the limits as configured.
    pub limit: usize,
    pub unit: Unit,
    pub maximum: u64,
    pub period: Period,
    pub place: Place,
    pub tag: u64,
    /// An earlier limit has the same key, unit and period, and so the same counter: checked here, charged there.
    pub repeats: bool,
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
pub(super) struct Held {
    pub counter: Counter,
    pub window: Window,
}

impl Held {
    pub fn used(&self, now_ms: u64) -> u64 {
        self.window.used(now_ms, self.counter.period.millis())
    }
}

/// All counters of an endpoint, in the policy's order.
pub(super) fn counters(endpoint: &str, limits: &[Limit]) -> Vec<Counter> {
    let mut counters = Vec::new();
    for (index, limit) in limits.iter().enumerate() {
        let earlier = limits.get(..index).unwrap_or_default();
        for &(unit, maximum) in &limit.units {
            counters.push(Counter {
                limit: index,
                unit,
                maximum,
                period: limit.period,
                place: match limit.key {
                    LimitKey::EachUser | LimitKey::User(_) => Place::Caller,
                    LimitKey::Endpoint | LimitKey::ServicePrincipal(_) | LimitKey::UserGroup(_) => Place::Endpoint,
                },
                tag: tags::of_counter(endpoint, &limit.key, unit, limit.period),
                repeats: earlier.iter().any(|other| {
                    other.key == limit.key && other.period == limit.period && other.units.iter().any(|u| u.0 == unit)
                }),
            });
        }
    }
    counters
}

/// The counters that apply to a caller, in the policy's order. A walk over all limits: there are at most 20, of which at
/// most 5 are of groups, so an index by name would cost its hashing and the sorting afterwards.
pub(super) fn applicable(limits: &[Limit], counters: &[Counter], caller: &Caller) -> Vec<Held> {
    let subject = Subject::of(&caller.principal);
    let applies: Vec<bool> = limits.iter().map(|limit| concerns(&limit.key, caller)).collect();
    let applies = |limit: usize| applies.get(limit).is_some_and(|applies| *applies);
    let key = |limit: usize| limits.get(limit).map(|limit| &limit.key);
    let custom = |unit: Unit| {
        counters.iter().any(|c| c.unit == unit && applies(c.limit) && matches!(key(c.limit), Some(LimitKey::User(_))))
    };
    let mut held = Vec::with_capacity(counters.len());
    for &counter in counters.iter().filter(|counter| applies(counter.limit)) {
        if key(counter.limit) == Some(&LimitKey::EachUser) && custom(counter.unit) {
            continue;
        }
        let tag = match (counter.place, subject) {
            (Place::Caller, Some(subject)) => subject.tag(counter.tag),
            _ => counter.tag,
        };
        held.push(Held { counter: Counter { tag, ..counter }, window: Window::default() });
    }
    held
}

/// Whether a limit is about this caller at all.
fn concerns(key: &LimitKey, caller: &Caller) -> bool {
    match (key, &caller.principal) {
        (LimitKey::Endpoint, _) => true,
        (LimitKey::EachUser, Principal::User(_) | Principal::Anonymous) => true,
        (LimitKey::User(name), Principal::User(user)) => name == user,
        (LimitKey::ServicePrincipal(name), Principal::ServicePrincipal(principal)) => name == principal,
        (LimitKey::UserGroup(group), _) => caller.groups.contains(group),
        (LimitKey::EachUser | LimitKey::User(_) | LimitKey::ServicePrincipal(_), _) => false,
    }
}
