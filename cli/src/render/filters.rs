//! The HTTP filters of Weir's: before the router, and in it for each attempt. No request that is not Weir's meets those
//! before it: in a listener of Weir's own its one other route switches them off; in an operator's they are off, and Weir's
//! routes switch them on, so that none of his must be touched.

use serde_json::{Map, Value, json};
use weir_core::{config::Config, paths::HOP_HEADERS, unpaused};

use super::{attempts, jwt, options::Options, version::Chain, wasm};

/// Holds a request's headers until its body is whole, where the gateway role cannot.
pub const BUFFER: &str = "weir.buffer";
/// Writes into a request's headers what the gateway role cannot.
const HEADERS: &str = "weir.headers";

/// Before anything else sees the request, on every path and host: only the filter chooses clusters, no client can.
pub fn early_header_mutation() -> Value {
    let removed: Vec<_> = HOP_HEADERS.iter().map(|name| json!({"remove": name})).collect();
    json!({
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": removed,
        },
    })
}

/// All that go before the router, in order.
pub fn before_router(config: &Config, policy_json: &str, options: &Options) -> Vec<Value> {
    let role = |role| wasm::filter(role, config, policy_json, options);
    let mut own: Vec<_> = Vec::new();
    if options.unpaused {
        own.extend([role(wasm::GATEWAY_UNPAUSED), buffer(config), headers()]);
    } else {
        own.extend(config.rls.as_ref().map(|_| role(wasm::RESTORE)));
        own.push(role(wasm::GATEWAY));
    }
    if options.merged {
        own.iter_mut().for_each(|filter| filter["disabled"] = true.into());
    }
    jwt::filter(config, &options.policy_folder).into_iter().chain(own).collect()
}

/// What a route of Weir's says to have them, where they are off.
pub fn switched_on(config: &Config, options: &Options) -> Map<String, Value> {
    let names = if options.merged { names(config, options) } else { &[] };
    per_route(names, &json!({"@type": FILTER_CONFIG, "config": {}}))
}

/// What a route says to have none of them, where they are on.
pub fn switched_off(config: &Config, options: &Options) -> Map<String, Value> {
    per_route(names(config, options), &json!({"@type": FILTER_CONFIG, "disabled": true}))
}

const FILTER_CONFIG: &str = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

fn per_route(names: &[&str], setting: &Value) -> Map<String, Value> {
    names.iter().map(|name| ((*name).to_owned(), setting.clone())).collect()
}

fn names(config: &Config, options: &Options) -> &'static [&'static str] {
    match (options.unpaused, &config.rls) {
        (true, _) => &[wasm::GATEWAY_NAME, BUFFER, HEADERS],
        (false, Some(_)) => &[wasm::RESTORE_NAME, wasm::GATEWAY_NAME],
        (false, None) => &[wasm::GATEWAY_NAME],
    }
}

/// The last one, with what runs for each attempt.
pub fn router(config: &Config, policy_json: &str, options: &Options) -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            // No x-envoy-* to providers or callers.
            "suppress_envoy_headers": true,
            // Here and not in a cluster: those of a cluster behind a composite one do not run.
            "upstream_http_filters": in_router(config, policy_json, options),
        },
    })
}

/// The router's own filters. Requests that are not Weir's pass all of them by but the codec.
pub fn in_router(config: &Config, policy_json: &str, options: &Options) -> Vec<Value> {
    let role = match options.version.chain() {
        Chain::Composite => wasm::ATTEMPT,
        Chain::Aggregate => wasm::ATTEMPT_BY_HOST,
    };
    attempts::filters(&wasm::filter(role, config, policy_json, options), options.version.chain(), options.unpaused)
}

/// Twice the filter's own limit: it answers 413 first.
pub fn buffer_limit(config: &Config) -> u64 {
    (config.max_request_bytes as u64).saturating_mul(2)
}

fn buffer(config: &Config) -> Value {
    json!({
        "name": BUFFER,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
            "max_request_bytes": u32::try_from(buffer_limit(config)).unwrap_or(u32::MAX),
        },
    })
}

/// From filter state that the gateway role sets when the body is whole. Where there is none, nothing is written.
fn headers() -> Value {
    let set = |(name, key): (&str, &str)| {
        let header = json!({"key": name, "value": format!("%FILTER_STATE(wasm.{key}:PLAIN)%")});
        json!({"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}})
    };
    json!({
        "name": HEADERS,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {"request_mutations": unpaused::HEADERS.map(set)},
        },
    })
}
