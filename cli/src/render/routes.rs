//! Which requests are Weir's: its hosts and its paths, and where all others go.
//!
//! A request is routed twice. As it comes in, its host and path say whether it is Weir's: on every other route the filter
//! is not there. When the filter has rewritten it for a provider, the path is the provider's, and the routing header picks
//! the cluster, on the one route that looks at it. That header is removed as a request comes in (`listener`), so it is there
//! only where the filter has set it. Filter and routes read one table of paths; if they disagreed all the same, a request
//! that the filter lets pass would find no cluster (503): it reaches no provider unseen.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use weir_core::{
    attempt::FAILED_HEADER,
    config::Config,
    paths::{AUTHORITY_HEADER, CLUSTER_HEADER, PATHS, Path, Target},
};

use super::{attempts, filters, jwt, options::Options, version::Chain};

/// The route of what the filter has rewritten for a provider.
pub const TO_MODEL: &str = "weir";

/// Fallbacks a request can have, DESIGN.md section 4.
const MAX_RETRIES: u64 = 2;

/// Envoy's own default for a stream without a byte in either direction.
const IDLE_FLOOR_MS: u64 = 300_000;
/// What a stream may be silent beyond its attempts' own timeouts.
const IDLE_SLACK_MS: u64 = 30_000;

/// What no provider sees: what the route and the attempt role have read; x-forwarded-proto, without which Envoy finds no route, so that the
/// filter leaves it; and what an operator's router adds, which does not keep that back.
fn to_no_provider(options: &Options) -> Vec<&'static str> {
    let routers = ["x-envoy-attempt-count", "x-envoy-expected-rq-timeout-ms", "x-envoy-original-host"];
    let routers = routers.into_iter().filter(|_| options.merged);
    [CLUSTER_HEADER, AUTHORITY_HEADER, "x-forwarded-proto", FAILED_HEADER].into_iter().chain(routers).collect()
}

/// What such a router adds to answers.
const ROUTERS_ANSWER: [&str; 3] = ["x-envoy-upstream-service-time", "x-envoy-attempt-count", "x-envoy-overloaded"];

