//! What a policy asks of the Envoy that is to run it: the extensions by name, and what an operator should know where the
//! version or the mode gives less than the others do. For `weir check --envoy-version`.

use std::collections::BTreeSet;

use serde_json::Value;
use weir_core::config::{Cluster, Config, Endpoint};

use super::version::{Chain, EnvoyVersion};

/// The extensions that a bootstrap names, in order, each once.
pub fn extensions(bootstrap: &Value) -> Vec<String> {
    let mut found = BTreeSet::new();
    collect(bootstrap, &mut found);
    found.into_iter().collect()
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let name = fields.get("name").and_then(Value::as_str).filter(|name| name.starts_with("envoy."));
            found.extend(name.map(str::to_owned));
            // Named by its interface, and under a name of Weir's.
            let kind = fields.get("@type").and_then(Value::as_str);
            let own = [
                (".http.wasm.", "envoy.filters.http.wasm"),
                (".http.header_mutation.", "envoy.filters.http.header_mutation"),
                (".http.buffer.", "envoy.filters.http.buffer"),
            ];
            let own = own.iter().filter(|(part, _)| kind.is_some_and(|kind| kind.contains(part)));
            found.extend(own.map(|(_, name)| (*name).to_owned()));
            fields.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// What Envoy buffers of a body where nothing is set.
const ENVOYS_BUFFER: usize = 1 << 20;

/// What this policy has less of there.
pub fn lacks(config: &Config, version: EnvoyVersion, unpaused: bool) -> Vec<String> {
    let mut lacks = Vec::new();
    if version.chain() == Chain::Aggregate {
        for endpoint in
            config.endpoints.iter().filter(|endpoint| endpoint.plans.iter().any(|plan| plan.entities.len() > 1))
        {
            lacks.extend(aggregated(endpoint, version));
        }
    }
    if version.limits_by_listener() && config.max_request_bytes.saturating_mul(2) > ENVOYS_BUFFER {
        lacks.push(format!(
            "Envoy {version} heeds no `request_body_buffer_limit`: the bootstrap sets the listener's; merging by hand, set \
             `per_connection_buffer_limit_bytes: {}` on yours, or bodies over 1 MiB are answered 413",
            super::filters::buffer_limit(config)
        ));
    }
    if unpaused && config.unmatched_cluster.is_some() {
        lacks.push(format!(
            "unpaused: a request whose model is unknown passes to the other cluster only once its body is there, up to {} bytes",
            config.max_request_bytes
        ));
    }
    lacks
}

/// Of an endpoint with fallbacks behind aggregate clusters.
fn aggregated(endpoint: &Endpoint, version: EnvoyVersion) -> Vec<String> {
    let mut lacks = Vec::new();
    let name = &endpoint.name;
    let own: BTreeSet<_> = endpoint
        .entities
        .iter()
        .filter_map(|entity| match &entity.cluster {
            Cluster::Existing(cluster) => Some(cluster.as_str()),
            Cluster::Rendered(_) => None,
        })
        .collect();
    if own.len() > 1 {
        let own: Vec<_> = own.into_iter().collect();
        lacks.push(format!(
            "endpoint `{name}`: Envoy {version} passes over a cluster without a living host, and nothing tells the clusters {} \
             apart, so one's credential may reach another: give each one's endpoints the metadata `filter_metadata: {{weir: \
             {{cluster: NAME}}}}`, or use Envoy 1.37 or later",
            own.join(" and ")
        ));
    }
    let clusters: BTreeSet<_> = endpoint.entities.iter().map(|entity| entity.cluster.name()).collect();
    if clusters.len() < endpoint.entities.len() {
        lacks.push(format!(
            "endpoint `{name}`: two of its entities share a cluster, and Envoy {version} does not fall back from a cluster to \
             itself: give each a cluster of its own, or use Envoy 1.37 or later"
        ));
    }
    lacks
}
