//! `weir render envoy-gateway`: a policy in, manifests of a gateway for Envoy Gateway on standard output. What Envoy is told is
//! taken from the bootstrap that `weir render envoy` makes, so that both say the same: here it comes as an EnvoyPatchPolicy.

use std::{net::SocketAddr, path::PathBuf};

use serde_json::{Value, json};
use weir_core::config::{Compiled, Config};

use super::{Failure, bootstrap::bootstrap, folder_of, jwt, manifest, options::Options};
use crate::policy;

mod patches;
mod providers;
#[cfg(test)]
mod tests;

const GATEWAY_API: &str = "gateway.networking.k8s.io";
const EXTENSIONS: &str = "gateway.envoyproxy.io/v1alpha1";

/// Manifests of a gateway for Envoy Gateway: exit status 0, 1 if the policy is wrong, 2 if it or another file cannot be read
#[derive(clap::Args)]
pub struct Args {
    /// The policy, YAML or JSON; `-` is standard input. The file that a `jwks_file` in it names is read, relative to its folder
    /// (with `-`, to this one)
    pub policy: PathBuf,
    /// The gateway's namespace
    #[arg(long, default_value = "weir")]
    namespace: String,
    /// The name of the Gateway and of what belongs to it
    #[arg(long, default_value = "weir")]
    name: String,
    /// The GatewayClass that Envoy Gateway has been given
    #[arg(long, default_value = "eg")]
    gateway_class: String,
    /// Where callers connect to
    #[arg(long, default_value_t = 80)]
    port: u16,
    /// The filter: a path in the proxy's pods
    #[arg(long, default_value = "/etc/weir/weir.wasm", value_parser = absolute)]
    wasm: String,
    /// An image with the filter in it, mounted as a volume at the folder of the path that --wasm names
    #[arg(long, value_name = "IMAGE")]
    wasm_image: Option<String>,
    /// The Secret with the providers' keys, each under the name of its environment variable, in the namespace of the proxy's pods
    #[arg(long, default_value = "weir-secrets")]
    secret: String,
    /// The access log's file; `none` for Envoy Gateway's own log
    #[arg(long, value_name = "PATH", default_value = "/dev/stdout")]
    access_log: String,
    /// The whole usage record in each of the access log's lines, also where the policy has `logging`
    #[arg(long)]
    access_log_usage: bool,
}

fn absolute(path: &str) -> Result<String, String> {
    if path.starts_with('/') {
        Ok(path.to_owned())
    } else {
        Err("expected an absolute path in the proxy's pods".to_owned())
    }
}

pub fn render(args: &Args) -> Result<String, Failure> {
    let json = policy::read(&args.policy)?;
    let Compiled { config, warnings } = policy::compile(&json)?;
    policy::print_warnings(&warnings);
    let folder = folder_of(&args.policy).map_err(Failure::Usage)?;
    let keys = jwt::read_keys(&config, &folder).map_err(Failure::Usage)?;
    for warning in what_else_is_needed(args, &config) {
        eprintln!("warning: {warning}");
    }
    let documents = manifests(args, &config, &json, folder, keys.as_deref());
    manifest::yaml(&documents, "Envoy Gateway 1.9, made by `weir render envoy-gateway`")
}

fn manifests(args: &Args, config: &Config, json: &str, policy_folder: PathBuf, keys: Option<&str>) -> Vec<Value> {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = Options {
        listen: nowhere,
        admin: nowhere,
        wasm: args.wasm.clone(),
        policy_folder,
        access_log: args.access_log.clone(),
        access_log_usage: args.access_log_usage,
        ..Options::default()
    };
    let mut envoy = bootstrap(config, json, &options);
    if let Some(keys) = keys {
        jwt::set_keys(&mut envoy, keys);
    }
    let mut documents = vec![envoy_proxy(args, config), gateway(args), last_route(args, config), not_found(args)];
    documents.extend(providers::manifests(args, config));
    documents.push(manifest::resource(
        &args.namespace,
        (EXTENSIONS, "EnvoyPatchPolicy", &args.name),
        json!({
            "targetRef": {"group": GATEWAY_API, "kind": "Gateway", "name": args.name},
            "type": "JSONPatch",
            "jsonPatches": patches::patches(args, config, &envoy),
        }),
    ));
    documents
}