pub fn route_config(config: &Config, options: &Options) -> Value {
    let mut weir = own_routes(config, options);
    weir.push(outside(config, options));
    // Envoy refuses a host that stands twice.
    let hosts: BTreeSet<_> = config.scope.hosts.iter().collect();
    let virtual_hosts = if hosts.is_empty() {
        json!([{"name": "weir", "domains": ["*"], "routes": weir}])
    } else {
        json!([
            {"name": "weir", "domains": hosts, "routes": weir},
            {"name": "outside", "domains": ["*"], "routes": [outside(config, options)]},
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

/// Weir's own, to stand before all others of their host.
pub fn own_routes(config: &Config, options: &Options) -> Vec<Value> {
    let passed = config.unmatched_cluster.iter().map(|_| passed(config, options));
    let incoming = PATHS.iter().map(|path| incoming(config, options, path));
    passed.chain([rewritten(config, options)]).chain(incoming).collect()
}

/// What the filter has rewritten for a provider.
fn rewritten(config: &Config, options: &Options) -> Value {
    let routing = json!({"name": CLUSTER_HEADER, "present_match": true});
    let mut route = json!({
        "name": TO_MODEL,
        "match": {"prefix": "/", "headers": [routing]},
        "request_body_buffer_limit": filters::buffer_limit(config),
        "route": to_model(config, options),
        "typed_per_filter_config": take_off(&to_no_provider(options), config, options),
    });
    if options.merged {
        route["response_headers_to_remove"] = json!(ROUTERS_ANSWER);
    }
    route
}

/// What the filter lets pass to `unmatched_cluster`, as it came: that has no host of a provider's.
fn passed(config: &Config, options: &Options) -> Value {
    let routing = json!({"name": CLUSTER_HEADER, "present_match": true});
    let mut per_filter = take_off(&[CLUSTER_HEADER], config, options);
    if options.unpaused {
        let off = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute";
        per_filter.insert(filters::BUFFER.to_owned(), json!({"@type": off, "disabled": true}));
    }
    let without_host = json!({"name": AUTHORITY_HEADER, "present_match": true, "invert_match": true});
    json!({
        "name": "unmatched",
        "match": {"prefix": "/", "headers": [routing, without_host]},
        "request_body_buffer_limit": filters::buffer_limit(config),
        "route": {"cluster_header": CLUSTER_HEADER, "timeout": "0s", "idle_timeout": seconds(idle_timeout_ms(config))},
        "typed_per_filter_config": per_filter,
    })
}

/// Behind the route, by an upstream filter: a route takes headers off before it rewrites the host from one of them. The
/// filters before the router are on here too: should the routing header come from a client after all, they see it.
fn take_off(names: &[&str], config: &Config, options: &Options) -> Map<String, Value> {
    let removed: Vec<_> = names.iter().map(|name| json!({"remove": name})).collect();
    let mut per_filter = filters::switched_on(config, options);
    per_filter.insert(
        attempts::ROUTING_HEADERS.to_owned(),
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
            "mutations": {"request_mutations": removed},
        }),
    );
    per_filter
}

/// A request as its client sent it. The filter answers it or rewrites it before this route's action can.
fn incoming(config: &Config, options: &Options, path: &Path) -> Value {
    let (kind, action) = match path.target {
        // For its timeout, and since Envoy heeds the limit on a route to a cluster alone.
        Target::Query { .. } => ("route", to_model(config, options)),
        Target::Local(_) => ("direct_response", json!({"status": 404})),
    };
    let mut per_filter = filters::switched_on(config, options);
    per_filter.extend(jwt::per_route(config).map(|required| (jwt::FILTER.to_owned(), required)));
    let mut route = json!({
        "name": format!("weir:{}", path.pattern),
        // Of any method: a wrong one is the filter's to refuse.
        "match": matcher(path.pattern),
        "request_body_buffer_limit": filters::buffer_limit(config),
        kind: action,
    });
    if !per_filter.is_empty() {
        route["typed_per_filter_config"] = per_filter.into();
    }
    route
}

fn to_model(config: &Config, options: &Options) -> Value {
    let mut retry_policy = json!({
        // The filter sets x-envoy-max-retries to what a request's plan has left, 0 included.
        "retry_on": "5xx,reset,connect-failure,refused-stream,retriable-status-codes",
        "retriable_status_codes": [401, 403, 429],
        "num_retries": MAX_RETRIES,
        // The next attempt is for somebody else: there is nothing to wait for.
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.005s"},
    });
    if options.version.chain() == Chain::Aggregate {
        retry_policy["retry_priority"] = json!({
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                "update_frequency": 1,
            },
        });
    }
    let mut action = json!({
        "cluster_header": CLUSTER_HEADER,
        // A stream is cut by silence alone, never by its length; an attempt's own timeout is a header that the filter sets.
        "timeout": "0s",
        "idle_timeout": seconds(idle_timeout_ms(config)),
        "retry_policy": retry_policy,
    });
    if !options.unpaused {
        // There the attempt role sets the host, which it must find as the client sent it.
        action["host_rewrite_header"] = AUTHORITY_HEADER.into();
    }
    action
}

/// Everything else, as if Weir were not there: the gateway role is not even in such a request's chain.
fn outside(config: &Config, options: &Options) -> Value {
    let (kind, action) = match &config.unmatched_cluster {
        Some(cluster) => ("route", json!({"cluster": cluster, "timeout": "0s"})),
        None => ("direct_response", json!({"status": 404})),
    };
    json!({
        "name": "outside",
        "match": {"prefix": "/"},
        kind: action,
        "typed_per_filter_config": filters::switched_off(config, options),
    })
}

/// Envoy's idle timer does not start anew with a retry: it must outlast all the attempts of a plan.
fn idle_timeout_ms(config: &Config) -> u64 {
    let plans = config.endpoints.iter().flat_map(|endpoint| endpoint.plans.iter().map(move |plan| (endpoint, plan)));
    let waits = plans.map(|(endpoint, plan)| {
        let entities = plan.entities.iter().filter_map(|index| endpoint.entities.get(*index));
        entities.map(|entity| entity.first_byte_ms).fold(0, u64::saturating_add)
    });
    waits.max().unwrap_or_default().saturating_add(IDLE_SLACK_MS).max(IDLE_FLOOR_MS)
}

/// Protobuf's JSON form of a duration.
fn seconds(millis: u64) -> String {
    format!("{}.{:03}s", millis / 1_000, millis % 1_000)
}

/// As the filter matches it. Envoy compares the path without its query string; a regex must match all of it.
fn matcher(pattern: &str) -> Value {
    match pattern.split_once("{name}") {
        None => json!({"path": pattern}),
        Some((before, after)) => {
            json!({"safe_regex": {"regex": format!("{}[^/]+{}", literal(before), literal(after))}})
        }
    }
}

/// `text` as a regex that matches nothing else.
fn literal(text: &str) -> String {
    text.chars().fold(String::new(), |mut regex, character| {
        if r"\.+*?()|[]{}^$".contains(character) {
            regex.push('\\');
        }
        regex.push(character);
        regex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, expected) in [
            ("/v1/models", json!({"path": "/v1/models"})),
            ("/a/{name}/b", json!({"safe_regex": {"regex": "/a/[^/]+/b"}})),
            ("/api/2.0/{name}", json!({"safe_regex": {"regex": r"/api/2\.0/[^/]+"}})),
        ] {
            assert_eq!(matcher(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn durations() {
        for (millis, expected) in [(0, "0.000s"), (1, "0.001s"), (390_000, "390.000s"), (61_050, "61.050s")] {
            assert_eq!(seconds(millis), expected);
        }
    }
}
