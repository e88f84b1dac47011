//! The providers as Backends, and HTTPRoutes by which Envoy Gateway makes a cluster of each. No client can take such a route:
//! it goes by the header that is removed as a request comes in, and by the time the filter has set it, Weir's own routes, which
//! stand before these, look at it.

use std::net::IpAddr;

use serde_json::{Value, json};
use weir_core::{
    config::{Config, ServedEntity},
    paths::CLUSTER_HEADER,
};

use super::{Args, EXTENSIONS, GATEWAY_API, gateway_api, route};
use crate::render::manifest;

/// What the Gateway API allows an HTTPRoute.
const MAX_RULES: usize = 16;

/// As good as none, as in `render/clusters.rs`, where the reasons stand.
const CIRCUIT_BREAKER: u32 = 1_000_000;

/// What Envoy Gateway calls the cluster of the `index`th of [`manifest::rendered_entities`].
pub fn cluster_name(args: &Args, index: usize) -> String {
    let (route, rule) = (index / MAX_RULES, index % MAX_RULES);
    format!("httproute/{}/{}/rule/{rule}", args.namespace, route_name(args, route))
}

fn route_name(args: &Args, number: usize) -> String {
    format!("{}-providers-{number}", args.name)
}

fn backend_name(index: usize, entity: &ServedEntity) -> String {
    format!("{}-{index}", manifest::name(entity.cluster.name()))
}

fn address(entity: &ServedEntity) -> Option<IpAddr> {
    entity.upstream.host.trim_matches(['[', ']']).parse().ok()
}

/// Those whose certificate's name cannot be told.
pub fn unverified(config: &Config) -> impl Iterator<Item = &ServedEntity> {
    let entities = manifest::rendered_entities(config).into_iter();
    entities.filter(|entity| entity.upstream.tls && address(entity).is_some())
}

/// Those that only the proxy's own pod could reach.
pub fn on_loopback(config: &Config) -> impl Iterator<Item = &ServedEntity> {
    let entities = manifest::rendered_entities(config).into_iter();
    entities.filter(|entity| address(entity).is_some_and(|ip| ip.is_loopback()))
}

pub fn manifests(args: &Args, config: &Config) -> Vec<Value> {
    let entities: Vec<_> = manifest::rendered_entities(config).into_iter().enumerate().collect();
    let mut documents: Vec<_> = entities.iter().map(|(index, entity)| backend(args, *index, entity)).collect();
    documents.extend(entities.iter().filter_map(|(index, entity)| tls_policy(args, *index, entity)));
    for (number, chunk) in entities.chunks(MAX_RULES).enumerate() {
        let rules: Vec<_> = chunk.iter().map(|(index, entity)| rule(*index, entity)).collect();
        let name = route_name(args, number);
        documents.push(gateway_api(args, "HTTPRoute", &name, route(args, config, &rules)));
        documents.push(traffic_policy(args, &name));
    }
    documents
}

fn backend(args: &Args, index: usize, entity: &ServedEntity) -> Value {
    let port = entity.upstream.port;
    let endpoint = match address(entity) {
        Some(ip) => json!({"ip": {"address": ip.to_string(), "port": port}}),
        None => json!({"fqdn": {"hostname": entity.upstream.host, "port": port}}),
    };
    let name = backend_name(index, entity);
    manifest::resource(&args.namespace, (EXTENSIONS, "Backend", &name), json!({"endpoints": [endpoint]}))
}

/// `:authority` is an attempt's to write, so the name that the certificate must have is fixed here.
fn tls_policy(args: &Args, index: usize, entity: &ServedEntity) -> Option<Value> {
    if !entity.upstream.tls {
        return None;
    }
    let name = backend_name(index, entity);
    let target = json!({"group": "gateway.envoyproxy.io", "kind": "Backend", "name": name});
    let validation = json!({"hostname": entity.upstream.host, "wellKnownCACertificates": "System"});
    Some(gateway_api(args, "BackendTLSPolicy", &name, json!({"targetRefs": [target], "validation": validation})))
}

fn rule(index: usize, entity: &ServedEntity) -> Value {
    let backend = json!({"group": "gateway.envoyproxy.io", "kind": "Backend", "name": backend_name(index, entity)});
    json!({
        "matches": [{"headers": [{"name": CLUSTER_HEADER, "value": entity.cluster.name()}]}],
        "backendRefs": [backend],
    })
}

fn traffic_policy(args: &Args, route: &str) -> Value {
    manifest::resource(
        &args.namespace,
        (EXTENSIONS, "BackendTrafficPolicy", route),
        json!({
            "targetRefs": [{"group": GATEWAY_API, "kind": "HTTPRoute", "name": route}],
            "circuitBreaker": {
                "maxConnections": CIRCUIT_BREAKER,
                "maxPendingRequests": CIRCUIT_BREAKER,
                "maxParallelRequests": CIRCUIT_BREAKER,
                "maxParallelRetries": CIRCUIT_BREAKER,
            },
            "timeout": {"tcp": {"connectTimeout": "5s"}},
        }),
    )
}
