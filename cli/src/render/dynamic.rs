//! A policy in, the files of `--xds-dir` out, with the secrets that they hold.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use weir_core::config::{Compiled, MissingSecrets};

use super::{
    Composed, EnvoyArgs, Failure, compose, folder_of, jwt,
    xds::{self, File, Secrets, XdsArgs},
};
use crate::{apply::folder::Folder, policy};

/// All of a folder, not written yet.
pub struct Dynamic {
    /// Of the policy.
    pub hash: String,
    /// Of this rendering of it: Envoy shows it for all that it has taken.
    pub version: String,
    /// In the order in which they take their places.
    pub files: Vec<File>,
}

/// Renders a policy as files.
///
/// # Errors
///
/// A policy that is wrong, a secret that is missing or cannot be sent, a file that cannot be read.
pub fn dynamic(args: &EnvoyArgs, xds: &XdsArgs) -> Result<Dynamic, Failure> {
    let json = policy::read(&args.policy)?;
    let folder = std::path::absolute(&xds.xds_dir).map_err(|error| Failure::Usage(error.to_string()))?;
    let compiled = match &xds.secrets {
        Some(secrets) => with_secrets(&json, secrets)?,
        None => policy::compile(&json)?,
    };
    let Composed { config, mut bootstrap, .. } = compose(args, &json, compiled)?;
    let policy_folder = folder_of(&args.policy).map_err(Failure::Usage)?;
    if let Some(keys) = jwt::read_keys(&config, &policy_folder).map_err(Failure::Usage)? {
        jwt::name_by_keys(&mut bootstrap, &keys);
    }
    let secrets = xds.secrets.as_ref().map(|folder| {
        let named = config.environment.iter();
        named.filter_map(|name| Some((name.clone(), secret(folder, name)?))).collect::<Secrets>()
    });
    let version = version_now(&config.hash);
    let files = xds::files(bootstrap, &folder, &version, secrets.as_ref());
    Ok(Dynamic { hash: config.hash, version, files })
}

fn with_secrets(json: &str, folder: &Path) -> Result<Compiled, Failure> {
    let compiled = policy::compile_with(json, &|name| secret(folder, name), MissingSecrets::Error);
    if compiled.is_err()
        && let Ok(Compiled { config, .. }) = policy::compile(json)
    {
        for name in config.environment.iter().filter(|name| secret(folder, name).is_none()) {
            eprintln!("error: {}: expected a file `{name}` with the secret in it", folder.display());
        }
    }
    Ok(compiled?)
}

/// A version of the policy with this hash that no other rendering has.
pub fn version_now(hash: &str) -> String {
    format!("{}/{hash}", humantime::format_rfc3339_micros(SystemTime::now()))
}

/// Puts all of it in place, and waits for nothing: what to do with it.
pub fn write(args: &EnvoyArgs, xds: &XdsArgs) -> Result<String, Failure> {
    /// For a `weir apply` that is at work.
    const BOUND: Duration = Duration::from_secs(60);
    let dynamic = dynamic(args, xds)?;
    let shown = xds.xds_dir.display();
    let failed = |error: std::io::Error| Failure::Usage(format!("{shown}: cannot be written: {error}"));
    std::fs::create_dir_all(&xds.xds_dir).map_err(failed)?;
    let folder = Folder::lock(&xds.xds_dir, BOUND).map_err(failed)?;
    let folder = folder.ok_or_else(|| Failure::Usage(format!("{shown}: another `weir` is at work on it")))?;
    for file in &dynamic.files {
        folder.write(&file.name, file.content.to_string().as_bytes()).map_err(failed)?;
    }
    Ok(format!("{shown}/{}: start Envoy with it; `weir apply` changes it while it runs\n", xds::BOOTSTRAP))
}

/// A text file's last line end is no part of a secret.
fn secret(folder: &Path, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(folder.join(name)).ok()?;
    Some(text.trim_end_matches(['\r', '\n']).to_owned())
}
