//! What is rendered with beside the policy.

use std::{net::SocketAddr, path::PathBuf};

use serde_json::{Value, json};

use super::version::EnvoyVersion;

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

pub fn address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}
