//! A folder that Envoy watches: `weir render --xds-dir` makes it, `weir apply` changes it, and secrets lie in files beside it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::envoy::{Envoy, Launch, is_unpaused, minor};
use crate::process::dist;

/// What `weir apply` has said.
#[derive(Debug)]
pub struct Applied {
    pub status: i32,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

const XDS: &str = "xds";
const SECRETS: &str = "secrets";

/// The files for an Envoy's first start: the path of its bootstrap.
pub(crate) fn first(launch: &Launch<'_>, port: u16, admin_port: u16) -> PathBuf {
    for (name, value) in launch.environment {
        set_secret(launch.folder, name, value);
    }
    let mut command = Command::new(dist("weir"));
    command.args(["render", "envoy"]).arg(launch.policy).args(arguments(launch.folder, port, admin_port, &[]));
    let output = command.output().expect("dist/weir can be run");
    assert!(output.status.success(), "weir render: {}", String::from_utf8_lossy(&output.stderr));
    launch.folder.join(XDS).join("envoy.json")
}

fn arguments(folder: &Path, port: u16, admin_port: u16, more: &[&str]) -> Vec<String> {
    let mut arguments = vec!["--envoy-version".to_owned(), minor()];
    arguments.extend(is_unpaused().then(|| "--unpaused".to_owned()));
    let flags = ["--listen", "--admin", "--wasm", "--xds-dir", "--secrets"];
    let address = |port| format!("127.0.0.1:{port}");
    let path = |name| folder.join(name).display().to_string();
    let wasm = dist("weir.wasm").display().to_string();
    let values = [address(port), address(admin_port), wasm, path(XDS), path(SECRETS)];
    for (flag, value) in flags.into_iter().zip(values).filter(|(flag, _)| !more.contains(&format!("!{flag}").as_str()))
    {
        arguments.extend([flag.to_owned(), value]);
    }
    arguments.extend(more.iter().filter(|argument| !argument.starts_with('!')).map(|argument| (*argument).to_owned()));
    arguments
}

/// `more`: further arguments; `!--flag` leaves one of the usual ones out.
pub(crate) async fn apply(envoy: &Envoy, policy: &Path, folder: &Path, more: &[&str]) -> Applied {
    let mut command = Command::new(dist("weir"));
    command.arg("apply").arg(policy).args(arguments(folder, envoy.port, envoy.admin_port, more)).env_clear();
    let begun = Instant::now();
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a thread for it");
    let output = output.expect("dist/weir can be run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Applied {
        status: output.status.code().unwrap_or(-1),
        out: text(&output.stdout),
        err: text(&output.stderr),
        took: begun.elapsed(),
    }
}

pub(crate) fn set_secret(folder: &Path, name: &str, value: &str) {
    std::fs::create_dir_all(folder.join(SECRETS)).expect("a folder for secrets");
    std::fs::write(folder.join(SECRETS).join(name), format!("{value}\n")).expect("a secret can be written");
}

/// A secret, unless there is one.
pub(crate) fn first_secret(folder: &Path, name: &str, value: &str) {
    if !folder.join(SECRETS).join(name).exists() {
        set_secret(folder, name, value);
    }
}

/// The files that Envoy watches, by name.
pub fn watched(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(folder.join(XDS)).expect("the folder").map(|entry| entry.expect("a file").path());
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    let mut all: Vec<_> = files.map(|path| (name(&path), std::fs::read(&path).expect("a file's content"))).collect();
    all.sort();
    all
}
