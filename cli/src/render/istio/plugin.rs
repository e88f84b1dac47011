//! `--wasm-plugin`: the gateway role as Istio's WasmPlugin, in the mode that does without `allow_on_headers_stop_iteration`
//! (docs/envoy.md). Everything else, the attempt role too, stays patches: a WasmPlugin is no upstream filter.

use serde_json::{Value, json};
use weir_core::config::Config;

use super::{Args, code::Code, resource, selector, version::IstioVersion};
use crate::render::wasm;

/// The plugin as operators know it.
pub fn manifest(args: &Args, config: &Config, policy: &Value) -> Value {
    let url = match &args.wasm {
        Code::File(path) => format!("file://{path}"),
        Code::Fetched(url) => url.clone(),
    };
    let secret = |name: &String| json!({"name": name, "valueFrom": "HOST"});
    let mut spec = json!({
        "selector": {"matchLabels": selector(args)},
        "url": url,
        // istiod makes the plugin's `root_id` of it, by which the filter knows its role.
        "pluginName": wasm::GATEWAY_UNPAUSED,
        "pluginConfig": policy,
        "failStrategy": wasm::FAILURE_POLICY,
        "vmConfig": {"env": config.environment.iter().map(secret).collect::<Vec<_>>()},
    });
    if let Some(sha256) = &args.wasm_sha256 {
        spec["sha256"] = sha256.as_str().into();
    }
    resource(args, ("extensions.istio.io/v1alpha1", "WasmPlugin", &args.name), spec)
}

/// What istiod calls the filter that it makes of the plugin, and a route must, to switch it off: since 1.31 it makes a
/// TrafficExtension of it first.
pub fn filter_name(args: &Args) -> String {
    let (kind, suffix) = match args.istio_version {
        IstioVersion::V1_29 | IstioVersion::V1_30 => ("wasmplugin", ""),
        IstioVersion::V1_31 => ("trafficextension", "~istio-translated-wasmplugin"),
    };
    format!("extensions.istio.io/{kind}/{}.{}{suffix}", args.namespace, args.name)
}

/// A WasmPlugin's VM has no id and no configuration: a filter's VM is the same one, with the same policies and shared data,
/// where it has neither as well.
pub fn join(filter: &mut Value) {
    if let Some(vm) = filter.pointer_mut("/typed_config/config/vm_config").and_then(Value::as_object_mut) {
        vm.remove("vm_id");
        vm.remove("configuration");
    }
}
