//! `weir render`: a policy in, a proxy's whole configuration on standard output, made from nothing else. What an operator
//! should know goes to standard error, one line each. Nothing is written where the policy is wrong.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::Value;
use weir_core::config::{Compiled, Config, Source};

pub use self::dynamic::{Dynamic, dynamic, version_now};
pub use self::version::EnvoyVersion;
use self::{bootstrap::bootstrap, options::Options, part::Part, wasm_file::Unfit};
use crate::policy::{self, Unusable};

mod access_log;
mod attempts;
mod bootstrap;
mod breakers;
mod chains;
mod clusters;
mod dynamic;
mod envoy_gateway;
mod filters;
mod istio;
mod jwt;
mod listener;
mod manifest;
mod needs;
mod options;
mod part;
mod ratelimit;
mod routes;
#[cfg(test)]
mod tests;
mod version;
mod wasm;
mod wasm_file;
pub mod xds;

/// Make a proxy's whole configuration from a policy, on standard output
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    target: Target,
    /// The file to write, replaced as a whole by a rename; default: standard output
    #[arg(long, global = true, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Target {
    Envoy(EnvoyCommand),
    Istio(istio::Args),
    EnvoyGateway(envoy_gateway::Args),
    Ratelimit(ratelimit::Args),
}

/// A complete Envoy bootstrap: exit status 0, 1 if the policy is wrong, 2 if it or another file cannot be read. With `--xds-dir` a
/// folder of files that Envoy watches, so that a running Envoy takes a new policy
#[derive(clap::Args)]
struct EnvoyCommand {
    #[command(flatten)]
    envoy: EnvoyArgs,
    /// Not a bootstrap but a part, to merge by hand into an Envoy that there is (docs/existing-envoy.md)
    #[arg(long, value_name = "PART", conflicts_with = "xds_dir")]
    only: Option<Part>,
    #[command(flatten)]
    xds: Option<xds::XdsArgs>,
}

#[derive(clap::Args)]
pub struct EnvoyArgs {
    /// The policy, YAML or JSON; `-` is standard input. A relative `jwks_file` in it is relative to its folder (with `-`, to
    /// this one), and is rendered absolute
    pub policy: PathBuf,
    /// The Envoy that it is for: 1.36, 1.37, 1.38, 1.39 or 1.40, with or without a patch number
    #[arg(long, default_value = "1.40")]
    envoy_version: EnvoyVersion,
    /// For a gateway role without `allow_on_headers_stop_iteration`, which Istio's WasmPlugin and Envoy Gateway's
    /// EnvoyExtensionPolicy do not offer
    #[arg(long)]
    unpaused: bool,
    /// Where callers connect to: IP address and port
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where Envoy's admin interface listens
    #[arg(long, default_value = "127.0.0.1:9901")]
    pub admin: SocketAddr,
    /// The filter, as Envoy finds it: relative to its working directory or absolute
    #[arg(long, default_value = "dist/weir.wasm")]
    wasm: String,
    /// Clusters of your own that the policy names: a file with a list of Envoy's cluster objects, YAML or JSON
    #[arg(long, value_name = "FILE")]
    clusters: Option<PathBuf>,
    /// The access log's file
    #[arg(long, value_name = "PATH", default_value = "/dev/stdout")]
    access_log: String,
    /// The whole usage record in each of the access log's lines, also where the policy has `logging`
    #[arg(long)]
    access_log_usage: bool,
}

