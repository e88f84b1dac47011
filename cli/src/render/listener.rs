//! The listener: where requests come in, and the chain of filters that they meet.

use serde_json::{Value, json};
use weir_core::{
    attempt,
    config::Config,
    paths::{AUTHORITY_HEADER, CLUSTER_HEADER},
};

use super::{
    access_log,
    bootstrap::{Options, address},
    jwt, routes, wasm,
};

pub fn listener(config: &Config, policy_json: &str, options: &Options) -> Value {
    json!({
        "name": "weir",
        "address": address(options.listen),
        "filter_chains": [{
            "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": connection_manager(config, policy_json, options),
            }],
        }],
    })
}

fn connection_manager(config: &Config, policy_json: &str, options: &Options) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "weir",
        // The peer whose address `trusted_from` is compared with is the connection's own; with `false` any client could
        // name another in x-forwarded-for.
        "use_remote_address": true,
        // Routes, jwt_authn and the filter must all read one path in one way.
        "normalize_path": true,
        "merge_slashes": true,
        // Who the model's server is, is no client's business: the filter removes a provider's `server`, and nothing is put
        // in its place. Outside the scope the header stays as it came.
        "server_header_transformation": "PASS_THROUGH",
        // A provider behind TLS must not be told that its own scheme is http.
        "scheme_header_transformation": {"match_upstream": true},
        // A client that is slow to finish its headers holds no stream.
        "request_headers_timeout": "10s",
        // Envoy's own default, for what Weir answers and what it lets pass; Weir's routes have their own (`routes`).
        "stream_idle_timeout": "300s",
        "early_header_mutation_extensions": [remove_routing_headers()],
        "access_log": [access_log::access_log(options, config.logging.is_some())],
        "http_filters": http_filters(config, policy_json, options),
        "route_config": routes::route_config(config),
    })
}

/// Before anything else sees the request, on every path and host: only the filter chooses clusters, no client can.
fn remove_routing_headers() -> Value {
    json!({
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [{"remove": CLUSTER_HEADER}, {"remove": AUTHORITY_HEADER}],
        },
    })
}

fn http_filters(config: &Config, policy_json: &str, options: &Options) -> Vec<Value> {
    let role = |role| wasm::filter(role, config, policy_json, options);
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            // No x-envoy-* to providers or callers.
            "suppress_envoy_headers": true,
            // Here and not in a cluster: those of a cluster behind a composite one do not run.
            "upstream_http_filters": [take_off_routing_headers(), with_a_plan(&role(wasm::ATTEMPT)), {
                "name": "envoy.filters.http.upstream_codec",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
                },
            }],
        },
    });
    let mut filters: Vec<_> = jwt::filter(config, &options.policy_folder).into_iter().collect();
    filters.extend(config.rls.as_ref().map(|_| role(wasm::RESTORE)));
    filters.push(role(wasm::GATEWAY));
    filters.push(router);
    filters
}

/// Does nothing but what a route says (`routes`): requests outside the scope keep all their headers.
fn take_off_routing_headers() -> Value {
    json!({
        "name": routes::ROUTING_HEADERS,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        },
    })
}

/// The attempt role is for requests whose plan has a fallback: for all others it is skipped, which saves a context in the
/// VM each (docs/decisions/0003-the-first-attempt.md).
fn with_a_plan(filter: &Value) -> Value {
    let plan = json!({
        "input": {
            "name": "plan",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.FilterStateInput",
                "key": format!("wasm.{}", attempt::PLAN),
            },
        },
        "value_match": {"safe_regex": {"google_re2": {}, "regex": "(?s).+"}},
    });
    let skip = json!({
        "name": "skip",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.common.matcher.action.v3.SkipFilter"},
    });
    json!({
        "name": filter["name"],
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher",
            "extension_config": filter,
            "xds_matcher": {"matcher_list": {"matchers": [{
                "predicate": {"not_matcher": {"single_predicate": plan}},
                "on_match": {"action": skip},
            }]}},
        },
    })
}
