//! `weir render ratelimit`: the policy's limits as the configuration of the engine that `limits_store.rls` names. Weir sends
//! each limit's number along; envoyproxy/ratelimit takes it from there and needs its domain alone, but then finds the same
//! numbers here. Limitador goes by this alone.

use std::path::PathBuf;

use serde_json::{Value, json};
use weir_core::{
    config::{Config, Endpoint},
    limits::{
        Conflict, Counter, Limit, LimitKey,
        rls::{self, Entry},
    },
};

/// The configuration of the engine that counts the limits of `limits_store.rls`: exit status 0, 1 if the policy is wrong or
/// has no `limits_store.rls`, 2 if it cannot be read
#[derive(clap::Args)]
pub struct Args {
    engine: Engine,
    /// The policy, YAML or JSON; `-` is standard input
    pub policy: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Engine {
    /// A file of envoyproxy/ratelimit's configuration folder
    Envoyproxy,
    /// Limitador's limits file
    Limitador,
}

/// YAML, and what an operator should know.
pub struct Rendered {
    pub value: Value,
    pub warnings: Vec<String>,
}

/// `None`: the policy has no `limits_store.rls`.
pub fn render(args: &Args, config: &Config) -> Option<Rendered> {
    let domain = &config.rls.as_ref()?.domain;
    Some(match args.engine {
        Engine::Envoyproxy => Rendered { value: envoyproxy(domain, config), warnings: Vec::new() },
        Engine::Limitador => Rendered { value: limitador(domain, config), warnings: limitador_warnings(config) },
    })
}

/// One unit of one limit.
struct Row<'a> {
    limit: &'a Limit,
    counter: Counter,
    entries: Vec<Entry<'a>>,
}

impl Row<'_> {
    fn maximum(&self) -> u64 {
        rls::amount(self.counter.unit, self.counter.maximum)
    }
}

fn rows(endpoint: &Endpoint) -> impl Iterator<Item = Row<'_>> {
    let nobody = weir_core::caller::Caller { principal: weir_core::caller::Principal::Anonymous, groups: Vec::new() };
    endpoint.limits.verdicts(&nobody).into_iter().filter_map(|(counter, _)| {
        let limit = endpoint.limits.entries().get(counter.limit())?;
        let entries = rls::entries(&endpoint.name, limit, counter.unit);
        Some(Row { limit, counter, entries })
    })
}

/// Nested by entry, as the engine looks for the longest match: an entry without a value is everybody's.
fn envoyproxy(domain: &str, config: &Config) -> Value {
    let mut descriptors = Vec::new();
    for endpoint in &config.endpoints {
        for row in rows(endpoint) {
            for own in owners(&row, &config.endpoints) {
                insert(&mut descriptors, &row, &row.entries, own);
            }
        }
    }
    json!({"domain": domain, "descriptors": descriptors})
}

/// Under which keys a caller's own entry may come. A user whom another limit names has a branch of his own, and the engine does
/// not come back from there: what holds for every user stands in it too.
fn owners<'a>(row: &Row<'a>, endpoints: &'a [Endpoint]) -> Vec<(&'static str, Option<&'a str>)> {
    match &row.limit.key {
        LimitKey::EachUser => {
            let limits = endpoints.iter().flat_map(|endpoint| endpoint.limits.entries());
            let named = limits.filter_map(|limit| match &limit.key {
                LimitKey::User(name) => Some(("principal", Some(name.as_str()))),
                _ => None,
            });
            let mut owners = vec![("principal", None), ("anonymous", None)];
            named.for_each(|owner| {
                if !owners.contains(&owner) {
                    owners.push(owner);
                }
            });
            owners
        }
        LimitKey::EachMember(_) => vec![("principal", None), ("service_principal", None), ("anonymous", None)],
        _ => vec![("", None)],
    }
}

