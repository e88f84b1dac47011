//! The providers as services of Istio's registry: each host a ServiceEntry, so that the mesh knows it, and a DestinationRule,
//! which says how the gateway reaches it. Both are the gateway's namespace's alone.

use std::{collections::BTreeMap, net::IpAddr};

use serde_json::{Value, json};
use weir_core::config::{Config, Upstream};

use super::{Args, resource};
use crate::render::manifest;

/// As good as none, as in `render/clusters.rs`, where the reasons stand. Istio's fields are signed.
const CIRCUIT_BREAKER: u32 = 1_000_000;
const CONNECT_TIMEOUT: &str = "5s";
const IDLE_TLS: &str = "50s";
const IDLE_PLAIN: &str = "4s";

/// One host's ports, and whether each speaks TLS.
struct Service<'a> {
    upstream: &'a Upstream,
    ports: BTreeMap<u16, bool>,
}

/// What istiod calls the cluster of an upstream.
pub fn cluster_name(upstream: &Upstream) -> String {
    format!("outbound|{}||{}", upstream.port, host(upstream))
}

/// ServiceEntries need a name where the policy has an address.
fn host(upstream: &Upstream) -> String {
    match address(upstream) {
        Some(ip) => format!("ip-{}.weir.internal", ip.to_string().replace(['.', ':'], "-")),
        None => upstream.host.clone(),
    }
}

fn address(upstream: &Upstream) -> Option<IpAddr> {
    upstream.host.trim_matches(['[', ']']).parse().ok()
}

pub fn manifests(args: &Args, config: &Config) -> Vec<Value> {
    let mut services = BTreeMap::new();
    for entity in manifest::rendered_entities(config) {
        let upstream = &entity.upstream;
        let service = services.entry(host(upstream)).or_insert_with(|| Service { upstream, ports: BTreeMap::new() });
        service.ports.insert(upstream.port, upstream.tls);
    }
    let suffix = format!(".svc.{}", args.cluster_domain);
    services
        .into_iter()
        .flat_map(|(host, service)| {
            // The registry has the cluster's own services already.
            let is_own = host.ends_with(&suffix);
            let entry = (!is_own).then(|| service_entry(args, &host, &service));
            entry.into_iter().chain([destination_rule(args, &host, &service, is_own)])
        })
        .collect()
}

fn name(host: &str) -> String {
    format!("weir-{}", manifest::name(host))
}

fn service_entry(args: &Args, host: &str, service: &Service<'_>) -> Value {
    // TLS is the DestinationRule's business: to Istio, what goes in is HTTP.
    let ports: Vec<_> = service
        .ports
        .iter()
        .map(|(port, tls)| {
            let name = if *tls { "https" } else { "http" };
            json!({"number": port, "name": format!("{name}-{port}"), "protocol": "HTTP"})
        })
        .collect();
    let mut spec = json!({"hosts": [host], "exportTo": ["."], "location": "MESH_EXTERNAL", "ports": ports});
    match address(service.upstream) {
        Some(ip) => {
            spec["resolution"] = "STATIC".into();
            spec["endpoints"] = json!([{"address": ip.to_string()}]);
        }
        None => spec["resolution"] = "DNS".into(),
    }
    resource(args, ("networking.istio.io/v1", "ServiceEntry", &name(host)), spec)
}

fn destination_rule(args: &Args, host: &str, service: &Service<'_>, is_own: bool) -> Value {
    let ports: Vec<_> = service
        .ports
        .iter()
        .map(|(port, tls)| {
            let mut settings = json!({"port": {"number": port}, "connectionPool": connection_pool(*tls)});
            match tls {
                true => settings["tls"] = tls_to(service.upstream),
                // Without a word, the mesh's own mTLS where the service has it.
                false if is_own => {}
                false => settings["tls"] = json!({"mode": "DISABLE"}),
            }
            settings
        })
        .collect();
    let spec = json!({"host": host, "exportTo": ["."], "trafficPolicy": {"portLevelSettings": ports}});
    resource(args, ("networking.istio.io/v1", "DestinationRule", &name(host)), spec)
}

/// `:authority` is an attempt's to write, so the name that the certificate must have is fixed here. Istio takes the system's
/// authorities where none are named.
fn tls_to(upstream: &Upstream) -> Value {
    match address(upstream) {
        Some(ip) => json!({"mode": "SIMPLE", "subjectAltNames": [ip.to_string()]}),
        None => json!({"mode": "SIMPLE", "sni": upstream.host, "subjectAltNames": [upstream.host]}),
    }
}

fn connection_pool(tls: bool) -> Value {
    json!({
        "tcp": {"maxConnections": CIRCUIT_BREAKER, "connectTimeout": CONNECT_TIMEOUT},
        "http": {
            "http1MaxPendingRequests": CIRCUIT_BREAKER,
            "http2MaxRequests": CIRCUIT_BREAKER,
            "maxRetries": CIRCUIT_BREAKER,
            "idleTimeout": if tls { IDLE_TLS } else { IDLE_PLAIN },
        },
    })
}
