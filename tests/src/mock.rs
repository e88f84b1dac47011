//! A provider: `weir mock` as a process, and what it received.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::client::{Call, Client};
use crate::process::{Process, dist, free_port};

/// A running mock provider. Orders for one request stand in the request's field `mock`, under the mock's name.
pub struct Mock {
    pub name: String,
    pub port: u16,
    client: Client,
    process: Process,
}

/// What OpenAI's API and HTTP define, and the trace: no other header may reach a provider.
pub const DEFINED: [&str; 9] = [
    "accept",
    "accept-encoding",
    "authorization",
    "content-length",
    "content-type",
    "host",
    "traceparent",
    "tracestate",
    "transfer-encoding",
];

/// A request as the provider got it.
#[derive(Clone, Debug)]
pub struct Received(pub Value);

impl Received {
    pub fn path(&self) -> &str {
        self.0["path"].as_str().unwrap_or_default()
    }

    /// All values of a header (name in lower case).
    pub fn header(&self, name: &str) -> Vec<&str> {
        let headers = self.0["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
        headers.iter().filter(|pair| pair[0] == name).filter_map(|pair| pair[1].as_str()).collect()
    }

    pub fn header_names(&self) -> Vec<&str> {
        let headers = self.0["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
        headers.iter().filter_map(|pair| pair[0].as_str()).collect()
    }

    pub fn body(&self) -> &str {
        self.0["body"].as_str().unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap_or_default()
    }

    pub fn body_sha256(&self) -> &str {
        self.0["body_sha256"].as_str().unwrap_or_default()
    }
}

impl Mock {
    /// Starts one with any of its arguments.
    pub async fn with(name: &str, arguments: &[&str], folder: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new(dist("weir"));
        command.args(["mock", "--name", name, "--keep", "4096", "--listen", &format!("127.0.0.1:{port}")]);
        command.args(arguments);
        let mut process = Process::start(name, &mut command, folder.join(format!("mock-{name}.log")));
        let client = Client::new(&format!("http://127.0.0.1:{port}"));
        let healthy = async || client.try_send(&Call::get("/health")).await.is_ok_and(|answer| answer.status == 200);
        process.wait_until(Duration::from_secs(10), healthy).await;
        Self { name: name.to_owned(), port, client, process }
    }

    /// Asks it directly, without the gateway.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How many requests it got.
    pub async fn count(&self) -> u64 {
        self.client.send(&Call::get("/_mock/count")).await.json()["requests"].as_u64().unwrap_or_default()
    }

    /// The requests it got, the newest last; of more than 4096 the last ones.
    pub async fn received(&self) -> Vec<Received> {
        let all = self.client.send(&Call::get("/_mock/requests")).await.json();
        all.as_array().into_iter().flatten().cloned().map(Received).collect()
    }

    pub async fn last(&self) -> Received {
        self.received().await.pop().unwrap_or_else(|| panic!("{} got no request", self.name))
    }

    /// Changes its standing orders.
    pub async fn behave(&self, orders: &Value) {
        let answer = self.client.send(&Call::post("/_mock/behave", orders.to_string())).await;
        assert_eq!(answer.status, 200, "{}: {}", self.name, answer.text());
    }

    pub fn tail(&self) -> String {
        self.process.tail(10)
    }
}