fn insert(into: &mut Vec<Value>, row: &Row<'_>, entries: &[Entry<'_>], own: (&'static str, Option<&str>)) {
    let Some(((key, value), rest)) = entries.split_first() else { return };
    let (key, value) = match value {
        Some(value) => (*key, Some(value.as_ref())),
        None => own,
    };
    let is_it = |node: &Value| node["key"] == key && node.get("value").and_then(Value::as_str) == value;
    let at = into.iter().position(is_it).unwrap_or_else(|| {
        let mut node = json!({"key": key});
        if let Some(value) = value {
            node["value"] = json!(value);
        }
        into.push(node);
        into.len().saturating_sub(1)
    });
    let Some(node) = into.get_mut(at) else { return };
    if rest.is_empty() {
        // A user's own limit goes before everybody's, which comes by here again.
        if node.get("rate_limit").is_none() || matches!(row.limit.key, LimitKey::User(_)) {
            node["rate_limit"] = json!({"unit": row.limit.period.to_string(), "requests_per_unit": row.maximum()});
            node["shadow_mode"] = json!(row.counter.shadow);
        }
        return;
    }
    let mut inner = match node["descriptors"].take() {
        Value::Array(inner) => inner,
        _ => Vec::new(),
    };
    insert(&mut inner, row, rest, own);
    node["descriptors"] = Value::Array(inner);
}

/// A list of limits, each of which looks for its descriptor among all that a request has. Limitador passes over a condition that
/// has a name which it does not know, the one that runs over a list too: so that one is called `descriptors` as well.
fn limitador(domain: &str, config: &Config) -> Value {
    let mut limits = Vec::new();
    for endpoint in &config.endpoints {
        for row in rows(endpoint) {
            limits.push(limitador_limit(domain, &row, endpoint));
        }
    }
    Value::Array(limits)
}

fn limitador_limit(domain: &str, row: &Row<'_>, endpoint: &Endpoint) -> Value {
    let named =
        endpoint.limits.entries().iter().filter(|limit| limit.units.iter().any(|(unit, _)| *unit == row.counter.unit));
    let named: Vec<_> = named
        .filter_map(|limit| match &limit.key {
            LimitKey::User(name) if row.limit.key == LimitKey::EachUser => Some(json!(name).to_string()),
            _ => None,
        })
        .collect();
    let mut tests: Vec<String> = Vec::new();
    let mut has_own = false;
    for (key, value) in &row.entries {
        match value {
            // An entry that not all descriptors have.
            Some(value) if matches!(*key, "principal" | "group" | "cached_input_weight_millionths") => {
                tests.push(format!("has(descriptors.{key}) && descriptors.{key} == {}", json!(value)));
            }
            Some(value) => tests.push(format!("descriptors.{key} == {}", json!(value))),
            None => has_own = true,
        }
    }
    if !row.entries.iter().any(|(key, _)| *key == "cached_input_weight_millionths") {
        tests.push("!has(descriptors.cached_input_weight_millionths)".to_owned());
    }
    if !named.is_empty() {
        tests.push(format!("!(has(descriptors.principal) && descriptors.principal in [{}])", named.join(", ")));
    }
    let test = tests.join(" && ");
    let own = "has(descriptors.principal) ? 'user:' + descriptors.principal : has(descriptors.service_principal) ? 'service:' + descriptors.service_principal : ''";
    let variables: Vec<_> = has_own
        .then(|| format!("descriptors.filter(descriptors, {test}).map(descriptors, {own})[0]"))
        .into_iter()
        .collect();
    json!({
        "namespace": domain,
        // Never over, where it is to refuse nobody.
        "max_value": if row.counter.shadow { u64::MAX >> 1 } else { row.maximum() },
        "seconds": row.limit.period.millis() / 1_000,
        "name": format!("{}: {} {}", endpoint.name, row.limit.described(), row.counter.unit),
        "conditions": [format!("descriptors.exists(descriptors, {test})")],
        "variables": variables,
    })
}

/// What Limitador's protocol cannot carry.
fn limitador_warnings(config: &Config) -> Vec<String> {
    let rules = config.endpoints.first().map(|endpoint| endpoint.limits.rules()).unwrap_or_default();
    let mut warnings = Vec::new();
    let mut warn = |what: &str| warnings.push(format!("{what} (docs/limits.md, shared limits)"));
    if rules.reserve.is_some() {
        warn("accounting: reserve: Limitador adds 1 for what is reserved: tokens are only charged after the response");
    }
    if rules.conflict == Conflict::Databricks {
        warn("limit_conflict: databricks: Limitador refuses where any group's limit is exceeded, not all of them");
    }
    if config.endpoints.iter().flat_map(rows).any(|row| row.counter.shadow) {
        warn("mode: shadow: Limitador does not say which limit is exceeded: `would_limit` stays empty");
    }
    warnings
}
