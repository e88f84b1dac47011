//! How a counter is named to an engine: endpoint, key, whose, unit and period, so that it stays the same one whatever becomes
//! of the limit's number, name or place, and an engine's own configuration can match it.

use std::borrow::Cow;

use crate::{
    caller::{Caller, Principal},
    limits::{
        Limit, LimitKey, Limits, Period, Unit,
        amount::Weight,
        compile::{Counter, Held},
    },
    wire::{put_bytes, put_length, put_number},
};

/// The protocol's numbers have 32 bits.
pub const MAX_AMOUNT: u64 = u32::MAX as u64;

/// A counter's amount as an engine counts it: of cost in millionths of a dollar, rounded up, since billionths do not fit.
pub fn amount(unit: Unit, amount: u64) -> u64 {
    let amount = if unit == Unit::CostUsd { amount.div_ceil(MICRO) } else { amount };
    amount.min(MAX_AMOUNT)
}

/// A millionth of a dollar, in billionths.
const MICRO: u64 = 1_000;

pub fn from_amount(unit: Unit, amount: u64) -> u64 {
    if unit == Unit::CostUsd { amount.saturating_mul(MICRO) } else { amount }
}

/// An entry of a descriptor. `None`: the caller's own, of whatever name.
pub type Entry<'a> = (&'static str, Option<Cow<'a, str>>);

/// The entries of a counter, in their order. `cost_usd` is in millionths of a dollar, and its name says so.
pub fn entries<'a>(endpoint: &'a str, limit: &'a Limit, unit: Unit) -> Vec<Entry<'a>> {
    let fixed = |key, value: &'a str| (key, Some(Cow::Borrowed(value)));
    let mut entries = vec![fixed("endpoint", endpoint)];
    entries.extend(match &limit.key {
        LimitKey::Endpoint => vec![fixed("key", "endpoint")],
        LimitKey::EachUser => vec![fixed("key", "user"), ("principal", None)],
        LimitKey::User(name) => vec![fixed("key", "user"), fixed("principal", name)],
        LimitKey::ServicePrincipal(name) => vec![fixed("key", "service_principal"), fixed("principal", name)],
        LimitKey::UserGroup(name) => vec![fixed("key", "user_group"), fixed("principal", name)],
        LimitKey::EachMember(name) => vec![fixed("key", "member"), fixed("group", name), ("principal", None)],
    });
    entries.push(fixed("unit", if unit == Unit::CostUsd { "cost_micro_usd" } else { unit.name() }));
    entries.push(("period", Some(Cow::Owned(limit.period.to_string()))));
    if limit.cached_input_weight != Weight::FULL && unit.has_input() {
        let millionths = limit.cached_input_weight.0.to_string();
        entries.push(("cached_input_weight_millionths", Some(Cow::Owned(millionths))));
    }
    entries
}

/// A descriptor's bytes, but for the caller's own entry and the addend.
#[derive(Debug, Default)]
pub struct Prepared {
    before: Vec<u8>,
    has_own: bool,
    /// The rest of the entries, and the limit.
    after: Vec<u8>,
}

impl Prepared {
    fn new(endpoint: &str, limit: &Limit, counter: &Counter) -> Self {
        let mut prepared = Self::default();
        for (key, value) in entries(endpoint, limit, counter.unit) {
            let part = if prepared.has_own { &mut prepared.after } else { &mut prepared.before };
            match value {
                Some(value) => put_entry(part, key, &value),
                None => prepared.has_own = true,
            }
        }
        let mut limit = Vec::new();
        put_number(&mut limit, 1, amount(counter.unit, counter.maximum));
        put_number(&mut limit, 2, unit_of(counter.period));
        put_bytes(&mut prepared.after, 2, &limit);
        prepared
    }
}

/// `envoy.type.v3.RateLimitUnit`.
fn unit_of(period: Period) -> u64 {
    match period {
        Period::Second => 1,
        Period::Minute => 2,
        Period::Hour => 3,
        Period::Day => 4,
        Period::Month => 5,
    }
}

fn put_entry(out: &mut Vec<u8>, key: &str, value: &str) {
    let mut entry = Vec::with_capacity(key.len().saturating_add(value.len()).saturating_add(8));
    put_bytes(&mut entry, 1, key.as_bytes());
    put_bytes(&mut entry, 2, value.as_bytes());
    put_bytes(out, 1, &entry);
}

impl Limits {
    /// Appends a counter's descriptor to a request. `addend`: its own, else the request's.
    pub(super) fn put_descriptor(&self, out: &mut Vec<u8>, caller: &Caller, held: &Held, addend: Option<u64>) {
        let prepared = self.descriptors.get_or_init(|| {
            let prepare = |counter: &Counter| match self.limits.get(counter.limit()) {
                Some(limit) => Prepared::new(self.endpoint(), limit, counter),
                None => Prepared::default(),
            };
            self.counters.iter().map(prepare).collect()
        });
        let Some(prepared) = self.index_of(held).and_then(|index| prepared.get(index)) else { return };
        let mut own = Vec::new();
        if prepared.has_own {
            let (key, name) = match &caller.principal {
                Principal::User(name) => ("principal", name.as_str()),
                Principal::ServicePrincipal(name) => ("service_principal", name.as_str()),
                Principal::Anonymous => ("anonymous", "anonymous"),
            };
            put_entry(&mut own, key, name);
        }
        if let Some(addend) = addend {
            let mut value = Vec::new();
            put_number(&mut value, 1, addend);
            own.reserve(8);
            let mut tail = Vec::new();
            put_bytes(&mut tail, 3, &value);
            put_all(out, &[&prepared.before, &own, &prepared.after, &tail]);
        } else {
            put_all(out, &[&prepared.before, &own, &prepared.after]);
        }
    }

    /// Which of the endpoint's counters this is.
    fn index_of(&self, held: &Held) -> Option<usize> {
        let is_same = |counter: &Counter| counter.limit() == held.counter.limit() && counter.unit == held.counter.unit;
        self.counters.iter().position(is_same)
    }
}

/// One descriptor of several pieces.
fn put_all(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    put_length(out, 2, pieces.iter().map(|piece| piece.len()).fold(0, usize::saturating_add));
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
}
