//! An Envoy's bootstrap in, JSON patches of what Envoy Gateway makes out: the same filters, routes and settings.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weir_core::config::Config;

use super::{Args, providers};
use crate::render::{clusters, manifest};

/// The Gateway's one listener.
pub const LISTENER: &str = "http";

const ROUTER: &str = "envoy.filters.http.router";

/// In both kinds of filter chain that Envoy Gateway makes.
const MANAGER: &str = "..filters[?(@.name=='envoy.filters.network.http_connection_manager')].typed_config";
const ROUTER_SETTINGS: &str = "..http_filters[?(@.name=='envoy.filters.http.router')].typed_config";

pub fn patches(args: &Args, config: &Config, envoy: &Value) -> Vec<Value> {
    let manager = &envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let entities = manifest::rendered_entities(config);
    let named = entities.iter().enumerate();
    let theirs: BTreeMap<_, _> =
        named.map(|(index, entity)| (entity.cluster.name(), providers::cluster_name(args, index))).collect();
    let all = manifest::clusters_before(config, &envoy["static_resources"]["clusters"], &theirs);
    let mut patches: Vec<_> = all.iter().map(cluster_patch).collect();
    let in_listener = |place: &str, path: &str, value: &Value| on(args, "listener.v3.Listener", (place, path), value);
    for (key, value) in manager.as_object().into_iter().flatten() {
        let is_theirs = ["@type", "http_filters", "route_config", "stat_prefix"].contains(&key.as_str());
        if !is_theirs && (key != "access_log" || args.access_log != "none") {
            patches.push(in_listener(MANAGER, &format!("/{key}"), value));
        }
    }
    let filters = manager["http_filters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let router = filters.iter().filter(|filter| filter["name"] == ROUTER);
    for (key, value) in router.filter_map(|router| router["typed_config"].as_object()).flatten() {
        if key != "@type" {
            patches.push(in_listener(ROUTER_SETTINGS, &format!("/{key}"), value));
        }
    }
    // Each goes to the front, so the last one goes first.
    for filter in filters.iter().rev().filter(|filter| filter["name"] != ROUTER) {
        patches.push(in_listener(MANAGER, "/http_filters/0", filter));
    }
    let routes = &manager["route_config"]["virtual_hosts"][0]["routes"];
    for route in routes.as_array().into_iter().flatten().rev() {
        patches.push(on(args, "route.v3.RouteConfiguration", ("..virtual_hosts[*]", "/routes/0"), route));
    }
    patches
}

/// An addition to the listener or its routes, which have one name.
fn on(args: &Args, kind: &str, (place, path): (&str, &str), value: &Value) -> Value {
    json!({
        "type": format!("type.googleapis.com/envoy.config.{kind}"),
        "name": format!("{}/{}/{LISTENER}", args.namespace, args.name),
        "operation": {"op": "add", "jsonPath": place, "path": path, "value": value},
    })
}

fn cluster_patch(cluster: &Value) -> Value {
    json!({
        "type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": clusters::name_of(cluster),
        "operation": {"op": "add", "path": "", "value": cluster},
    })
}
