//! A rendered bootstrap, opened for a test: a route or a filter is added to it, as an operator would who has an Envoy already.

use std::fmt;
use std::path::Path;

use serde_json::{Value, json};

/// An Envoy configuration. Written out as JSON, which is YAML too.
pub struct Bootstrap(pub Value);

impl fmt::Display for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl Bootstrap {
    pub fn parse(yaml: &str) -> Self {
        Self(serde_yaml_ng::from_str(yaml).unwrap_or_else(|error| panic!("weir render gave no YAML: {error}\n{yaml}")))
    }

    /// A cluster of one address.
    pub fn add_cluster(&mut self, name: &str, port: u16) {
        let cluster = json!({
            "name": name, "type": "STATIC", "connect_timeout": "1s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address":
                {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}]}]}
        });
        self.0["static_resources"]["clusters"].as_array_mut().expect("clusters").push(cluster);
    }

    /// A route ahead of all others, on every host: what else an operator's Envoy serves.
    pub fn add_route(&mut self, prefix: &str, cluster: &str) {
        let route = json!({"match": {"prefix": prefix}, "route": {"cluster": cluster, "timeout": "0s"}});
        let hosts =
            self.http_manager()["route_config"]["virtual_hosts"].as_array_mut().expect("virtual hosts in place");
        for host in hosts {
            host["routes"].as_array_mut().expect("routes").insert(0, route.clone());
        }
    }

    /// An HTTP filter, at the front of the chain or just before the router.
    pub fn add_filter(&mut self, filter: Value, last: bool) {
        let filters = self.http_manager()["http_filters"].as_array_mut().expect("filters");
        let place = if last { filters.len() - 1 } else { 0 };
        filters.insert(place, filter);
    }

    /// The idle timeouts of Weir's routes: of requests as they come in, and as the filter has rewritten them.
    pub fn set_idle_timeouts(&mut self, incoming: &str, rewritten: &str) {
        let routes = &mut self.http_manager()["route_config"]["virtual_hosts"][0]["routes"];
        for route in routes.as_array_mut().expect("routes") {
            let timeout = if route["name"] == "weir" { rewritten } else { incoming };
            if let Some(action) = route["route"].as_object_mut() {
                action.insert("idle_timeout".to_owned(), timeout.into());
            }
        }
    }

    /// HTTP/2 with prior knowledge to every cluster of its own address whose name begins so.
    pub fn use_http2(&mut self, prefix: &str) {
        let clusters = self.0["static_resources"]["clusters"].as_array_mut().expect("clusters");
        for cluster in clusters.iter_mut().filter(|cluster| cluster["load_assignment"].is_object()) {
            if cluster["name"].as_str().is_some_and(|name| name.starts_with(prefix)) {
                let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
                cluster["typed_extension_protocol_options"][options]["explicit_http_config"] =
                    json!({"http2_protocol_options": {}});
            }
        }
    }

    /// TLS for those who connect.
    pub fn set_transport_socket(&mut self, socket: Value) {
        self.0["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"] = socket;
    }

    /// Another document for both roles of the filter, right or wrong.
    pub fn set_policies(&mut self, document: &str) {
        set_policies(&mut self.0["static_resources"]["listeners"], document);
    }

    /// Takes listeners and clusters out, into files that Envoy watches: what an operator does who changes a policy while it runs.
    pub fn into_files(mut self, folder: &Path) -> (Self, Resources) {
        let mut take = |kind: &str| self.0["static_resources"][kind].take().as_array().cloned().unwrap_or_default();
        let resources = Resources { clusters: take("clusters"), listeners: take("listeners") };
        let source =
            |file: &str| json!({"resource_api_version": "V3", "path_config_source": {"path": folder.join(file)}});
        self.0["static_resources"] = json!({});
        self.0["dynamic_resources"] = json!({"cds_config": source(CDS), "lds_config": source(LDS)});
        (self, resources)
    }

    /// The connection manager of the first listener that has one.
    pub fn http_manager(&mut self) -> &mut Value {
        find(&mut self.0["static_resources"]["listeners"], "http_filters").expect("a listener with HTTP filters")
    }
}

/// What a bootstrap had in place, for the files that Envoy watches.
pub struct Resources {
    clusters: Vec<Value>,
    listeners: Vec<Value>,
}

const CDS: &str = "cds.json";
const LDS: &str = "lds.json";

impl Resources {
    /// Replaces the files by rename, as Envoy wants it: clusters first, which the listener's routes name.
    pub fn write(&self, folder: &Path) {
        write(folder, CDS, "envoy.config.cluster.v3.Cluster", &self.clusters);
        write(folder, LDS, "envoy.config.listener.v3.Listener", &self.listeners);
    }
}

fn write(folder: &Path, file: &str, kind: &str, resources: &[Value]) {
    let typed = resources.iter().map(|resource| {
        let mut typed = resource.clone();
        typed["@type"] = format!("type.googleapis.com/{kind}").into();
        typed
    });
    let next = folder.join(format!("{file}.next"));
    let document = json!({"resources": typed.collect::<Vec<_>>()});
    std::fs::write(&next, document.to_string()).expect("the folder can be written");
    std::fs::rename(&next, folder.join(file)).expect("a file can be replaced");
}

fn set_policies(value: &mut Value, document: &str) {
    match value {
        Value::Object(fields) if fields.contains_key("vm_config") => fields["configuration"]["value"] = document.into(),
        Value::Object(fields) => fields.values_mut().for_each(|value| set_policies(value, document)),
        Value::Array(items) => items.iter_mut().for_each(|value| set_policies(value, document)),
        _ => {}
    }
}

/// The first object, depth first, that has `key`.
fn find<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    if value.get(key).is_some() {
        return Some(value);
    }
    match value {
        Value::Object(fields) => fields.values_mut().find_map(|value| find(value, key)),
        Value::Array(items) => items.iter_mut().find_map(|value| find(value, key)),
        _ => None,
    }
}