pub fn run(args: Args) -> ExitCode {
    let rendered = match args.target {
        Target::Envoy(EnvoyCommand { envoy, only, xds: None }) => render(&envoy, only),
        Target::Envoy(EnvoyCommand { xds: Some(_), .. }) if args.output.is_some() => Err(Failure::Usage(
            "--output: found it beside --xds-dir, expected one of them: that writes its own files".into(),
        )),
        Target::Envoy(EnvoyCommand { envoy, xds: Some(xds), .. }) => dynamic::write(&envoy, &xds),
        Target::Istio(args) => istio::render(&args),
        Target::EnvoyGateway(args) => envoy_gateway::render(&args),
        Target::Ratelimit(args) => render_ratelimit(&args),
    };
    let written = rendered.and_then(|yaml| write(&yaml, args.output.as_deref()).map_err(Failure::Usage));
    written.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

/// Whoever watches the file sees the old one or the new one.
fn write(yaml: &str, output: Option<&Path>) -> Result<(), String> {
    let Some(file) = output else {
        let written = io::stdout().lock().write_all(yaml.as_bytes());
        return written.map_err(|error| format!("standard output: cannot be written: {error}"));
    };
    let new = file.with_extension("tmp");
    let written = std::fs::write(&new, yaml).and_then(|()| std::fs::rename(&new, file));
    written.map_err(|error| format!("{}: cannot be written: {error}", file.display()))
}

/// Why nothing was rendered.
#[derive(Debug)]
pub enum Failure {
    Policy(Unusable),
    /// An engine's configuration, without an engine.
    NoStore,
    /// One line.
    Usage(String),
}

impl Failure {
    /// On standard error.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Policy(unusable) => {
                unusable.print();
                unusable.exit_code()
            }
            Self::NoStore => {
                eprintln!(
                    "error: limits_store: found `local`, expected `rls`: without an engine there is nothing to configure"
                );
                ExitCode::from(1)
            }
            Self::Usage(message) => {
                eprintln!("error: {message}");
                ExitCode::from(2)
            }
        }
    }
}

impl From<Unusable> for Failure {
    fn from(unusable: Unusable) -> Self {
        Self::Policy(unusable)
    }
}

fn render(args: &EnvoyArgs, only: Option<Part>) -> Result<String, Failure> {
    let json = policy::read(&args.policy)?;
    let Composed { config, options, bootstrap } = compose(args, &json, policy::compile(&json)?)?;
    let rendered = only.map_or(bootstrap, |part| part.of(&config, &json, &options));
    let yaml = serde_yaml_ng::to_string(&rendered).map_err(|error| Failure::Usage(error.to_string()))?;
    let part = only.map(|part| format!(" --only {}", part.name())).unwrap_or_default();
    let version = args.envoy_version;
    Ok(format!("# For Envoy {version}, made by `weir render envoy{part}`: change the policy, not this.\n{yaml}"))
}

/// A bootstrap, and what it was made of.
struct Composed {
    config: Config,
    options: Options,
    bootstrap: Value,
}

fn compose(args: &EnvoyArgs, json: &str, compiled: Compiled) -> Result<Composed, Failure> {
    let Compiled { config, warnings } = compiled;
    let clusters = args.clusters.as_deref().map(read_clusters).transpose().map_err(Failure::Usage)?.unwrap_or_default();
    policy::print_warnings(&warnings);
    let policy_folder = folder_of(&args.policy).map_err(Failure::Usage)?;
    let lacks = needs::lacks(&config, args.envoy_version, args.unpaused);
    for warning in what_else_envoy_needs(&config, &clusters, &policy_folder).into_iter().chain(lacks) {
        eprintln!("warning: {warning}");
    }
    let doubled = clusters::doubled(&clusters::clusters(&config, args.envoy_version.chain(), &clusters));
    if !doubled.is_empty() {
        return Err(Failure::Usage(format!(
            "{}: found a second cluster named {}, expected names that are neither there nor made by Weir",
            args.clusters.clone().unwrap_or_default().display(),
            doubled.join(", ")
        )));
    }
    let options = Options {
        version: args.envoy_version,
        unpaused: args.unpaused,
        merged: false,
        listen: args.listen,
        admin: args.admin,
        wasm: args.wasm.clone(),
        policy_folder,
        access_log: args.access_log.clone(),
        access_log_usage: args.access_log_usage,
        clusters,
    };
    examine_wasm(&options.wasm)?;
    let bootstrap = bootstrap(&config, json, &options);
    Ok(Composed { config, options, bootstrap })
}

