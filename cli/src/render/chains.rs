//! The clusters of plans with a fallback: attempt N goes to the N-th one, or to none. A request is one provider's, with its
//! credential, so it must never reach another's.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use weir_core::config::{Config, Endpoint, LINK, NOWHERE, Plan};

use super::{
    breakers::{CONNECT_TIMEOUT, circuit_breakers},
    version::Chain,
};

/// The one host of [`NOWHERE`]: nobody can listen below a file.
const NO_SOCKET: &str = "/dev/null/weir-nowhere";

/// Those of all plans, behind the clusters that they name.
pub fn add(clusters: &mut Vec<Value>, config: &Config, chain: Chain) {
    let mut seen = BTreeSet::new();
    for endpoint in &config.endpoints {
        for plan in endpoint.plans.iter().filter(|plan| plan.entities.len() > 1) {
            let names = names(endpoint, plan);
            match chain {
                Chain::Aggregate => clusters.push(chain_of(&plan.cluster, "aggregate", &names.into())),
                Chain::Composite => {
                    let attempts = attempts(&names);
                    let links = attempts.iter().filter(|link| link.members.len() > 1 && seen.insert(link.name.clone()));
                    clusters.extend(links.map(|link| composite_of(&link.name, &link.members)));
                    let attempts: Vec<_> = attempts.iter().map(|link| link.name.as_str()).collect();
                    clusters.push(composite_of(&plan.cluster, &attempts));
                }
            }
        }
    }
    if !seen.is_empty() {
        clusters.insert(0, nowhere());
    }
}

fn names<'a>(endpoint: &'a Endpoint, plan: &Plan) -> Vec<&'a str> {
    let entities = plan.entities.iter().filter_map(|index| endpoint.entities.get(*index));
    entities.map(|entity| entity.cluster.name()).collect()
}

/// Where one attempt goes.
struct Link<'a> {
    name: String,
    members: Vec<&'a str>,
}

/// A composite cluster passes over a member that is not there or has no host: Envoy 1.40 goes on to the next one in the same
/// attempt, so with the request of the one before. So each but the last stands in a composite cluster of its own, in which the
/// member behind it refuses: the attempt fails, and Envoy retries with the next number. (The number counts there too, so as many
/// go before it as have been tried.)
fn attempts<'a>(names: &[&'a str]) -> Vec<Link<'a>> {
    let last = names.len().saturating_sub(1);
    let link = |(before, name): (usize, &&'a str)| {
        if before == last {
            return Link { name: (*name).to_owned(), members: vec![*name] };
        }
        let mut members = vec![NOWHERE; before];
        members.extend([*name, NOWHERE]);
        // A dot is in no endpoint's or entity's name.
        Link { name: format!("{LINK}{}.{name}", before + 1), members }
    };
    names.iter().enumerate().map(link).collect()
}

pub fn composite_of(name: &str, members: &[&str]) -> Value {
    chain_of(name, "composite", &members.iter().map(|name| json!({"name": name})).collect())
}

fn chain_of(name: &str, kind: &str, clusters: &Value) -> Value {
    json!({
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT,
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": format!("envoy.clusters.{kind}"),
            "typed_config": {
                "@type": format!("type.googleapis.com/envoy.extensions.clusters.{kind}.v3.ClusterConfig"),
                "clusters": clusters,
            },
        },
        // Retries are counted here, not in the clusters behind.
        "circuit_breakers": circuit_breakers(),
    })
}

fn nowhere() -> Value {
    json!({
        "name": NOWHERE,
        "type": "STATIC",
        "connect_timeout": CONNECT_TIMEOUT,
        "circuit_breakers": circuit_breakers(),
        "load_assignment": {
            "cluster_name": NOWHERE,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": NO_SOCKET}}}}]}],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_goes_to_its_own_cluster_or_nowhere() {
        let links = attempts(&["a", "b", "c"]);
        let told: Vec<_> = links.iter().map(|link| (link.name.as_str(), link.members.join(" "))).collect();
        let first = ("weir-attempt-1.a", format!("a {NOWHERE}"));
        let second = ("weir-attempt-2.b", format!("{NOWHERE} b {NOWHERE}"));
        assert_eq!(told, [first, second, ("c", "c".to_owned())]);
    }
}
