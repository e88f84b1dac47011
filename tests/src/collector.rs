//! The collector: `weir collect` as a process, and the rows that it has written. It can be killed and started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::client::{Call, Client};
use crate::process::{Process, dist, free_port, poll};

/// How long a record may take to arrive: it leaves within the policy's `flush_interval_ms`.
const ARRIVAL: Duration = Duration::from_secs(15);

pub struct Collector {
    pub port: u16,
    pub folder: PathBuf,
    /// Lines as they came, which most tests look at, or Delta tables.
    format: &'static str,
    log: PathBuf,
    process: Option<Process>,
}

impl Collector {
    /// Where its rows are, in a rig's folder.
    pub const FOLDER: &str = "records";

    pub async fn start(folder: &Path, format: &'static str) -> Self {
        let (port, log) = (free_port(), folder.join("collector.log"));
        let mut collector = Self { port, folder: folder.join(Self::FOLDER), format, log, process: None };
        collector.restart().await;
        collector
    }

    /// Kills it (SIGKILL): nothing that it was about to do is done.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port and folder.
    pub async fn restart(&mut self) {
        let mut command = Command::new(dist("weir"));
        command.args(["collect", "--listen", &format!("127.0.0.1:{}", self.port), "--format", self.format]);
        command.args(["--commit-every", "100ms", "--compact-every", "700ms", "--out"]).arg(&self.folder);
        let mut process = Process::start("collector", &mut command, self.log.clone());
        let port = self.port;
        let listening = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        process.wait_until(Duration::from_secs(10), listening).await;
        self.process = Some(process);
    }

    /// Every line of a table as it was received, in order: `{"table", "schema_version", "row", "detail"}`.
    pub fn lines(&self, table: &str) -> Vec<Value> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.folder.join(table))
            .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
            .unwrap_or_default();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
        files.sort();
        let text: String = files.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The usage records, once there are `n` of them; panics when there are fewer after 15 s, or more.
    pub async fn usage(&self, n: usize) -> Vec<Value> {
        self.wait_for("endpoint_usage", n, ARRIVAL).await
    }

    pub async fn wait_for(&self, table: &str, n: usize, bound: Duration) -> Vec<Value> {
        let enough = async || Some(self.lines(table)).filter(|lines| lines.len() >= n);
        let lines = poll(bound, enough).await.unwrap_or_else(|| self.lines(table));
        assert_eq!(lines.len(), n, "rows in {table} after at most {bound:?}; the last one: {:?}", lines.last());
        lines
    }

    /// How it does, by its own word: `/v1/stats`.
    pub async fn stats(&self) -> Value {
        let client = Client::new(&format!("http://127.0.0.1:{}", self.port));
        client.send(&Call::get("/v1/stats")).await.json()
    }

    /// Waits until there is nothing that its tables lack.
    pub async fn settled(&self) {
        let empty = async || Some(self.stats().await).filter(|stats| stats["tables"]["journal_bytes"] == 0);
        // Tables are opened and files put together first, each with its syncs.
        let bound = ARRIVAL * 4;
        poll(bound, empty).await.unwrap_or_else(|| panic!("the tables lack rows after {bound:?}"));
    }

    pub fn tail(&self) -> String {
        self.process.as_ref().map(|process| process.tail(10)).unwrap_or_default()
    }
}
