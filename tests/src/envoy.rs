//! The real Envoy of the version that `WEIR_E2E_ENVOY` names (default 1.40.0): from a policy to a process that is ready, its admin
//! page and its log.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;

use crate::applying;
use crate::bootstrap::Bootstrap;
use crate::client::{Call, Client};
use crate::process::{Process, dist, free_port, poll};
use crate::scripts;

/// A bound for waits: on a machine with ten times more to do than cores, V8 needs most of a minute for the filter.
const READY: Duration = Duration::from_secs(120);

pub struct Envoy {
    pub port: u16,
    pub admin_port: u16,
    admin: Client,
    process: Process,
}

/// What Envoy has made of a changed configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    Accepted,
    Rejected,
}

/// What an Envoy is started with.
pub struct Launch<'a> {
    pub policy: &'a Path,
    pub folder: &'a Path,
    /// Worker threads.
    pub workers: usize,
    /// The process's environment beside the PATH: the policy's secrets.
    pub environment: &'a [(String, String)],
    pub edit: &'a dyn Fn(&mut Bootstrap),
    /// Further arguments of the command line.
    pub arguments: &'a [&'a str],
    /// Listeners and clusters lie in files that [`Envoy::reload`] replaces.
    pub reloads: bool,
    /// A folder made by `weir render --xds-dir` instead, for `weir apply`, with the secrets in files: `edit` has no say.
    pub applied: bool,
    /// Who makes the bootstrap, where it is not `weir render envoy`.
    pub render: Option<&'a Render<'a>>,
}

/// A bootstrap for the listener's port and the admin page's.
pub type Render<'a> = dyn Fn(&Launch<'_>, u16, u16) -> String + 'a;

/// The version under test.
pub fn version() -> String {
    std::env::var("WEIR_E2E_ENVOY").unwrap_or_else(|_| "1.40.0".to_owned())
}

/// Whether the gateway role runs without `allow_on_headers_stop_iteration`: `WEIR_E2E_UNPAUSED`.
pub fn is_unpaused() -> bool {
    std::env::var_os("WEIR_E2E_UNPAUSED").is_some_and(|set| !set.is_empty())
}

impl Envoy {
    /// Renders the policy, edits what came out, starts Envoy with it and waits until it is ready.
    pub async fn start(launch: Launch<'_>) -> Self {
        let (port, admin_port) = (free_port(), free_port());
        let mut bootstrap = Bootstrap::parse(&launch.render.unwrap_or(&render)(&launch, port, admin_port));
        (launch.edit)(&mut bootstrap);
        if launch.reloads {
            let (rest, resources) = bootstrap.into_files(launch.folder);
            resources.write(launch.folder);
            bootstrap = rest;
        }
        let mut config = launch.folder.join("envoy.json");
        if launch.applied {
            config = applying::first(&launch, port, admin_port);
        } else {
            std::fs::write(&config, bootstrap.to_string()).expect("the configuration can be written");
        }
        let environment = if launch.applied { &[] } else { launch.environment };

        let mut command = Command::new(binary());
        // What is rendered works from anywhere.
        command.current_dir("/");
        command.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
        command.arg("--config-path").arg(&config).args([
            "--disable-hot-restart",
            "--log-level",
            "info",
            "--concurrency",
        ]);
        command.arg(launch.workers.to_string()).args(launch.arguments);
        let mut process = Process::start("envoy", &mut command, launch.folder.join("envoy.log"));
        let admin = Client::new(&format!("http://127.0.0.1:{admin_port}"));
        let ready = async || admin.try_send(&Call::get("/ready")).await.is_ok_and(|answer| answer.status == 200);
        // It compiles the filter first: seconds, on a machine that has nothing else to do.
        process.wait_until(READY, ready).await;
        // A control plane may send the listener later.
        let listens = async || TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        process.wait_until(READY, listens).await;
        Self { port, admin_port, admin, process }
    }

