//! `weir apply`: a policy in, the same policy in force in a running Envoy out, or everything as it was and the reason. It
//! checks, renders, puts the files in place in the order in which each may be used, and hears from Envoy's admin interface
//! what came of each. A wrong policy never touches a file.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use self::{
    admin::Admin,
    change::{Change, Failed},
    folder::Folder,
};
use crate::render::{self, EnvoyArgs, Failure, xds::XdsArgs};

mod admin;
mod change;
pub mod folder;
mod retired;

/// Put a policy in force in a running Envoy: exit status 0 when it is live, 1 if it is wrong or Envoy refused it (then all is as
/// before), 2 for a file or folder that cannot be read or written, 3 if Envoy cannot be reached or does not answer in time
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    envoy: EnvoyArgs,
    #[command(flatten)]
    xds: XdsArgs,
    /// How long each of Envoy's answers may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout_s: u64,
    /// Where Envoy logs: what it says when it refuses is printed
    #[arg(long, value_name = "FILE")]
    envoy_log: Option<PathBuf>,
}

const NOT_LIVE: u8 = 3;

pub fn run(args: &Args) -> ExitCode {
    match apply(args) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(Stopped::Render(failure)) => failure.report(),
        Err(Stopped::Usage(message)) => said(&message, 2),
        Err(Stopped::Refused(message)) => said(&message, 1),
        Err(Stopped::NotLive(message)) => said(&message, NOT_LIVE),
    }
}

enum Stopped {
    Render(Failure),
    Usage(String),
    Refused(String),
    NotLive(String),
}

fn said(message: &str, status: u8) -> ExitCode {
    for line in message.lines() {
        eprintln!("error: {line}");
    }
    ExitCode::from(status)
}

fn apply(args: &Args) -> Result<String, Stopped> {
    let begun = Instant::now();
    let bound = Duration::from_secs(args.timeout_s);
    let rendered = render::dynamic(&args.envoy, &args.xds).map_err(Stopped::Render)?;
    let folder = args.xds.xds_dir.display();
    let lock = Folder::lock(&args.xds.xds_dir, bound)
        .map_err(|error| Stopped::Usage(format!("{folder}: cannot be written: {error}")))?
        .ok_or_else(|| Stopped::NotLive(format!("{folder}: another `weir apply` has been at work for {bound:?}")))?;
    let admin = Admin(args.envoy.admin);
    admin.stats().map_err(|error| {
        let start = format!("weir render envoy {} --xds-dir {folder}", args.envoy.policy.display());
        Stopped::NotLive(format!(
            "no Envoy answers at {} ({error}): nothing was changed; for a first start, `{start}` and `envoy -c \
             {folder}/envoy.json`",
            args.envoy.admin
        ))
    })?;
    let log = args.envoy_log.as_deref().map(change::Log::at_end);
    let (hash, version) = (rendered.hash.clone(), rendered.version.clone());
    let change =
        Change::new(&lock, &admin, rendered, bound).map_err(|error| Stopped::Usage(format!("{folder}: {error}")))?;
    match change.make() {
        Ok(warnings) => {
            warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
            Ok(format!("live: config_hash {hash}, version {version}, after {} ms", begun.elapsed().as_millis()))
        }
        Err(Failed::Refused(why)) => {
            let logged = log.map(|log| log.refusals()).unwrap_or_default();
            Err(Stopped::Refused(format!("Envoy refused it: {why}\n{logged}the policy before stays in force")))
        }
        Err(Failed::NotLive(why)) => Err(Stopped::NotLive(why)),
        Err(Failed::Folder(error)) => Err(Stopped::Usage(format!("{folder}: {error}"))),
    }
}
