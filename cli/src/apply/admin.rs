//! Envoy's admin interface, as far as `weir apply` asks it: statistics, and why a listener was refused. One request a
//! connection; it never sends anything that changes Envoy.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// What Envoy may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(5);

pub struct Admin(pub SocketAddr);

/// Statistics by name.
#[derive(Debug, Default)]
pub struct Stats(BTreeMap<String, String>);

impl Admin {
    /// Those that tell of configuration.
    pub fn stats(&self) -> io::Result<Stats> {
        const FILTER: &str =
            "version_text%7Cupdate_rejected%7Cupdate_failure%7Cconfig_reload%7Cwarming%7Cconfig_rejected";
        let text = self.get(&format!("/stats?filter={FILTER}"))?;
        let pairs = text.lines().filter_map(|line| line.split_once(": "));
        Ok(Stats(pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()))
    }

    /// What Envoy has against the listener that it was given last.
    pub fn listener_error(&self) -> Option<String> {
        let text = self.get("/config_dump?resource=dynamic_listeners").ok()?;
        let dump: Value = serde_json::from_str(&text).ok()?;
        let listeners = dump["configs"].as_array()?;
        listeners.iter().find_map(|listener| listener["error_state"]["details"].as_str()).map(str::to_owned)
    }

    fn get(&self, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.0, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.0)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        body(&String::from_utf8_lossy(&answer)).ok_or_else(|| io::Error::other("no answer of Envoy's admin interface"))
    }
}

impl Stats {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// 0 where there is none, as for Envoy itself.
    pub fn number(&self, name: &str) -> u64 {
        self.text(name).and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

/// The body of a 200 that is whole.
fn body(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?;
    if status != "200" {
        return None;
    }
    if !head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked") {
        return Some(body.to_owned());
    }
    let (mut rest, mut whole) = (body, String::new());
    loop {
        let (size, chunk) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole.push_str(chunk.get(..size)?);
        rest = chunk.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\na: 1".to_owned(), Some("a: 1")),
            (format!("{chunked}4\r\na: 1\r\n5\r\n\nb: 2\r\n0\r\n\r\n"), Some("a: 1\nb: 2")),
            (format!("{chunked}4\r\na: 1\r\n"), None),
            (format!("{chunked}ff\r\na: 1\r\n0\r\n\r\n"), None),
            ("HTTP/1.1 404 Not Found\r\n\r\n".to_owned(), None),
            ("HTTP/1.1".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(body(&answer).as_deref(), expected, "{answer}");
        }
    }
}
