//! What the tests of limits share: a store that loses on demand, a seeded generator, a plain model of the formula, and
//! short names for limits and callers.

mod admission;
mod applies;
mod contention;
mod memory;
mod model;
mod packed;
mod random;
mod reload;
mod slots;
mod standing;
mod store;
mod tags;
mod window;

use self::{model::Model, random::Random, store::FakeSharedData};
use super::*;
use crate::caller::Principal;

/// A moment for tests to start at: 2026-01-01.
const T0: u64 = 1_767_225_600_000;
const MINUTE: u64 = 60_000;

fn limit(key: LimitKey, units: &[(Unit, u64)]) -> Limit {
    per(Period::Minute, key, units)
}

fn per(period: Period, key: LimitKey, units: &[(Unit, u64)]) -> Limit {
    Limit { key, units: units.to_vec(), period, name: None }
}

fn custom(name: &str) -> LimitKey {
    LimitKey::User(name.to_string())
}

fn group(name: &str) -> LimitKey {
    LimitKey::UserGroup(name.to_string())
}

fn robot(name: &str) -> LimitKey {
    LimitKey::ServicePrincipal(name.to_string())
}

fn user(name: &str, groups: &[&str]) -> Caller {
    caller(Principal::User(name.to_string()), groups)
}

fn caller(principal: Principal, groups: &[&str]) -> Caller {
    Caller { principal, groups: groups.iter().map(ToString::to_string).collect() }
}

/// Limits of endpoint `chat`, and a store with their keys.
fn configured(limits: Vec<Limit>) -> (Limits, FakeSharedData) {
    let data = FakeSharedData::default();
    create_slots(&data);
    (compiled(limits, &data), data)
}

/// The same with no more slots than these callers need: for tests that start over often.
fn configured_for(callers: &[Caller], limits: Vec<Limit>) -> (Limits, FakeSharedData) {
    let data = FakeSharedData::default();
    callers.iter().for_each(|who| super::slots::create_absent(&data, &slot(who)));
    (compiled(limits, &data), data)
}

fn compiled(limits: Vec<Limit>, data: &FakeSharedData) -> Limits {
    let limits = Limits::new("chat", limits);
    limits.create_keys(data);
    limits
}

/// The key that holds a user's counters.
fn slot(who: &Caller) -> String {
    super::slots::key_of(Subject::of(&who.principal).unwrap())
}

fn admitted(admission: Admission) -> Charge {
    match admission {
        Admission::Admitted(charge) => charge,
        other => panic!("expected admission, found {other:?}"),
    }
}

fn refused(admission: Admission) -> Refusal {
    match admission {
        Admission::Refused(refusal) => refusal,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

/// How many of `calls` are admitted; the rest must be refused, not contended.
fn count(limits: &Limits, data: &FakeSharedData, now_ms: u64, who: &Caller, calls: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..calls {
        match limits.admit(data, now_ms, who) {
            Admission::Admitted(_) => admitted += 1,
            Admission::Refused(_) => {}
            Admission::Contended => panic!("contended after {admitted} admitted"),
        }
    }
    admitted
}
