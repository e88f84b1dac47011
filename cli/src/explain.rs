//! `weir explain`: which limits apply to a caller on an endpoint, which are overridden and by what, and in which order they
//! bind, in words or as JSON. By the filter's own code; it asks no Envoy, so counts are not its business.

use std::{path::PathBuf, process::ExitCode};

use serde::Serialize;
use weir_core::{
    caller::{Caller, Principal},
    config::{Config, Endpoint},
    limits::{self, Conflict, Counter, Limits, Unit, Verdict},
    policy as permissions,
};

use crate::policy;

/// Explain which limits apply to a caller: exit status 0, 1 if the policy is wrong, 2 if it or the endpoint is not there
#[derive(clap::Args)]
pub struct Args {
    /// The policy, YAML or JSON; `-` is standard input
    policy: PathBuf,
    /// The endpoint, or a name that its `models` take
    #[arg(long)]
    endpoint: String,
    /// The user; without one, and without a service principal, an anonymous caller
    #[arg(long, conflicts_with = "service_principal")]
    user: Option<String>,
    /// The service principal
    #[arg(long)]
    service_principal: Option<String>,
    /// The caller's groups, with commas; `groups_of` of the policy is added
    #[arg(long, value_delimiter = ',')]
    groups: Vec<String>,
    /// JSON in place of words
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> ExitCode {
    let compiled = match policy::read(&args.policy).and_then(|json| policy::compile(&json)) {
        Ok(compiled) => compiled,
        Err(unusable) => {
            unusable.print();
            return unusable.exit_code();
        }
    };
    let config = compiled.config;
    let index = config.names.endpoints.get(&args.endpoint).copied().or_else(|| config.names.find(&args.endpoint));
    let Some(endpoint) = index.and_then(|index| config.endpoints.get(index)) else {
        let names: Vec<_> = config.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        eprintln!("error: no endpoint `{}` in the policy, expected one of {}", args.endpoint, names.join(", "));
        return ExitCode::from(2);
    };
    let explained = Explained::of(&config, endpoint, &caller(&config, args.user, args.service_principal, args.groups));
    if args.json {
        match serde_json::to_string_pretty(&explained) {
            Ok(json) => println!("{json}"),
            Err(error) => eprintln!("error: {error}"),
        }
    } else {
        print!("{}", explained.in_words());
    }
    ExitCode::SUCCESS
}

fn caller(config: &Config, user: Option<String>, robot: Option<String>, groups: Vec<String>) -> Caller {
    let principal = match (user, robot) {
        (Some(user), _) => Principal::User(user),
        (None, Some(robot)) => Principal::ServicePrincipal(robot),
        (None, None) => Principal::Anonymous,
    };
    let mut caller = Caller { principal, groups: Vec::new() };
    let of_policy = config.identity.groups_of.get(caller.name()).into_iter().flatten().cloned();
    for group in groups.into_iter().chain(of_policy).filter(|group| !group.is_empty()) {
        if !caller.groups.contains(&group) {
            caller.groups.push(group);
        }
    }
    caller
}

/// All that there is to say of one caller on one endpoint.
#[derive(Serialize)]
struct Explained<'a> {
    endpoint: &'a str,
    caller: String,
    groups: Vec<String>,
    permitted: bool,
    limit_conflict: &'static str,
    accounting: &'static str,
    enforcement: &'static str,
    /// In the order in which a caller who does not pause meets them, unit by unit.
    applies: Vec<Applies>,
    overridden: Vec<Overridden>,
    of_others: Vec<String>,
}

#[derive(Serialize)]
struct Applies {
    rate_limit: usize,
    limit: String,
    unit: &'static str,
    maximum: f64,
    renewal_period: String,
    mode: &'static str,
    /// Its count is not the caller's alone.
    shared: bool,
    /// Groups that stop only all together have this in common.
    stops_only_with_other_groups: bool,
}

#[derive(Serialize)]
struct Overridden {
    rate_limit: usize,
    limit: String,
    unit: &'static str,
    by_rate_limit: usize,
    by: String,
}

