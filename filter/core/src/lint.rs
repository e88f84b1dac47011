//! What an operator should know of an endpoint's limits before they meet a caller: limits that can never bind, groups that
//! nobody is in, groups that overlap, and what remains of a default. A compiled policy in, warnings out. For `weir check`
//! alone: the filter is not to carry it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    caller::Principal,
    config::{Config, Identity, InferenceTable, Problem, Source},
    limits::{Conflict, Limit, LimitKey, Unit},
};

/// All that there is to say, endpoint by endpoint.
pub fn warnings(config: &Config) -> Vec<Problem> {
    let known = Known::of(&config.identity);
    let mut problems = Vec::new();
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        let limits = endpoint.limits.entries();
        let mut warn = |limit: usize, found: String, expected: &str| {
            let path = format!("endpoints[{index}].ai_gateway.rate_limits[{limit}]");
            problems.push(Problem { path, found, expected: expected.to_owned() });
        };
        warn_of_never_binding(limits, &mut warn);
        warn_of_remaining_default(limits, &mut warn);
        warn_of_nobody(limits, &known, &mut warn);
        warn_of_overlaps(limits, &known, endpoint.limits.rules().conflict, &mut warn);
    }
    problems.extend(shared_tables(config));
    problems
}

/// Collectors tell payload tables apart by their prefix alone.
fn shared_tables(config: &Config) -> Vec<Problem> {
    let mut seen: BTreeMap<&str, &InferenceTable> = BTreeMap::new();
    let mut problems = Vec::new();
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        let Some(table) = &endpoint.inference_table else { continue };
        let first = *seen.entry(&table.prefix).or_insert(table);
        if (&first.catalog, &first.schema) != (&table.catalog, &table.schema) {
            problems.push(Problem {
                path: format!("endpoints[{index}].ai_gateway.inference_table_config.table_name_prefix"),
                found: format!("`{}`, as in {}.{}", table.prefix, first.catalog, first.schema),
                expected: "a prefix of its own: `weir collect` tells payload tables apart by that alone".to_owned(),
            });
        }
    }
    problems
}

/// Takes a limit's number, what was found and what was expected.
type Warn<'w> = &'w mut dyn FnMut(usize, String, &str);

/// A wider limit that every such request meets too, and that is never the later one to be reached.
fn warn_of_never_binding(limits: &[Limit], warn: Warn<'_>) {
    for (at, limit) in limits.iter().enumerate() {
        for (unit, most) in &limit.units {
            let wider = limits.iter().enumerate().filter(|(other, _)| *other != at).find_map(|(other, wide)| {
                let weighs = wide.cached_input_weight == limit.cached_input_weight || !unit.has_input();
                let covers = !wide.shadow && weighs && covers(&wide.key, &limit.key);
                let (of, most_of_wide) = wide.units.iter().find(|(of, _)| counts_too(*of, *unit)).filter(|_| covers)?;
                (most_within(wide, *most_of_wide, limit)? <= *most).then(|| (other, wide, of.amount(*most_of_wide)))
            });
            if let Some((other, wide, allowed)) = wider {
                warn(
                    at,
                    format!(
                        "{} per {} for {}, which can never bind",
                        unit.amount(*most),
                        limit.period,
                        limit.key.whose()
                    ),
                    &format!(
                        "less, or no such limit: rate_limits[{other}] allows {allowed} per {} for {}",
                        wide.period,
                        wide.key.whose()
                    ),
                );
            }
        }
    }
}

/// Whether each request that counts in `narrow` counts in `wide`.
fn covers(wide: &LimitKey, narrow: &LimitKey) -> bool {
    match (wide, narrow) {
        (LimitKey::Endpoint, _) => true,
        (LimitKey::UserGroup(group), LimitKey::EachMember(other)) => group == other,
        (wide, narrow) => wide == narrow,
    }
}

fn counts_too(wide: Unit, narrow: Unit) -> bool {
    wide == narrow || (wide == Unit::Tokens && narrow.is_tokens())
}

/// The most that `wide` lets through in a period of `limit`: one period of its own more than fit, since they begin when
/// they like. `None`: its period is the longer one, and it may be used up at once.
fn most_within(wide: &Limit, most: u64, limit: &Limit) -> Option<u64> {
    if wide.period == limit.period {
        return Some(most);
    }
    let periods = limit.period.millis().checked_div(wide.period.millis()).filter(|periods| *periods > 0)?;
    Some(most.saturating_mul(periods.saturating_add(1)))
}