fn gateway_api(args: &Args, kind: &str, name: &str, spec: Value) -> Value {
    manifest::resource(&args.namespace, (&format!("{GATEWAY_API}/v1"), kind, name), spec)
}

/// The proxy's pods: the keys are in their environment and nowhere else.
fn envoy_proxy(args: &Args, config: &Config) -> Value {
    let mut deployment = json!({"container": {"env": manifest::environment(config, &args.secret)}});
    if let Some(image) = &args.wasm_image {
        let folder = args.wasm.rsplit_once('/').map_or("/", |(folder, _)| folder);
        deployment["pod"] = json!({"volumes": [{"name": "weir", "image": {"reference": image}}]});
        deployment["container"]["volumeMounts"] = json!([{"name": "weir", "mountPath": folder, "readOnly": true}]);
    }
    manifest::resource(
        &args.namespace,
        (EXTENSIONS, "EnvoyProxy", &args.name),
        json!({"provider": {"type": "Kubernetes", "kubernetes": {"envoyDeployment": deployment}}}),
    )
}

fn gateway(args: &Args) -> Value {
    gateway_api(
        args,
        "Gateway",
        &args.name,
        json!({
            "gatewayClassName": args.gateway_class,
            "infrastructure": {
                "parametersRef": {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": args.name},
            },
            "listeners": [{"name": patches::LISTENER, "protocol": "HTTP", "port": args.port}],
        }),
    )
}

/// Gives the hosts a place for routes. It is never reached: the patches put Weir's before it, the last of which takes all.
fn last_route(args: &Args, config: &Config) -> Value {
    let filter = json!({"group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": args.name});
    let rule = json!({"filters": [{"type": "ExtensionRef", "extensionRef": filter}]});
    gateway_api(args, "HTTPRoute", &args.name, route(args, config, &[rule]))
}

fn not_found(args: &Args) -> Value {
    manifest::resource(
        &args.namespace,
        (EXTENSIONS, "HTTPRouteFilter", &args.name),
        json!({"directResponse": {"statusCode": 404}}),
    )
}

/// An HTTPRoute's spec, on Weir's hosts.
fn route(args: &Args, config: &Config, rules: &[Value]) -> Value {
    let mut spec = json!({"parentRefs": [{"name": args.name}], "rules": rules});
    if !config.scope.hosts.is_empty() {
        spec["hostnames"] = json!(config.scope.hosts);
    }
    spec
}

/// What the manifests alone do not give; each would show only where they are applied.
fn what_else_is_needed(args: &Args, config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for name in super::clusters::missing(config, &[]) {
        warnings.push(format!(
            "cluster `{name}`: named by the policy and not rendered: one that Envoy Gateway makes is called \
             httproute/NAMESPACE/NAME/rule/NUMBER, others come by an EnvoyPatchPolicy of yours"
        ));
    }
    for entity in providers::on_loopback(config) {
        warnings.push(format!(
            "`{}`: Envoy Gateway refuses a Backend at a loopback address in a cluster: give the address of a service",
            entity.name
        ));
    }
    for entity in providers::unverified(config) {
        warnings.push(format!(
            "`{}`: TLS to an address: Envoy Gateway cannot be told which address the certificate must have: give a host name",
            entity.name
        ));
    }
    if args.wasm_image.is_none() {
        warnings.push(format!(
            "{}: nothing in these manifests puts it into the proxy's pods: name an image with --wasm-image",
            args.wasm
        ));
    }
    warnings
}
