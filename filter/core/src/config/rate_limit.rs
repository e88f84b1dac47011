//! `ai_gateway.rate_limits`: who may use how much of an endpoint in which period.

use std::collections::{HashMap, hash_map::Entry};

use super::reader::{Field, Object};
use crate::limits::{Limit, LimitKey, Period, Unit, Weight, nano_usd};

/// Databricks' own bounds for an endpoint.
const MAX_LIMITS: usize = 20;
const MAX_GROUP_LIMITS: usize = 5;

const UNITS: [(&str, Unit); 4] = [
    ("calls", Unit::Calls),
    ("tokens", Unit::Tokens),
    ("input_tokens", Unit::InputTokens),
    ("output_tokens", Unit::OutputTokens),
];

/// The limits, and where each stands.
pub(super) type Placed<'a> = Vec<(Field<'a>, Limit)>;

pub(super) fn read_all<'a>(field: &Field<'a>) -> Option<Placed<'a>> {
    let items = field.items()?;
    let limits: Vec<Option<Limit>> = items.iter().map(read).collect();
    if limits.len() > MAX_LIMITS {
        field.report(format!("{} limits", limits.len()), format!("at most {MAX_LIMITS} for an endpoint"));
    }
    let groups = limits.iter().flatten().filter(|limit| limit.key.group().is_some()).count();
    if groups > MAX_GROUP_LIMITS {
        field.report(format!("{groups} limits for groups"), format!("at most {MAX_GROUP_LIMITS} for an endpoint"));
    }
    report_repeated(&items, &limits);
    items.into_iter().zip(limits).map(|(field, limit)| Some((field, limit?))).collect()
}

/// Two limits of one unit for the same subject and period would share a counter.
fn report_repeated(items: &[Field<'_>], limits: &[Option<Limit>]) {
    let mut first_of = HashMap::new();
    for (at, (item, limit)) in items.iter().zip(limits).enumerate() {
        let Some(limit) = limit else { continue };
        for (unit, _) in &limit.units {
            match first_of.entry((&limit.key, unit, limit.period)) {
                Entry::Vacant(entry) => {
                    entry.insert(at);
                }
                Entry::Occupied(first) => item.report(
                    format!("a second limit of {unit} for the same subject a {}", limit.period),
                    format!("one: rate_limits[{}] is it already", first.get()),
                ),
            }
        }
    }
}

fn read(field: &Field<'_>) -> Option<Limit> {
    let mut limit = field.object()?;
    let key = read_key(&mut limit);
    let units = read_units(field, &mut limit);
    let period = limit.read("renewal_period", "`second`, `minute`, `hour`, `day` or `month`", |period| {
        period.choice(&[
            ("second", Period::Second),
            ("minute", Period::Minute),
            ("hour", Period::Hour),
            ("day", Period::Day),
            ("month", Period::Month),
        ])
    });
    let name = limit.read_if("name", Field::owned);
    let shadow = limit.read_or("mode", false, |mode| mode.choice(&[("enforce", false), ("shadow", true)]));
    let units_with_input = units.as_ref().is_none_or(|units| units.iter().any(|(unit, _)| unit.has_input()));
    let weight = limit.read_or("cached_input_weight", Weight::FULL, |weight| {
        if !units_with_input {
            weight.warn("a weight of cached input", "`tokens` or `input_tokens`: no other unit counts input tokens");
        }
        read_weight(weight)
    });
    limit.close();
    let (shadow, cached_input_weight) = (shadow?, weight?);
    Some(Limit { key: key?, units: units?, period: period?, name: name?, cached_input_weight, shadow })
}

fn read_weight(field: &Field<'_>) -> Option<Weight> {
    let weight = field.amount()?;
    if weight > 1.0 {
        field.reject("a number from 0 to 1");
        return None;
    }
    // At most a million, which a `u32` holds.
    Some(Weight((weight * f64::from(Weight::FULL.0)).round() as u32))
}

#[derive(Clone, Copy)]
enum Subject {
    Endpoint,
    User,
    ServicePrincipal,
    UserGroup,
}

fn read_key(limit: &mut Object<'_>) -> Option<LimitKey> {
    let subject = limit.read_or("key", Subject::Endpoint, |key| {
        key.choice(&[
            ("endpoint", Subject::Endpoint),
            ("user", Subject::User),
            ("service_principal", Subject::ServicePrincipal),
            ("user_group", Subject::UserGroup),
        ])
    });
    let (field, per) = (limit.take("principal"), limit.take("per"));
    let each_member = match &per {
        Some(per) => per.choice(&[("group", false), ("member", true)])?,
        None => false,
    };
    if let (Some(per), Some(Subject::Endpoint | Subject::User | Subject::ServicePrincipal)) = (&per, subject) {
        per.reject("no such key: only a limit of a `user_group` has members");
        return None;
    }
    let principal = match &field {
        Some(principal) => Some(principal.owned()?),
        None => None,
    };
    match (subject?, principal) {
        (Subject::Endpoint, None) => Some(LimitKey::Endpoint),
        (Subject::Endpoint, Some(_)) => {
            if let Some(field) = field {
                field.reject("no principal: the `key` is `endpoint`, which is the default");
            }
            None
        }
        (Subject::User, None) => Some(LimitKey::EachUser),
        (Subject::User, Some(name)) => Some(LimitKey::User(name)),
        (Subject::ServicePrincipal, Some(name)) => Some(LimitKey::ServicePrincipal(name)),
        (Subject::UserGroup, Some(name)) if each_member => Some(LimitKey::EachMember(name)),
        (Subject::UserGroup, Some(name)) => Some(LimitKey::UserGroup(name)),
        (Subject::ServicePrincipal | Subject::UserGroup, None) => {
            limit.report_missing("principal", "the name of whom the limit is for");
            None
        }
    }
}

fn read_units(field: &Field<'_>, limit: &mut Object<'_>) -> Option<Vec<(Unit, u64)>> {
    let mut units = Vec::new();
    for (key, unit) in UNITS {
        if let Some(field) = limit.take(key) {
            units.push(field.whole(0..=u64::MAX).map(|most| (unit, most)));
        }
    }
    if let Some(cost) = limit.take("cost_usd") {
        units.push(cost.amount().map(|usd| (Unit::CostUsd, nano_usd(usd))));
    }
    if units.is_empty() {
        field.report(
            "a limit without any unit",
            "`calls`, `tokens`, `input_tokens`, `output_tokens`, `cost_usd` or several of them",
        );
    }
    units.into_iter().collect()
}
