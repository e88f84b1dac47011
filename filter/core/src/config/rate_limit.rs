//! `ai_gateway.rate_limits`: who may use how much of an endpoint in which period.

use std::collections::{HashMap, hash_map::Entry};

use super::reader::{Field, Object, Word};
use crate::limits::{Limit, LimitKey, Period, Unit};

/// Databricks' own bounds for an endpoint.
const MAX_LIMITS: usize = 20;
const MAX_GROUP_LIMITS: usize = 5;

const UNITS: [(&str, Unit); 4] = [
    ("calls", Unit::Calls),
    ("tokens", Unit::Tokens),
    ("input_tokens", Unit::InputTokens),
    ("output_tokens", Unit::OutputTokens),
];

pub(super) fn read_all(field: &Field<'_>) -> Option<Vec<Limit>> {
    let items = field.items()?;
    let limits: Vec<Option<Limit>> = items.iter().map(read).collect();
    if limits.len() > MAX_LIMITS {
        field.report(format!("{} limits", limits.len()), format!("at most {MAX_LIMITS} for an endpoint"));
    }
    let groups = limits.iter().flatten().filter(|limit| matches!(limit.key, LimitKey::UserGroup(_))).count();
    if groups > MAX_GROUP_LIMITS {
        field.report(format!("{groups} limits for groups"), format!("at most {MAX_GROUP_LIMITS} for an endpoint"));
    }
    report_repeated(&items, &limits);
    limits.into_iter().collect()
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
    let period = limit.read("renewal_period", "`second`, `minute` or `hour`", |period| {
        period.choice(&[
            ("second", Word::Built(Period::Second)),
            ("minute", Word::Built(Period::Minute)),
            ("hour", Word::Built(Period::Hour)),
            ("day", Word::Unbuilt("a period of a day")),
            ("month", Word::Unbuilt("a period of a month")),
        ])
    });
    let name = limit.read_if("name", Field::owned);
    let mode = limit.read_or("mode", (), |mode| {
        mode.choice(&[("enforce", Word::Built(())), ("shadow", Word::Unbuilt("a limit in shadow mode"))])
    });
    limit.reject_unbuilt("per", "a limit per member");
    if let Some(weight) = limit.take("cached_input_weight")
        && weight.node.whole() != Some(1)
    {
        weight.reject("`1`: another weight of cached tokens is not built yet");
    }
    limit.close();
    mode?;
    Some(Limit { key: key?, units: units?, period: period?, name: name? })
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
            ("endpoint", Word::Built(Subject::Endpoint)),
            ("user", Word::Built(Subject::User)),
            ("service_principal", Word::Built(Subject::ServicePrincipal)),
            ("user_group", Word::Built(Subject::UserGroup)),
        ])
    });
    let field = limit.take("principal");
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
        cost.reject_unbuilt("a limit of cost");
    } else if units.is_empty() {
        field.report(
            "a limit without any unit",
            "`calls`, `tokens`, `input_tokens`, `output_tokens` or several of them",
        );
    }
    units.into_iter().collect()
}
