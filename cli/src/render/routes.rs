//! Which requests are Weir's: its hosts and its paths, and where all others go.
//!
//! A route with `cluster_header` may match only what the filter deems within its scope. On such a route the routing header
//! is the only thing that picks a cluster; it is removed as a request comes in (`listener`) and set by the filter alone. If
//! the two ever disagreed, a request that the filter lets pass would find no cluster (503), never a provider.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use weir_core::config::{Config, Unmatched};

use super::jwt;

/// Set by the filter to a plan's cluster.
pub const CLUSTER_HEADER: &str = "x-weir-cluster";

/// Fallbacks a request can have, DESIGN.md section 4.
const MAX_RETRIES: u64 = 2;

/// Envoy's own default for a stream without a byte in either direction.
const IDLE_FLOOR_MS: u64 = 300_000;
/// What a stream may be silent beyond its attempts' own timeouts.
const IDLE_SLACK_MS: u64 = 30_000;

#[derive(Clone, Copy)]
enum Path {
    Exact(&'static str),
    /// `{name}` is one segment.
    Template(&'static str),
}

/// Paths that reach a model.
const FORWARDED: [Path; 3] = [
    Path::Exact("/v1/chat/completions"),
    Path::Exact("/serving-endpoints/chat/completions"),
    Path::Template("/serving-endpoints/{name}/invocations"),
];

/// Paths that the filter answers itself.
const ANSWERED: [Path; 2] = [Path::Exact("/v1/models"), Path::Exact("/health")];

pub fn route_config(config: &Config) -> Value {
    let mut weir: Vec<_> = FORWARDED.iter().map(|path| forwarded(config, *path)).collect();
    weir.extend(ANSWERED.iter().map(|path| answered(config, *path)));
    weir.push(outside(config));
    // Envoy refuses a host that stands twice.
    let hosts: BTreeSet<_> = config.scope.hosts.iter().collect();
    let virtual_hosts = if hosts.is_empty() {
        json!([{"name": "weir", "domains": ["*"], "routes": weir}])
    } else {
        json!([
            {"name": "weir", "domains": hosts, "routes": weir},
            {"name": "outside", "domains": ["*"], "routes": [outside(config)]},
        ])
    };
    json!({
        "name": "weir",
        // The filter compares hosts without their port too.
        "ignore_port_in_host_matching": true,
        // `cluster:` and `unmatched_cluster` may come by CDS.
        "validate_clusters": false,
        "virtual_hosts": virtual_hosts,
    })
}

fn forwarded(config: &Config, path: Path) -> Value {
    let action = json!({
        "cluster_header": CLUSTER_HEADER,
        // A stream is cut by silence alone, never by its length; an attempt's own timeout is a header that the filter sets.
        "timeout": "0s",
        "idle_timeout": seconds(idle_timeout_ms(config)),
        "retry_policy": {
            // The filter sets x-envoy-max-retries to what a request's plan has left, 0 included.
            "retry_on": "5xx,reset,connect-failure,refused-stream,retriable-status-codes",
            "retriable_status_codes": [401, 403, 429],
            "num_retries": MAX_RETRIES,
            // The next attempt is for somebody else: there is nothing to wait for.
            "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.005s"},
        },
    });
    weir_route(config, path, "route", action)
}

/// The filter answers before this 404 can.
fn answered(config: &Config, path: Path) -> Value {
    weir_route(config, path, "direct_response", json!({"status": 404}))
}

fn weir_route(config: &Config, path: Path, kind: &str, action: Value) -> Value {
    let mut route = json!({
        "name": format!("weir:{}", path.text()),
        "match": path.matcher(),
        // Per route, so that what passes keeps Envoy's own bound. Twice the filter's limit: it answers 413 first.
        "request_body_buffer_limit": (config.max_request_bytes as u64).saturating_mul(2),
        kind: action,
    });
    if let (Some(per_route), Some(route)) = (jwt::per_route(config), route.as_object_mut()) {
        route.insert("typed_per_filter_config".into(), json!({jwt::FILTER: per_route}));
    }
    route
}

/// Everything else, as if Weir were not there.
fn outside(config: &Config) -> Value {
    let (kind, action) = match &config.unmatched {
        Unmatched::Pass { cluster } => ("route", json!({"cluster": cluster, "timeout": "0s"})),
        Unmatched::Deny => ("direct_response", json!({"status": 404})),
    };
    json!({"name": "outside", "match": {"prefix": "/"}, kind: action})
}

/// Envoy's idle timer does not start anew with a retry: it must outlast all the attempts of a plan.
fn idle_timeout_ms(config: &Config) -> u64 {
    let first_byte = |endpoint: &weir_core::config::Endpoint| {
        endpoint.entities.iter().map(|entity| entity.first_byte_ms).max().unwrap_or_default()
    };
    let longest = config.endpoints.iter().map(first_byte).max().unwrap_or_default();
    longest.saturating_mul(MAX_RETRIES.saturating_add(1)).saturating_add(IDLE_SLACK_MS).max(IDLE_FLOOR_MS)
}

/// Protobuf's JSON form of a duration.
fn seconds(millis: u64) -> String {
    format!("{}.{:03}s", millis / 1_000, millis % 1_000)
}

impl Path {
    fn text(self) -> &'static str {
        match self {
            Self::Exact(path) | Self::Template(path) => path,
        }
    }

    /// Envoy compares the path without its query string.
    fn matcher(self) -> Value {
        match self {
            Self::Exact(path) => json!({"path": path}),
            Self::Template(path) => json!({"safe_regex": {"regex": path.replace("{name}", "[^/]+")}}),
        }
    }
}
