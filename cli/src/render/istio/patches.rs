//! An Envoy's bootstrap in, patches of what istiod makes out: the same filters, routes and settings, in the gateway that runs
//! already. A provider's cluster is istiod's, by its ServiceEntry; what the filter knows by Weir's name is a composite cluster
//! in front of it.

use serde_json::{Value, json};
use weir_core::config::Config;

use super::{Args, identity, plugin, providers};
use crate::render::{jwt, manifest, routes, wasm};

/// The route of the VirtualService, before which Weir's are put.
pub const LAST_ROUTE: &str = "weir-last";

const MANAGER: &str = "envoy.filters.network.http_connection_manager";
const ROUTER: &str = "envoy.filters.http.router";
/// What is taken off a request behind its route.
const REMOVED: &str = "/typed_per_filter_config/weir.routing_headers/mutations/request_mutations";
/// What Istio and Envoy's router tell the next hop about the mesh: nothing for a provider.
const MESH_HEADERS: [&str; 4] =
    ["x-envoy-attempt-count", "x-envoy-decorator-operation", "x-envoy-peer-metadata", "x-envoy-peer-metadata-id"];

pub fn patches(args: &Args, config: &Config, envoy: &Value) -> Vec<Value> {
    let manager = &envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let mut patches = cluster_patches(config, &envoy["static_resources"]["clusters"]);
    patches.push(manager_patch(args, manager));
    patches.extend(filter_patches(args, config, &manager["http_filters"]));
    patches.extend(route_patches(args, &manager["route_config"]["virtual_hosts"][0]["routes"]));
    patches
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn cluster_patches(config: &Config, all: &Value) -> Vec<Value> {
    let entities = manifest::rendered_entities(config).into_iter();
    let istios = entities.map(|entity| (entity.cluster.name(), providers::cluster_name(&entity.upstream))).collect();
    let clusters = manifest::clusters_before(config, all, &istios).into_iter();
    clusters
        .map(|cluster| {
            json!({
                "applyTo": "CLUSTER",
                "match": {"context": "GATEWAY"},
                "patch": {"operation": "ADD", "value": cluster},
            })
        })
        .collect()
}

/// All of the connection manager but what is istiod's or patched on its own.
fn manager_patch(args: &Args, manager: &Value) -> Value {
    let mut settings = manager.clone();
    if let Some(settings) = settings.as_object_mut() {
        for key in ["http_filters", "route_config", "stat_prefix"] {
            settings.remove(key);
        }
        if args.access_log == "none" {
            settings.remove("access_log");
        }
    }
    json!({
        "applyTo": "NETWORK_FILTER",
        "match": {"context": "GATEWAY", "listener": {"filterChain": {"filter": {"name": MANAGER}}}},
        "patch": {"operation": "MERGE", "value": {"name": MANAGER, "typed_config": settings}},
    })
}

fn filter_patches(args: &Args, config: &Config, filters: &Value) -> Vec<Value> {
    let mut patches = Vec::new();
    for filter in list(filters) {
        match filter["name"].as_str() {
            Some(ROUTER) => patches.extend(router(args, filter)),
            // istiod makes it, of the RequestAuthentication.
            Some(jwt::FILTER) => patches.extend(identity::requirement(config).map(|requirement| {
                let mut settings = requirement;
                settings["@type"] = filter["typed_config"]["@type"].clone();
                on_filter(jwt::FILTER, "MERGE", &json!({"name": jwt::FILTER, "typed_config": settings}))
            })),
            // istiod makes it, of the WasmPlugin.
            Some(wasm::GATEWAY_NAME) if args.wasm_plugin => {}
            _ => patches.extend(before_the_router(args, filter)),
        }
    }
    patches
}

fn on_filter(name: &str, operation: &str, value: &Value) -> Value {
    json!({
        "applyTo": "HTTP_FILTER",
        "match": {
            "context": "GATEWAY",
            "listener": {"filterChain": {"filter": {"name": MANAGER, "subFilter": {"name": name}}}},
        },
        "patch": {"operation": operation, "value": value},
    })
}

fn before_the_router(args: &Args, filter: &Value) -> Vec<Value> {
    let (extension, filter) = discovered(args, filter);
    extension.into_iter().chain([on_filter(ROUTER, "INSERT_BEFORE", &filter)]).collect()
}

/// The router with its upstream filters. What the agent fetches is no longer behind the matcher that skips it for requests
/// without a plan, or on a first attempt: a matcher takes no filter that comes by discovery. It has nothing to do for those.
fn router(args: &Args, router: &Value) -> Vec<Value> {
    let mut router = router.clone();
    let mut patches = Vec::new();
    let upstream = router.pointer_mut("/typed_config/upstream_http_filters").and_then(Value::as_array_mut);
    for filter in upstream.into_iter().flatten() {
        let inner = filter.pointer_mut("/typed_config/extension_config");
        let Some(inner) = inner.filter(|inner| inner["typed_config"]["@type"] == wasm::TYPE_URL) else { continue };
        if args.wasm_plugin {
            plugin::join(inner);
        }
        if !args.wasm.is_file() {
            let (extension, found) = discovered(args, inner);
            patches.extend(extension);
            *filter = found;
        }
    }
    patches.push(on_filter(ROUTER, "MERGE", &router));
    patches
}

/// A wasm filter whose code is fetched: the extension, for discovery, and the filter that asks for it. Else as it is.
fn discovered(args: &Args, filter: &Value) -> (Option<Value>, Value) {
    if args.wasm.is_file() {
        return (None, filter.clone());
    }
    let mut extension = filter.clone();
    extension["typed_config"]["config"]["vm_config"]["code"] = args.wasm.source(args.wasm_sha256.as_deref());
    let patch = json!({
        "applyTo": "EXTENSION_CONFIG",
        "match": {"context": "GATEWAY"},
        "patch": {"operation": "ADD", "value": extension},
    });
    let asking = json!({
        "name": filter["name"],
        "config_discovery": {
            // The agent fetches first: until then the listener waits, and no request passes unseen.
            "config_source": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
            "type_urls": [wasm::TYPE_URL],
        },
    });
    (Some(patch), asking)
}

fn route_patches(args: &Args, routes: &Value) -> Vec<Value> {
    list(routes)
        .map(|route| {
            let mut route = route.clone();
            if route["name"] == routes::TO_MODEL {
                let removed = route.pointer_mut(REMOVED).and_then(Value::as_array_mut);
                removed.into_iter().for_each(|list| list.extend(MESH_HEADERS.map(|name| json!({"remove": name}))));
            }
            let settings = route["typed_per_filter_config"].as_object_mut().filter(|_| args.wasm_plugin);
            if let Some(settings) = settings
                && let Some(setting) = settings.remove(wasm::GATEWAY_NAME)
            {
                settings.insert(plugin::filter_name(args), setting);
            }
            json!({
                "applyTo": "HTTP_ROUTE",
                "match": {
                    "context": "GATEWAY",
                    "routeConfiguration": {"vhost": {"route": {"name": LAST_ROUTE}}},
                },
                "patch": {"operation": "INSERT_BEFORE", "value": route},
            })
        })
        .collect()
}
