//! A compiled policy and what does not stand in it in, a whole Envoy bootstrap out. What Envoy is told here and what the
//! filter does must agree; each place says where. No secret's value is ever rendered: the filter reads them from the
//! environment of Envoy's process.

use std::{net::SocketAddr, path::PathBuf};

use serde_json::{Value, json};
use weir_core::config::Config;

use super::{clusters, listener, version::EnvoyVersion};

/// What does not stand in the policy.
#[derive(Clone, Debug)]
pub struct Options {
    pub version: EnvoyVersion,
    /// The gateway role cannot pause on headers: see `weir_core::unpaused`.
    pub unpaused: bool,
    /// For a listener of the operator's, which serves other things too.
    pub merged: bool,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// The filter's file, as Envoy's process finds it: relative to its working directory or absolute.
    pub wasm: String,
    /// Absolute: where a relative `jwks_file` lies.
    pub policy_folder: PathBuf,
    /// The access log's file; `/dev/stdout` is standard output, whatever that is.
    pub access_log: String,
    /// The usage object in each line, also where there is a collector.
    pub access_log_usage: bool,
    /// Cluster objects of the operator, rendered as they are.
    pub clusters: Vec<Value>,
}

/// Free pages that go back to the system each second, at most: few enough that to take them again costs nothing to speak of.
const RELEASED_BYTES: u32 = 4 << 20;

impl Default for Options {
    /// What `weir render envoy` has without arguments.
    fn default() -> Self {
        Self {
            version: EnvoyVersion::V1_40,
            unpaused: false,
            merged: false,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: SocketAddr::from(([127, 0, 0, 1], 9901)),
            wasm: "dist/weir.wasm".to_owned(),
            policy_folder: PathBuf::from("/"),
            access_log: "/dev/stdout".to_owned(),
            access_log_usage: false,
            clusters: Vec::new(),
        }
    }
}

/// The whole bootstrap. `policy_json` is what both roles of the filter are configured with, byte for byte.
pub fn bootstrap(config: &Config, policy_json: &str, options: &Options) -> Value {
    json!({
        // The records' `gateway` is this id; `--service-node` on Envoy's command line replaces it.
        "node": {"id": "weir", "cluster": "weir"},
        "admin": {"address": address(options.admin)},
        // What V8's compiler needed at the start goes back to the system, some 30 MB: Envoy would else keep it for good.
        "memory_allocator_manager": {"bytes_to_release": RELEASED_BYTES, "memory_release_interval": "1s"},
        "static_resources": {
            "listeners": [listener::listener(config, policy_json, options)],
            "clusters": clusters::clusters(config, options.version.chain(), &options.clusters),
        },
    })
}

pub fn address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}