/// A custom limit ends the default for its own units only.
fn warn_of_remaining_default(limits: &[Limit], warn: Warn<'_>) {
    let units_of = |limit: &Limit| limit.units.iter().map(|(unit, _)| *unit).collect::<Vec<_>>();
    let default: BTreeSet<Unit> =
        limits.iter().filter(|limit| limit.key == LimitKey::EachUser).flat_map(units_of).collect();
    let mut custom: BTreeMap<&str, (usize, BTreeSet<Unit>)> = BTreeMap::new();
    for (at, limit) in limits.iter().enumerate() {
        if let LimitKey::User(name) = &limit.key {
            custom.entry(name).or_insert((at, BTreeSet::new())).1.extend(units_of(limit));
        }
    }
    for (name, (at, own)) in custom {
        let remaining: Vec<&str> = default.difference(&own).map(|unit| unit.name()).collect();
        if !remaining.is_empty() && default.iter().any(|unit| own.contains(unit)) {
            warn(
                at,
                format!("no limit of `{}` for {name}", remaining.join("`, `")),
                "one, if the default for every user is not meant to hold for him there: it does",
            );
        }
    }
}

/// Who may call, as far as the policy says.
struct Known<'i> {
    /// Of users and service principals that it names, their groups.
    callers: BTreeMap<&'i Principal, BTreeSet<&'i str>>,
    groups: BTreeSet<&'i str>,
    /// Groups come from elsewhere as well.
    other_groups: bool,
    /// Callers do.
    other_callers: bool,
}

impl<'i> Known<'i> {
    fn of(identity: &'i Identity) -> Self {
        let mut known = Self {
            callers: BTreeMap::new(),
            groups: identity.groups_of.values().flatten().map(String::as_str).collect(),
            // Without sources nobody comes at all, which has a warning of its own.
            other_groups: identity.sources.is_empty(),
            other_callers: identity.sources.is_empty(),
        };
        for source in &identity.sources {
            let (other_callers, other_groups) = match source {
                Source::ApiKeys(keys) => {
                    for owner in keys.values() {
                        let of_name = identity.groups_of.get(name_of(&owner.principal)).into_iter().flatten();
                        let groups = owner.groups.iter().chain(of_name).map(String::as_str);
                        known.callers.entry(&owner.principal).or_default().extend(groups);
                    }
                    (false, false)
                }
                Source::Jwt(jwt) => (true, jwt.groups.is_some()),
                Source::Mtls { .. } => (true, false),
                // Each namespace is a group.
                Source::Workload { .. } => (true, true),
                Source::Header { groups, .. } => (true, groups.is_some()),
            };
            known.other_callers |= other_callers;
            known.other_groups |= other_groups;
        }
        known.groups.extend(known.callers.values().flatten());
        known
    }

    /// Whom a limit is for may be among the callers.
    fn may_be(&self, key: &LimitKey) -> bool {
        let is_known = |name: &str, is_user: bool| {
            let is_one = |who: &&&Principal| name_of(who) == name && matches!(who, Principal::User(_)) == is_user;
            self.other_callers || self.callers.keys().any(|who| is_one(&who))
        };
        match key {
            LimitKey::Endpoint | LimitKey::EachUser => true,
            LimitKey::User(name) => is_known(name, true),
            LimitKey::ServicePrincipal(name) => is_known(name, false),
            LimitKey::UserGroup(group) | LimitKey::EachMember(group) => {
                self.other_groups || self.groups.contains(group.as_str())
            }
        }
    }
}

fn name_of(principal: &Principal) -> &str {
    match principal {
        Principal::User(name) | Principal::ServicePrincipal(name) => name,
        Principal::Anonymous => "",
    }
}

fn warn_of_nobody(limits: &[Limit], known: &Known<'_>, warn: Warn<'_>) {
    for (at, limit) in limits.iter().enumerate().filter(|(_, limit)| !known.may_be(&limit.key)) {
        let expected = match limit.key.group() {
            Some(_) => {
                "a group that somebody is in: no API key and no `groups_of` names it, and no other source gives groups"
            }
            None => "a caller who may come: no API key is his, and there is no other source",
        };
        warn(at, format!("a limit for {}, of whom there is none", limit.key.whose()), expected);
    }
}

/// Callers who are in two groups whose limits of the same unit and period differ.
fn warn_of_overlaps(limits: &[Limit], known: &Known<'_>, conflict: Conflict, warn: Warn<'_>) {
    for (at, second) in limits.iter().enumerate() {
        for (first_at, first) in limits.iter().enumerate().take(at) {
            let (Some(a), Some(b)) = (first.key.group(), second.key.group()) else { continue };
            let both = |groups: &&BTreeSet<&str>| a != b && groups.contains(a) && groups.contains(b);
            let members = known.callers.values().filter(both).count();
            let differs = second.units.iter().find(|(unit, most)| {
                let other = first.units.iter().find(|(other, _)| other == unit);
                first.period == second.period && other.is_some_and(|(_, other)| other != most)
            });
            let (Some((unit, _)), 1..) = (differs, members) else { continue };
            let rule = match conflict {
                Conflict::Strictest => "the lower one stops who is in both (`limit_conflict: strictest`)",
                Conflict::Databricks => {
                    "who is in both is stopped only when both are exceeded (`limit_conflict: databricks`)"
                }
            };
            warn(
                at,
                format!("another limit of {unit} per {} than group {a} has (rate_limits[{first_at}])", second.period),
                &format!("that it is meant: {members} known callers are in {a} and in {b}, and {rule}"),
            );
        }
    }
}
