//! The instances of the one wasm file: `gateway` before the router, `attempt` in it, and `restore` before the gateway where
//! that asks an engine. Same VM id, same policy, byte for byte; only the root's name tells them apart.

use serde_json::{Value, json};
use weir_core::config::Config;

use super::options::Options;

/// Decides once per request.
pub const GATEWAY: &str = "gateway";
/// The same where it cannot pause on headers.
pub const GATEWAY_UNPAUSED: &str = "gateway-unpaused";
/// Runs once per attempt.
pub const ATTEMPT: &str = "attempt";
/// The same behind aggregate clusters.
pub const ATTEMPT_BY_HOST: &str = "attempt-by-host";

/// Keeps the request's headers for access logs, where the gateway waits for an engine's verdict.
pub const RESTORE: &str = "restore";

/// After a trap the VM is made anew; until then requests are refused, never waved through.
pub const FAILURE_POLICY: &str = "FAIL_RELOAD";

pub const TYPE_URL: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// Their filters' names, by which a route may switch them on.
pub const GATEWAY_NAME: &str = "weir.gateway";
pub const RESTORE_NAME: &str = "weir.restore";
const ATTEMPT_NAME: &str = "weir.attempt";

fn name(role: &str) -> &'static str {
    match role {
        ATTEMPT | ATTEMPT_BY_HOST => ATTEMPT_NAME,
        RESTORE => RESTORE_NAME,
        _ => GATEWAY_NAME,
    }
}

/// The HTTP filter for `role`, which is the plugin's `root_id`.
pub fn filter(role: &str, config: &Config, policy_json: &str, options: &Options) -> Value {
    let mut filter = json!({
        "name": name(role),
        "typed_config": {
            "@type": TYPE_URL,
            "config": {
                "name": name(role),
                "root_id": role,
                "failure_policy": FAILURE_POLICY,
                "vm_config": {
                    // Counters live in shared data under this id: to change it is to reset every limit.
                    "vm_id": "weir",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": options.wasm}},
                    // Envoy before 1.40 lets a policy with further variables into the VM that runs, which has only those that
                    // it began with: another text here makes another VM. Shared data goes by the id, so counters stay.
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": config.environment.join(" "),
                    },
                    // Names only: values do not show in /config_dump.
                    "environment_variables": {"host_env_keys": config.environment},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": policy_json,
                },
            },
        },
    });
    if role != GATEWAY_UNPAUSED {
        // Without it a pause on the request's headers never sees the body.
        filter["typed_config"]["config"]["allow_on_headers_stop_iteration"] = true.into();
    }
    filter
}
