//! Engines of the rate limit protocol, each a process on a port of its own that a test can end and start again: one on the
//! limitador crate, and envoyproxy/ratelimit with Redis. A TCP proxy in front of one adds latency.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::policy::{Endpoint, Policy};
use crate::process::{Process, dist, free_port};
use crate::rig::Addresses;
use crate::scripts;

const READY: Duration = Duration::from_secs(20);

/// A server that listens on `port` while its process runs.
pub struct Engine {
    pub port: u16,
    name: &'static str,
    command: Box<dyn Fn() -> Command + Send>,
    log: PathBuf,
    process: Option<Process>,
}

impl Engine {
    /// On the limitador crate, in memory; it goes by the limits that Weir sends along.
    pub async fn limitador(folder: &Path) -> Self {
        Self::limitador_with(folder, None).await
    }

    /// As Limitador's own server, which goes by what `weir render ratelimit` makes of a policy.
    pub async fn limitador_by_file(folder: &Path, policy: &Path) -> Self {
        let limits = folder.join("limits.yaml");
        std::fs::write(&limits, rendered("limitador", policy)).expect("the engine's configuration");
        Self::limitador_with(folder, Some(limits)).await
    }

    async fn limitador_with(folder: &Path, limits: Option<PathBuf>) -> Self {
        let (binary, port) = (scripts::output("setup-limitador.sh", &[]), free_port());
        let command = move || {
            let mut command = Command::new(&binary);
            command.arg(port.to_string()).args(&limits);
            command
        };
        Self::start("limitador", port, folder, command).await
    }

    pub async fn redis(folder: &Path) -> Self {
        let (binary, port) = (scripts::output("setup-redis.sh", &[]), free_port());
        let command = move || {
            let mut command = Command::new(&binary);
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
            command
        };
        Self::start("redis", port, folder, command).await
    }

    /// envoyproxy/ratelimit with what `weir render ratelimit` makes of a policy. `None` where there is no Go to build it.
    pub async fn ratelimit(folder: &Path, redis: &Self, policy: &Path) -> Option<Self> {
        let binary = Some(scripts::output("setup-ratelimit.sh", &[])).filter(|binary| !binary.is_empty())?;
        let config = folder.join("runtime/ratelimit/config");
        std::fs::create_dir_all(&config).expect("a folder");
        std::fs::write(config.join("weir.yaml"), rendered("envoyproxy", policy)).expect("the engine's configuration");
        let (port, root, redis) = (free_port(), folder.join("runtime"), format!("127.0.0.1:{}", redis.port));
        let others = [free_port(), free_port()].map(|port| port.to_string());
        let command = move || {
            let mut command = Command::new(&binary);
            command.env_clear().env("RUNTIME_ROOT", &root).envs([
                ("RUNTIME_SUBDIRECTORY", "ratelimit"),
                ("RUNTIME_WATCH_ROOT", "false"),
                ("USE_STATSD", "false"),
                ("REDIS_SOCKET_TYPE", "tcp"),
                ("REDIS_URL", &redis),
                ("HOST", "127.0.0.1"),
                ("PORT", &others[0]),
                ("DEBUG_HOST", "127.0.0.1"),
                ("DEBUG_PORT", &others[1]),
                ("GRPC_HOST", "127.0.0.1"),
                ("GRPC_PORT", &port.to_string()),
            ]);
            command
        };
        Some(Self::start("ratelimit", port, folder, command).await)
    }

    async fn start(
        name: &'static str,
        port: u16,
        folder: &Path,
        command: impl Fn() -> Command + Send + 'static,
    ) -> Self {
        let log = folder.join(format!("{name}.log"));
        let mut engine = Self { port, name, command: Box::new(command), log, process: None };
        engine.restart().await;
        engine
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    pub async fn restart(&mut self) {
        self.kill();
        let mut process = Process::start(self.name, &mut (self.command)(), self.log.clone());
        let port = self.port;
        process.wait_until(READY, async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        self.process = Some(process);
    }
}

/// A policy with these limits on endpoint `chat`, in a file, for [`Engine::ratelimit`] and [`Engine::limitador_by_file`]: what an
/// engine is given is the limits alone.
pub fn policy_file(folder: &Path, limits: &[Value]) -> PathBuf {
    let endpoint = limits.iter().cloned().fold(Endpoint::new("chat"), Endpoint::limit);
    let mut policy = Policy::new(&Addresses::default())
        .set("/limits_store", json!({"rls": {"cluster": "engine"}}))
        .endpoint(
            endpoint
                .set("/config/traffic_config/routes", json!([{"served_entity_name": "a", "traffic_percentage": 100}])),
        )
        .0;
    policy["endpoints"][0]["config"]["served_entities"] = json!([{"name": "a", "external_model": {
        "provider": "openai", "name": "m", "task": "llm/v1/chat", "openai_config": {"openai_api_key": "{{secrets/e2e/a}}"},
    }}]);
    policy.as_object_mut().expect("an object").remove("logging");
    let file = folder.join("policy.json");
    std::fs::write(&file, policy.to_string()).expect("the policy can be written");
    file
}

/// What `weir render ratelimit` makes of a policy.
fn rendered(engine: &str, policy: &Path) -> Vec<u8> {
    let rendered = Command::new(dist("weir")).args(["render", "ratelimit", engine]).arg(policy).output();
    let rendered = rendered.expect("weir runs");
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    rendered.stdout
}

/// A TCP proxy in front of a port, which holds every piece back for so long, on its way there and back. Its port.
pub async fn delayed(port: u16, delay: Duration) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let own = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(pass(near_in, far_out, delay));
            tokio::spawn(pass(far_in, near_out, delay));
        }
    });
    own
}

/// Pieces go one behind the other, each so long after it came: a line of them is not slower than one.
async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin + Send + 'static,
    delay: Duration,
) {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<(tokio::time::Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((at, piece)) = receiver.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        let _ = sender.send((tokio::time::Instant::now() + delay, buffer[..size].to_vec()));
    }
}
