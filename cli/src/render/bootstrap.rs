//! A compiled policy and what does not stand in it in, a whole Envoy bootstrap out. What Envoy is told here and what the
//! filter does must agree; each place says where. No secret's value is ever rendered: the filter reads them from the
//! environment of Envoy's process.

use serde_json::{Value, json};
use weir_core::config::Config;

use super::{
    clusters, listener,
    options::{Options, address},
};

/// Free pages that go back to the system each second, at most: few enough that to take them again costs nothing to speak of.
const RELEASED_BYTES: u32 = 4 << 20;

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