impl<'a> Explained<'a> {
    fn of(config: &Config, endpoint: &'a Endpoint, caller: &Caller) -> Self {
        let limits = &endpoint.limits;
        let rules = limits.rules();
        let verdicts = limits.verdicts(caller);
        let applying =
            || verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Applies).map(|(counter, _)| *counter);
        let mut groups: Vec<_> =
            applying().filter_map(|counter| limits.entries().get(counter.limit())?.key.group()).collect();
        groups.dedup();
        let several = rules.conflict == Conflict::Databricks && groups.len() > 1;
        let mut counters: Vec<Counter> = applying().collect();
        // Who starts from nothing meets the smallest first; of two, the one that comes back later.
        counters.sort_by_key(|c| (c.unit, c.shadow, c.maximum, std::cmp::Reverse(c.period.millis())));
        let overridden = verdicts.iter().filter_map(|(counter, verdict)| match verdict {
            Verdict::Overridden { by } => Some(Overridden {
                rate_limit: counter.limit(),
                limit: label(limits, counter.limit()),
                unit: counter.unit.name(),
                by_rate_limit: *by,
                by: label(limits, *by),
            }),
            Verdict::Applies | Verdict::OfOthers => None,
        });
        let mut of_others: Vec<usize> =
            verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::OfOthers).map(|(c, _)| c.limit()).collect();
        of_others.dedup();
        Self {
            endpoint: &endpoint.name,
            caller: named(caller),
            groups: caller.groups.clone(),
            permitted: permissions::may_query(endpoint, caller),
            limit_conflict: if rules.conflict == Conflict::Databricks { "databricks" } else { "strictest" },
            accounting: if rules.reserve.is_some() { "reserve" } else { "after_response" },
            enforcement: if config.shadow { "shadow" } else { "enforce" },
            applies: counters.iter().map(|counter| Applies::of(limits, counter, several)).collect(),
            overridden: overridden.collect(),
            of_others: of_others.into_iter().map(|index| label(limits, index)).collect(),
        }
    }

    fn in_words(&self) -> String {
        let mut lines = vec![format!("{} on endpoint {}", self.caller, self.endpoint)];
        let groups = if self.groups.is_empty() { "none".to_owned() } else { self.groups.join(", ") };
        lines.push(format!("groups: {groups}"));
        lines.push(format!(
            "limit_conflict: {}, accounting: {}, enforcement: {}",
            self.limit_conflict, self.accounting, self.enforcement
        ));
        if !self.permitted {
            lines.push("no permission on this endpoint: refused (403) before any limit".to_owned());
        }
        if self.applies.is_empty() {
            lines.push("no limit applies".to_owned());
        } else {
            lines.push("applies, in the order in which a caller who does not pause meets them:".to_owned());
        }
        lines.extend(self.applies.iter().map(|limit| format!("  {}", limit.in_words())));
        if !self.overridden.is_empty() {
            lines.push("overridden:".to_owned());
        }
        lines.extend(self.overridden.iter().map(|limit| {
            format!(
                "  {} of `{}` (rate_limits[{}]), by `{}` (rate_limits[{}])",
                limit.unit, limit.limit, limit.rate_limit, limit.by, limit.by_rate_limit
            )
        }));
        if !self.of_others.is_empty() {
            lines.push(format!("about others: {}", self.of_others.join(", ")));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

impl Applies {
    fn of(limits: &Limits, counter: &Counter, several_groups: bool) -> Self {
        let key = limits.entries().get(counter.limit()).map(|limit| &limit.key);
        Self {
            rate_limit: counter.limit(),
            limit: label(limits, counter.limit()),
            unit: counter.unit.name(),
            maximum: match counter.unit {
                Unit::CostUsd => limits::usd(counter.maximum),
                _ => counter.maximum as f64,
            },
            renewal_period: counter.period.to_string(),
            mode: if counter.shadow { "shadow" } else { "enforce" },
            shared: matches!(key, Some(limits::LimitKey::Endpoint | limits::LimitKey::UserGroup(_))),
            stops_only_with_other_groups: several_groups && key.is_some_and(|key| key.group().is_some()),
        }
    }

    fn in_words(&self) -> String {
        let mut notes = vec![format!("`{}` (rate_limits[{}])", self.limit, self.rate_limit)];
        notes.extend(self.shared.then(|| "shared with others".to_owned()));
        notes.extend((self.mode == "shadow").then(|| "shadow: refuses nobody".to_owned()));
        notes.extend(self.stops_only_with_other_groups.then(|| "stops only when all groups are exceeded".to_owned()));
        format!("{} {} per {}: {}", self.maximum, self.unit, self.renewal_period, notes.join(", "))
    }
}

fn label(limits: &Limits, index: usize) -> String {
    limits.label(index).unwrap_or_default()
}

fn named(caller: &Caller) -> String {
    match &caller.principal {
        Principal::User(name) => format!("user {name}"),
        Principal::ServicePrincipal(name) => format!("service principal {name}"),
        Principal::Anonymous => "an anonymous caller".to_owned(),
    }
}
