//! Where attempts, records and passed requests go: a cluster for each served entity whose cluster is Weir's own, one for each
//! server of tokens, a chain for each plan with a fallback, one for the records, one for the limits' engine, and the
//! operator's as they are.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::{Value, json};
use weir_core::{
    attempt,
    config::{Cluster, Config, Upstream},
    oauth::keeper,
};

use super::{
    breakers::{CONNECT_TIMEOUT, circuit_breakers},
    chains,
    version::Chain,
};

/// Where Debian, Ubuntu and Alpine keep it, so also Envoy's own images.
const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Below the 60 s after which common load balancers close an idle connection, so that none is used as it closes.
const IDLE_TLS: &str = "50s";
/// Below the 5 s of common model servers' own HTTP servers.
const IDLE_PLAIN: &str = "4s";

pub fn clusters(config: &Config, chain: Chain, own: &[Value]) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let mut clusters = Vec::new();
    let records = config.logging.iter().map(|logging| (&logging.cluster, &logging.upstream));
    let entities = config.endpoints.iter().flat_map(|endpoint| &endpoint.entities);
    for (cluster, upstream) in entities.map(|entity| (&entity.cluster, &entity.upstream)).chain(records) {
        if let Cluster::Rendered(name) = cluster
            && seen.insert(name)
        {
            clusters.push(cluster_to(name, upstream, &protocol_options(upstream.tls)));
        }
    }
    clusters.extend(
        keeper::grants(config)
            .map(|grant| cluster_to(&grant.cluster, &grant.upstream, &protocol_options(grant.upstream.tls))),
    );
    if let Some(rls) = &config.rls
        && let (Cluster::Rendered(name), Some(upstream)) = (&rls.cluster, &rls.upstream)
    {
        clusters.push(cluster_to(name, upstream, &grpc_options()));
    }
    chains::add(&mut clusters, config, chain);
    if chain == Chain::Aggregate {
        clusters.iter_mut().for_each(name_hosts);
    }
    clusters.extend_from_slice(own);
    clusters
}

/// Named by the policy, expected in Envoy, and not among `own`: in order, each once.
pub fn missing(config: &Config, own: &[Value]) -> Vec<String> {
    let own: BTreeSet<_> = own.iter().filter_map(name_of).collect();
    let entities = config.endpoints.iter().flat_map(|endpoint| &endpoint.entities).map(|entity| &entity.cluster);
    let others = config.logging.iter().map(|logging| &logging.cluster).chain(config.rls.iter().map(|rls| &rls.cluster));
    let existing = entities.chain(others).filter_map(|c| match c {
        Cluster::Existing(name) => Some(name),
        Cluster::Rendered(_) => None,
    });
    let mut seen = BTreeSet::new();
    let named = existing.chain(&config.unmatched_cluster).filter(|name| !own.contains(name.as_str()));
    named.filter(|name| seen.insert(*name)).cloned().collect()
}

/// Names that stand twice among the rendered clusters, which Envoy refuses.
pub fn doubled(clusters: &[Value]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    clusters.iter().filter_map(name_of).filter(|name| !seen.insert(*name)).map(str::to_owned).collect()
}

pub fn name_of(cluster: &Value) -> Option<&str> {
    cluster.get("name")?.as_str()
}

fn cluster_to(name: &str, upstream: &Upstream, protocol_options: &Value) -> Value {
    let ip = upstream.host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let host = ip.map_or_else(|| upstream.host.clone(), |ip| ip.to_string());
    let mut cluster = json!({
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT,
        "circuit_breakers": circuit_breakers(),
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol_options,
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
                "socket_address": {"address": host, "port_value": upstream.port},
            }}}]}],
        },
    });
    let resolution = match ip {
        Some(_) => json!({"type": "STATIC"}),
        None => json!({"cluster_type": {"name": "envoy.clusters.dns", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster",
            // Envoy's default prefers IPv6 and so fails where there is a record but no route, as in most containers.
            "dns_lookup_family": "V4_PREFERRED",
            // Not every 5 s: each change of a large provider's addresses costs new handshakes.
            "respect_dns_ttl": true,
        }}}),
    };
    merge(&mut cluster, resolution);
    if upstream.tls {
        merge(&mut cluster, json!({"transport_socket": tls(&host, ip)}));
    }
    cluster
}

/// `:authority` is an attempt's to write, so the name that the certificate must have is fixed here.
fn tls(host: &str, ip: Option<IpAddr>) -> Value {
    let san_type = if ip.is_some() { "IP_ADDRESS" } else { "DNS" };
    let mut context = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            "validation_context": {
                "trusted_ca": {"filename": CA_BUNDLE},
                "match_typed_subject_alt_names": [{"san_type": san_type, "matcher": {"exact": host}}],
            },
        },
    });
    if ip.is_none() {
        merge(&mut context, json!({"sni": host}));
    }
    json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
}

/// Over TLS, HTTP/2 where the server offers it.
fn protocol_options(tls: bool) -> Value {
    let (kind, protocols, idle) = if tls {
        ("auto_config", json!({"http_protocol_options": {}, "http2_protocol_options": {}}), IDLE_TLS)
    } else {
        ("explicit_http_config", json!({"http_protocol_options": {}}), IDLE_PLAIN)
    };
    json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": idle},
        kind: protocols,
    })
}

/// gRPC needs HTTP/2. A dead connection is found out within seconds: without, an engine that vanished would be asked in vain
/// until the system's own timeouts.
fn grpc_options() -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": "300s"},
        "explicit_http_config": {"http2_protocol_options": {
            "connection_keepalive": {"interval": "2s", "timeout": "1s"},
        }},
    })
}

/// Tells the attempt role which of a chain's clusters it goes to.
fn name_hosts(cluster: &mut Value) {
    let name = cluster["name"].clone();
    if let Some(host) = cluster.pointer_mut("/load_assignment/endpoints/0/lb_endpoints/0") {
        let [namespace, key] = attempt::HOST_CLUSTER;
        merge(host, json!({"metadata": {"filter_metadata": {namespace: {key: name}}}}));
    }
}

/// `more`'s keys into `object`.
fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
