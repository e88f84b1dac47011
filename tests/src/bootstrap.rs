//! A rendered bootstrap, opened for a test: a route or a filter is added to it, as an operator would who has an Envoy already.

use std::fmt;

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

    /// The connection manager of the first listener that has one.
    pub fn http_manager(&mut self) -> &mut Value {
        find(&mut self.0["static_resources"]["listeners"], "http_filters").expect("a listener with HTTP filters")
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