fn render_ratelimit(args: &ratelimit::Args) -> Result<String, Failure> {
    let json = policy::read(&args.policy)?;
    let Compiled { config, warnings } = policy::compile(&json)?;
    policy::print_warnings(&warnings);
    let rendered = ratelimit::render(args, &config).ok_or(Failure::NoStore)?;
    for warning in rendered.warnings {
        eprintln!("warning: {warning}");
    }
    let yaml = serde_yaml_ng::to_string(&rendered.value).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(format!("# Made by `weir render ratelimit`: change the policy, not this.\n{yaml}"))
}

/// Another version's filter would meet a policy that it does not know: nothing is rendered for it. Of one that is not here,
/// or does not say its version, the operator hears.
fn examine_wasm(wasm: &str) -> Result<(), Failure> {
    match wasm_file::examine(Path::new(wasm)) {
        Ok(()) => Ok(()),
        Err(unfit @ (Unfit::NotHere(_) | Unfit::NotWeirs)) => {
            eprintln!("warning: {wasm}: {unfit}");
            Ok(())
        }
        Err(unfit) => Err(Failure::Usage(format!("{wasm}: {unfit}"))),
    }
}

/// Absolute. Standard input lies in the working directory.
fn folder_of(policy: &Path) -> Result<PathBuf, String> {
    let file = if policy == Path::new("-") { Path::new("policy") } else { policy };
    let file = std::path::absolute(file).map_err(|error| format!("the working directory: cannot be told: {error}"))?;
    Ok(file.parent().unwrap_or(Path::new("/")).to_owned())
}

fn read_clusters(path: &Path) -> Result<Vec<Value>, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    let clusters: Vec<Value> = serde_yaml_ng::from_str(&text)
        .map_err(|error| format!("{shown}: expected a list of Envoy's cluster objects, YAML or JSON: {error}"))?;
    match clusters.iter().position(|cluster| clusters::name_of(cluster).is_none()) {
        Some(index) => Err(format!("{shown}: [{index}]: found no `name`, expected an Envoy cluster object")),
        None => Ok(clusters),
    }
}

/// What a policy asks of Envoy.
pub struct Needs {
    pub extensions: Vec<String>,
    /// Clusters that must be there.
    pub clusters: Vec<String>,
    /// One line each.
    pub lacks: Vec<String>,
}

/// Of an Envoy of `version`, for `weir check`.
pub fn needs(config: &Config, version: EnvoyVersion, unpaused: bool) -> Needs {
    let options = Options { version, unpaused, ..Options::default() };
    Needs {
        extensions: needs::extensions(&bootstrap(config, "{}", &options)),
        clusters: clusters::missing(config, &[]),
        lacks: needs::lacks(config, version, unpaused),
    }
}

/// What the bootstrap alone does not give; each would show only where Envoy runs.
fn what_else_envoy_needs(config: &Config, clusters: &[Value], policy_folder: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    for name in clusters::missing(config, clusters) {
        warnings.push(format!(
            "cluster `{name}`: named by the policy and not rendered: give it with --clusters, or add it to Envoy"
        ));
    }
    let key_files = jwt::sources(config).map(|jwt| jwt::key_file(jwt, policy_folder));
    for file in key_files.filter(|file| !file.is_file()) {
        warnings.push(format!(
            "jwks_file `{}`: not found: Envoy does not start without it (a relative one lies in the policy's folder)",
            file.display()
        ));
    }
    if config.identity.sources.iter().any(|source| matches!(source, Source::Mtls { .. } | Source::Workload { .. })) {
        warnings.push(
            "identity source mtls or workload: the rendered listener is plain text, so no peer has a certificate: add a \
             `transport_socket` with your own to its filter chain"
                .to_owned(),
        );
    }
    warnings
}
