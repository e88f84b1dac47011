//! A `weir` process on a free port, and two ways to speak to it: whole requests by an HTTP client, raw bytes by a socket. The
//! process is killed when its value is dropped.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No wait in these tests is longer.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Weir {
    pub child: Child,
    pub stdout: BufReader<ChildStdout>,
    pub address: String,
}

/// An answer by the HTTP client.
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// What came over a socket until it ended.
#[derive(Debug)]
pub struct Heard {
    pub head: String,
    /// As on the wire, with the framing of chunks.
    pub body: String,
    pub end: End,
}

#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Closed,
    Reset,
    Silence,
}

impl Heard {
    /// The body without the framing of chunks, and the sizes of the chunks.
    pub fn dechunked(&self) -> (String, Vec<usize>) {
        let (mut text, mut sizes, mut rest) = (String::new(), Vec::new(), self.body.as_str());
        while let Some((size, more)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size, 16).unwrap();
            text += more.get(..size).unwrap_or(more);
            rest = more.get(size + 2..).unwrap_or_default();
            if size > 0 {
                sizes.push(size);
            }
        }
        (text, sizes)
    }
}

impl Weir {
    pub fn start(args: &[&str]) -> Self {
        Self::start_at("http://", args)
    }

    /// Starts a command that says where it serves, after this scheme.
    pub fn start_at(scheme: &str, args: &[&str]) -> Self {
        let mut child = command(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.split_once(scheme).unwrap_or_else(|| panic!("no address in `{line}`")).1;
        let address = address.split_whitespace().next().unwrap().to_owned();
        Self { child, stdout, address }
    }

    /// A mock named `m` on a free port.
    pub fn mock(args: &[&str]) -> Self {
        Self::start(&[&["mock", "--listen", "127.0.0.1:0", "--name", "m"], args].concat())
    }

    pub fn get(&self, path: &str) -> Answer {
        answer(agent().get(format!("http://{}{path}", self.address)).call().unwrap())
    }

    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.post_with(path, &[], body).unwrap()
    }

    pub fn post_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Result<Answer, ureq::Error> {
        let mut request = agent().post(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send(body.as_ref()).map(answer)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Posts a body over a socket and hears what comes until it ends, or until it is silent for `silence`.
    pub fn hear(&self, path: &str, body: &str, silence: Duration) -> Heard {
        self.hear_with(path, &[], body, silence)
    }

    /// The same with headers.
    pub fn hear_with(&self, path: &str, headers: &[(&str, &str)], body: &str, silence: Duration) -> Heard {
        let mut stream = self.connect();
        let length = body.len();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        stream.set_read_timeout(Some(silence)).unwrap();
        heard(&mut stream)
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the process's end and returns its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("still running after {PATIENCE:?}");
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that is expected to end by itself.
pub fn output(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(args).env_remove("WEIR_COLLECT_TOKEN");
    command
}

pub fn heard(stream: &mut TcpStream) -> Heard {
    let mut bytes = Vec::new();
    let mut part = [0; 65_536];
    let end = loop {
        match stream.read(&mut part) {
            Ok(0) => break End::Closed,
            Ok(n) => bytes.extend_from_slice(&part[..n]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break End::Reset,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break End::Silence,
            Err(error) => panic!("{error}"),
        }
    };
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Heard { head: head.to_owned(), body: body.to_owned(), end }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}

fn answer(response: ureq::http::Response<ureq::Body>) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.into_body().read_to_string().unwrap() }
}
