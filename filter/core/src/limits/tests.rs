//! What the tests of limits share: a store that loses on demand, a seeded generator, a plain model of the formula, and
//! short names for limits and callers.

mod admission;
mod applies;
mod calendar;
mod cases;
mod contention;
mod guess;
mod memory;
mod model;
mod packed;
mod random;
mod reload;
mod reserve;
mod slots;
mod standing;
mod store;
mod tags;
mod units;
mod window;
mod workers;

use self::{model::Model, random::Random, store::FakeSharedData};
use super::{compile::Place, tags::Subject, *};
use crate::caller::Principal;

/// A moment for tests to start at: 2026-01-01.
const T0: u64 = 1_767_225_600_000;
const MINUTE: u64 = 60_000;

fn limit(key: LimitKey, units: &[(Unit, u64)]) -> Limit {
    per(Period::Minute, key, units)
}

fn per(period: Period, key: LimitKey, units: &[(Unit, u64)]) -> Limit {
    Limit { key, units: units.to_vec(), period, name: None, cached_input_weight: Weight::FULL, shadow: false }
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

/// Limits of endpoint `chat`, and an empty store.
fn configured(limits: Vec<Limit>) -> (Limits, FakeSharedData) {
    (compiled(limits), FakeSharedData::default())
}

fn compiled(limits: Vec<Limit>) -> Limits {
    Limits::new("chat", limits, Rules::default())
}

/// Where tokens are charged after the response.
fn admit(limits: &Limits, data: &impl SharedData, now_ms: u64, who: &Caller) -> Admission {
    limits.admit(data, now_ms, who, Tokens::default()).admission
}

/// Must not run out of tries.
fn settle(limits: &Limits, data: &impl SharedData, now_ms: u64, charge: &Charge, used: Tokens) {
    assert!(!limits.settle(data, now_ms, charge, used).contended);
}

fn spent(input: u64, output: u64) -> Tokens {
    Tokens { input, output, ..Tokens::default() }
}

/// The key that holds a user's counters.
fn slot(who: &Caller) -> String {
    super::slots::key_of(Subject::of(&who.principal))
}

fn admitted(admission: Admission) -> Charge {
    match admission {
        Admission::Admitted(charge) => charge,
        other => panic!("expected admission, found {other:?}"),
    }
}

fn refused(admission: Admission) -> Refusal {
    match admission {
        Admission::Refused(refusal) => *refusal,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

/// How many of `calls` are admitted; the rest must be refused, not contended.
fn count(limits: &Limits, data: &FakeSharedData, now_ms: u64, who: &Caller, calls: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..calls {
        match admit(limits, data, now_ms, who) {
            Admission::Admitted(_) => admitted += 1,
            Admission::Refused(_) => {}
            Admission::Contended => panic!("contended after {admitted} admitted"),
        }
    }
    admitted
}
