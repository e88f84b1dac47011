//! `weir render istio`: a policy in, manifests of a gateway for Istio on standard output. What Envoy is told is taken from the
//! bootstrap that `weir render envoy` makes, so that both say the same: here it comes as patches of what istiod makes.

use std::{net::SocketAddr, path::PathBuf};

use serde_json::{Value, json};
use weir_core::config::{Compiled, Config};

use self::{code::Code, version::IstioVersion};
use super::{Failure, bootstrap::bootstrap, folder_of, manifest, options::Options};
use crate::policy;

mod code;
mod identity;
mod patches;
mod plugin;
mod providers;
#[cfg(test)]
mod tests;
mod version;
mod workload;

/// Manifests of a gateway in an Istio mesh: exit status 0, 1 if the policy is wrong, 2 if it or another file cannot be read
#[derive(clap::Args)]
pub struct Args {
    /// The policy, YAML or JSON; `-` is standard input. The file that a `jwks_file` in it names is read, relative to its folder
    /// (with `-`, to this one)
    pub policy: PathBuf,
    /// The Istio that it is for: 1.29, 1.30 or 1.31, with or without a patch number
    #[arg(long, default_value = "1.31")]
    istio_version: IstioVersion,
    /// The gateway's namespace, which holds the providers' keys
    #[arg(long, default_value = "weir")]
    namespace: String,
    /// The name of the gateway: its Service, its Deployment, and the label `istio` by which it is selected
    #[arg(long, default_value = "weir")]
    name: String,
    /// Where callers connect to
    #[arg(long, default_value_t = 80)]
    port: u16,
    /// The filter: a path in the gateway's pods, or an oci://, https:// or http:// address from which Istio's agent fetches it
    #[arg(long, default_value = "/etc/weir/weir.wasm", value_parser = code::parse)]
    wasm: Code,
    /// The SHA-256 of what an https:// or http:// address serves
    #[arg(long, value_name = "HEX", value_parser = code::sha256)]
    wasm_sha256: Option<String>,
    /// An image with the filter in it, mounted as a volume at the folder of the path that --wasm names
    #[arg(long, value_name = "IMAGE")]
    wasm_image: Option<String>,
    /// The gateway role as a WasmPlugin, which lets headers go on before the body is there (docs/envoy.md); the rest stays patches
    #[arg(long)]
    wasm_plugin: bool,
    /// The Secret of that namespace with the providers' keys, each under the name of its environment variable
    #[arg(long, default_value = "weir-secrets")]
    secret: String,
    /// Where istiod finds the keys of the policy's `jwt` source; without, the file that `jwks_file` names is rendered
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// The domain of the cluster's own services
    #[arg(long, default_value = "cluster.local")]
    cluster_domain: String,
    /// The access log's file; `none` for what the mesh logs alone
    #[arg(long, value_name = "PATH", default_value = "/dev/stdout")]
    access_log: String,
    /// The whole usage record in each of the access log's lines, also where the policy has `logging`
    #[arg(long)]
    access_log_usage: bool,
}

pub fn render(args: &Args) -> Result<String, Failure> {
    args.wasm.check(args.wasm_sha256.as_deref(), args.wasm_image.as_deref()).map_err(Failure::Usage)?;
    let json = policy::read(&args.policy)?;
    let Compiled { config, warnings } = policy::compile(&json)?;
    policy::print_warnings(&warnings);
    let folder = folder_of(&args.policy).map_err(Failure::Usage)?;
    let keys = identity::read_keys(&config, &folder, args.jwks_uri.as_deref()).map_err(Failure::Usage)?;
    for warning in what_else_is_needed(args, &config) {
        eprintln!("warning: {warning}");
    }
    let documents = manifests(args, &config, &json, folder, keys.as_ref())?;
    manifest::yaml(&documents, &format!("Istio {}, made by `weir render istio`", args.istio_version))
}

fn manifests(
    args: &Args,
    config: &Config,
    json: &str,
    policy_folder: PathBuf,
    keys: Option<&identity::Keys>,
) -> Result<Vec<Value>, Failure> {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = Options {
        listen: nowhere,
        admin: nowhere,
        wasm: args.wasm.path().to_owned(),
        policy_folder,
        access_log: args.access_log.clone(),
        access_log_usage: args.access_log_usage,
        unpaused: args.wasm_plugin,
        ..Options::default()
    };
    let envoy = bootstrap(config, json, &options);
    let mut documents = workload::manifests(args, config);
    documents.push(gateway(args, config));
    documents.push(virtual_service(args, config));
    documents.extend(providers::manifests(args, config));
    documents.extend(keys.map(|keys| identity::request_authentication(args, config, keys)));
    if args.wasm_plugin {
        let policy = serde_json::from_str(json).map_err(|error| Failure::Usage(error.to_string()))?;
        documents.push(plugin::manifest(args, config, &policy));
    }
    documents.push(resource(
        args,
        ("networking.istio.io/v1alpha3", "EnvoyFilter", &args.name),
        json!({
            "workloadSelector": {"labels": selector(args)},
            "configPatches": patches::patches(args, config, &envoy),
        }),
    ));
    Ok(documents)
}

fn resource(args: &Args, kind: (&str, &str, &str), spec: Value) -> Value {
    manifest::resource(&args.namespace, kind, spec)
}

/// The gateway's pods.
fn selector(args: &Args) -> Value {
    json!({"istio": args.name})
}

fn hosts(config: &Config) -> Value {
    if config.scope.hosts.is_empty() { json!(["*"]) } else { json!(config.scope.hosts) }
}

fn gateway(args: &Args, config: &Config) -> Value {
    let server = json!({"port": {"number": args.port, "name": "http", "protocol": "HTTP"}, "hosts": hosts(config)});
    resource(
        args,
        ("networking.istio.io/v1", "Gateway", &args.name),
        json!({"selector": selector(args), "servers": [server]}),
    )
}

/// Gives the hosts a place for routes. Its own one is never reached: the patches put Weir's before it, the last of which takes all.
fn virtual_service(args: &Args, config: &Config) -> Value {
    resource(
        args,
        ("networking.istio.io/v1", "VirtualService", &args.name),
        json!({
            "hosts": hosts(config),
            "gateways": [args.name],
            "http": [{"name": patches::LAST_ROUTE, "directResponse": {"status": 404}}],
        }),
    )
}

/// What the manifests alone do not give; each would show only where they are applied.
fn what_else_is_needed(args: &Args, config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for name in super::clusters::missing(config, &[]) {
        warnings.push(format!(
            "cluster `{name}`: named by the policy and not rendered: one that istiod makes is called outbound|PORT||HOST, others \
             come by an EnvoyFilter of yours"
        ));
    }
    if args.wasm.is_file() && args.wasm_image.is_none() {
        warnings.push(format!(
            "{}: nothing in these manifests puts it into the gateway's pods: name an image with --wasm-image, or an oci:// \
             address with --wasm",
            args.wasm.path()
        ));
    }
    warnings
}
