//! Envoy Gateway's part, recorded: what its translator (release 1.9.1, the golden files of `internal/xds/translator/testdata`)
//! makes of a Gateway, HTTPRoutes and Backends, with the names of the manifests at hand, and its way of applying an
//! EnvoyPatchPolicy. The real one needs more than an hour to build on a small machine.

use std::process::Command;

use serde_json::{Value, json};

use crate::envoy::Launch;
use crate::process::dist;

/// A bootstrap in which all that Envoy Gateway would send by xDS is in place.
pub fn gateway(launch: &Launch<'_>, port: u16, admin_port: u16) -> String {
    let manifests = rendered(launch);
    let of_kind = |kind: &'static str| manifests.iter().filter(move |manifest| manifest["kind"] == kind);
    let name = |resource: &Value| resource["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let backend = |wanted: &Value| of_kind("Backend").find(|backend| backend["metadata"]["name"] == *wanted).cloned();
    let breakers = of_kind("BackendTrafficPolicy").next().map(|policy| policy["spec"]["circuitBreaker"].clone());
    let (mut routes, mut clusters) = (Vec::new(), Vec::new());
    for route in of_kind("HTTPRoute") {
        for (number, rule) in route["spec"]["rules"].as_array().into_iter().flatten().enumerate() {
            let cluster = format!("httproute/weir/{}/rule/{number}", name(route));
            match backend(&rule["backendRefs"][0]["name"]) {
                Some(backend) => {
                    routes.insert(0, route_to(&cluster, &rule["matches"][0]["headers"][0]));
                    clusters.push(recorded_cluster(&cluster, &backend, breakers.as_ref()));
                }
                None => {
                    routes.push(json!({"name": cluster, "match": {"prefix": "/"}, "direct_response": {"status": 404}}))
                }
            }
        }
    }
    let mut listener = recorded_listener(port);
    let mut table = json!({"name": "weir/weir/http", "ignore_port_in_host_matching": true, "virtual_hosts": [
        {"name": "weir/weir/http/*", "domains": ["*"], "routes": routes},
    ]});
    for policy in of_kind("EnvoyPatchPolicy") {
        for patch in policy["spec"]["jsonPatches"].as_array().into_iter().flatten() {
            let kind = patch["type"].as_str().unwrap_or_default();
            match kind.rsplit('.').next() {
                Some("Listener") => apply(&mut listener, patch),
                Some("RouteConfiguration") => apply(&mut table, patch),
                Some("Cluster") => clusters.push(patch["operation"]["value"].clone()),
                _ => panic!("an unknown kind: {kind}"),
            }
        }
    }
    // Inline what Envoy Gateway sends by RDS.
    let manager = &mut listener["default_filter_chain"]["filters"][0]["typed_config"];
    manager.as_object_mut().expect("a connection manager").remove("rds");
    manager["route_config"] = table;
    json!({
        "node": {"id": "weir", "cluster": "weir"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin_port}}},
        "static_resources": {"listeners": [listener], "clusters": clusters},
    })
    .to_string()
}

fn rendered(launch: &Launch<'_>) -> Vec<Value> {
    let mut command = Command::new(dist("weir"));
    command.args(["render", "envoy-gateway"]).arg(launch.policy).arg("--wasm").arg(dist("weir.wasm"));
    command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
    let output = command.output().expect("dist/weir can be run");
    assert!(output.status.success(), "weir render envoy-gateway: {}", String::from_utf8_lossy(&output.stderr));
    let yaml = String::from_utf8(output.stdout).expect("manifests in UTF-8");
    // The head is a comment.
    yaml.split("\n---\n").skip(1).map(|text| serde_yaml_ng::from_str(text).expect("a manifest")).collect()
}

fn route_to(cluster: &str, header: &Value) -> Value {
    json!({
        "name": format!("{cluster}/match/0/*"),
        "match": {"prefix": "/", "headers": [{"name": header["name"], "string_match": {"exact": header["value"]}}]},
        "route": {"cluster": cluster, "upgrade_configs": [{"upgrade_type": "websocket"}]},
    })
}

fn recorded_cluster(name: &str, backend: &Value, breakers: Option<&Value>) -> Value {
    let ip = &backend["spec"]["endpoints"][0]["ip"];
    let limit = |key: &str| breakers.map(|breakers| breakers[key].clone()).unwrap_or_default();
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "per_connection_buffer_limit_bytes": 32768,
        "circuit_breakers": {"thresholds": [{
            "max_connections": limit("maxConnections"),
            "max_pending_requests": limit("maxPendingRequests"),
            "max_requests": limit("maxParallelRequests"),
            "max_retries": limit("maxParallelRetries"),
        }]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address":
            {"socket_address": {"address": ip["address"], "port_value": ip["port"]}}}}]}]},
    })
}

fn recorded_listener(port: u16) -> Value {
    json!({
        "name": "weir/weir/http",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "per_connection_buffer_limit_bytes": 32768,
        "default_filter_chain": {"name": "weir/weir/http", "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "http-10080",
                "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
                "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": true,
                }}],
                "merge_slashes": true,
                "normalize_path": true,
                "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
                "rds": {"route_config_name": "weir/weir/http"},
                "server_header_transformation": "PASS_THROUGH",
                "use_remote_address": true,
            },
        }]},
    })
}

/// An `add` at a JSON pointer below each place that a JSON path finds; finding none is an error there too.
fn apply(document: &mut Value, patch: &Value) {
    let operation = &patch["operation"];
    let (place, path) =
        (operation["jsonPath"].as_str().unwrap_or_default(), operation["path"].as_str().unwrap_or_default());
    let mut found = 0;
    at_each(document, place, &mut |target| {
        found += 1;
        let (parent, key) = path.rsplit_once('/').expect("a pointer");
        match target.pointer_mut(parent).expect("the parent of what is added") {
            Value::Array(items) => items.insert(key.parse().expect("an index"), operation["value"].clone()),
            Value::Object(fields) => drop(fields.insert(key.to_owned(), operation["value"].clone())),
            other => panic!("{path}: nothing can be added to {other}"),
        }
    });
    assert!(found > 0, "{place} is nowhere");
}

/// Of JSON path, what the manifests use: `..KEY[*]` and `..KEY[?(@.name=='NAME')].FIELD`.
fn at_each(document: &mut Value, place: &str, act: &mut dyn FnMut(&mut Value)) {
    let (key, rest) = place.strip_prefix("..").and_then(|place| place.split_once('[')).expect("a known form");
    let (name, field) = match rest.strip_prefix("?(@.name=='").and_then(|rest| rest.split_once("')].")) {
        Some((name, field)) => (Some(name), Some(field)),
        None => (None, None),
    };
    walk(document, &mut |object| {
        for item in object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            if name.is_none_or(|name| item["name"] == name) {
                match field {
                    Some(field) => act(&mut item[field]),
                    None => act(item),
                }
            }
        }
    });
}

fn walk(value: &mut Value, act: &mut dyn FnMut(&mut Value)) {
    if value.is_object() {
        act(value);
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|value| walk(value, act)),
        Value::Array(items) => items.iter_mut().for_each(|value| walk(value, act)),
        _ => {}
    }
}
