//! `weir check`: says whether a policy could come into force. Warnings and errors go to standard error, one a line; a
//! summary of a good policy goes to standard output.

use std::{path::PathBuf, process::ExitCode};

use weir_core::{config::Config, lint};

use crate::{
    policy,
    render::{self, EnvoyVersion},
};

/// Check a policy: exit status 0 if it is right, 1 if it is wrong, 2 if it cannot be read
#[derive(clap::Args)]
pub struct Args {
    /// The policy, YAML or JSON; `-` is standard input
    policy: PathBuf,
    /// Say too what the policy needs of an Envoy, and what that one lacks: 1.36 to 1.40
    #[arg(long)]
    envoy_version: Option<EnvoyVersion>,
    /// With --envoy-version: the gateway role has no `allow_on_headers_stop_iteration`
    #[arg(long, requires = "envoy_version")]
    unpaused: bool,
}

pub fn run(args: Args) -> ExitCode {
    match policy::read(&args.policy).and_then(|json| policy::compile(&json)) {
        Ok(compiled) => {
            policy::print_warnings(&compiled.warnings);
            policy::print_warnings(&lint::warnings(&compiled.config));
            println!("{}", summary(&compiled.config));
            if let Some(version) = args.envoy_version {
                let needs = render::needs(&compiled.config, version, args.unpaused);
                needs.lacks.iter().for_each(|lack| eprintln!("warning: {lack}"));
                println!("needs of Envoy {version}: {}", needs.extensions.join(", "));
                if !needs.clusters.is_empty() {
                    println!("needs clusters of your own: {}", needs.clusters.join(", "));
                }
            }
            ExitCode::SUCCESS
        }
        Err(unusable) => {
            unusable.print();
            unusable.exit_code()
        }
    }
}

fn summary(config: &Config) -> String {
    let entities = config.endpoints.iter().map(|endpoint| endpoint.entities.len()).sum();
    let limits = config.endpoints.iter().map(|endpoint| endpoint.limits.entries().len()).sum();
    format!(
        "ok: {}, {}, {} (config_hash {})",
        counted(config.endpoints.len(), "endpoint", "endpoints"),
        counted(entities, "served entity", "served entities"),
        counted(limits, "limit", "limits"),
        config.hash
    )
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