    /// Gives a running Envoy another policy, and waits until it is in force or refused.
    pub async fn reload(&self, launch: Launch<'_>) -> Reload {
        let mut bootstrap = Bootstrap::parse(&render(&launch, self.port, self.admin_port));
        (launch.edit)(&mut bootstrap);
        let counts = async || (self.stat(ACCEPTED).await, self.stat(REJECTED).await);
        let before = counts().await;
        bootstrap.into_files(launch.folder).1.write(launch.folder);
        let outcome = async || {
            let now = counts().await;
            let warming = self.stat("listener_manager.total_listeners_warming").await;
            (now != before && warming == 0).then_some(if now.1 > before.1 {
                Reload::Rejected
            } else {
                Reload::Accepted
            })
        };
        let outcome = poll(Duration::from_secs(20), outcome).await;
        outcome.unwrap_or_else(|| panic!("Envoy did not take notice of the new listener\n{}", self.tail()))
    }

    /// Ends it as an operator does, and waits for that.
    pub async fn terminate(&mut self) {
        self.process.terminate(Duration::from_secs(10)).await;
    }

    /// A counter or gauge: by its whole name, or by the end of it after a dot. 0 where there is none, as for Envoy itself.
    pub async fn stat(&self, name: &str) -> u64 {
        let text = self.admin.send(&Call::get("/stats")).await.text();
        let suffix = format!(".{name}");
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(found, _)| *found == name || found.ends_with(&suffix))
            .filter_map(|(_, value)| value.parse::<u64>().ok())
            .sum()
    }

    /// Waits until a counter or gauge has this value; the last one that was seen otherwise.
    pub async fn wait_for_stat(&self, name: &str, value: u64, bound: Duration) -> u64 {
        let reached = poll(bound, async || Some(self.stat(name).await).filter(|found| *found == value)).await;
        match reached {
            Some(value) => value,
            None => self.stat(name).await,
        }
    }

    pub async fn config_dump(&self) -> Value {
        self.admin.send(&Call::get("/config_dump")).await.json()
    }

    pub async fn admin_post(&self, path: &str) -> u16 {
        self.admin.send(&Call::post(path, "")).await.status
    }

    /// What it has logged; the rendered access log among it, where that goes to standard output.
    pub fn log(&self) -> String {
        self.process.log()
    }

    pub fn tail(&self) -> String {
        self.process.tail(40)
    }

    /// Memory that it holds, in bytes.
    pub fn resident(&self) -> u64 {
        self.process.resident()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }
}

const ACCEPTED: &str = "listener_manager.lds.update_success";
const REJECTED: &str = "listener_manager.lds.update_rejected";

/// As `--envoy-version` takes it.
pub(crate) fn minor() -> String {
    version().rsplit_once('.').map(|(minor, _)| minor.to_owned()).expect("a version such as 1.40.0")
}

/// Its executable.
pub fn binary() -> PathBuf {
    match std::env::var_os("WEIR_E2E_ENVOY_BINARY") {
        Some(path) => path.into(),
        None => scripts::output("setup-envoy.sh", &[&version()]).into(),
    }
}

fn render(launch: &Launch<'_>, port: u16, admin_port: u16) -> String {
    let (listen, admin) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{admin_port}"));
    rendered(launch.policy, &["--listen", &listen, "--admin", &admin], launch.environment)
}

/// What `weir render envoy` makes of a policy for the Envoy under test.
pub fn rendered(policy: &Path, more: &[&str], environment: &[(String, String)]) -> String {
    let version = version();
    let mut command = Command::new(dist("weir"));
    command.args(["render", "envoy"]).arg(policy).args(["--envoy-version", &version]).args(more);
    command.args(is_unpaused().then_some("--unpaused"));
    command.arg("--wasm").arg(dist("weir.wasm"));
    // `render` warns about secrets that are missing where Envoy would run.
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let output = command.output().expect("dist/weir can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "weir render refused {}: {said}", policy.display());
    String::from_utf8(output.stdout).expect("YAML in UTF-8")
}
