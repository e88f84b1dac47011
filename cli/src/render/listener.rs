//! The listener: where requests come in, and the chain of filters that they meet.

use serde_json::{Value, json};
use weir_core::config::Config;

use super::{
    access_log, filters,
    options::{Options, address},
    routes,
};

pub fn listener(config: &Config, policy_json: &str, options: &Options) -> Value {
    let mut listener = json!({
        "name": "weir",
        "address": address(options.listen),
        "filter_chains": [{
            "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": connection_manager(config, policy_json, options),
            }],
        }],
    });
    if options.version.limits_by_listener() {
        listener["per_connection_buffer_limit_bytes"] =
            u32::try_from(filters::buffer_limit(config)).unwrap_or(u32::MAX).into();
    }
    listener
}

fn connection_manager(config: &Config, policy_json: &str, options: &Options) -> Value {
    let mut http_filters = filters::before_router(config, policy_json, options);
    http_filters.push(filters::router(config, policy_json, options));
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
        "early_header_mutation_extensions": [filters::early_header_mutation()],
        "access_log": [access_log::access_log(options, config.logging.is_some())],
        "http_filters": http_filters,
        "route_config": routes::route_config(config, options),
    })
}
