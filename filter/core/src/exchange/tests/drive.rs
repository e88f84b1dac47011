//! Envoy, the client and the providers of a test. Both roles run over one host, as in one Envoy: headers that an attempt
//! sets stay for the next one, the body is restored for each.

use std::rc::Rc;

use serde_json::Value;

pub use super::attempts::Outcome;
use crate::{
    attempt::InForce,
    config::{Config, MissingSecrets},
    exchange::Exchange,
    export::{self, RowKind},
    gateway::Gateway,
    headers::Headers,
    host::{Input, Verdict, fake::FakeHost},
    metrics::Metric,
    unpaused::Unpaused,
};

pub use super::policies::*;

pub const OPENAI: &str = "/v1/chat/completions";
pub const DATABRICKS: &str = "/serving-endpoints/chat/invocations";
/// Nanoseconds: 2026-11-21T23:17:57.5Z.
pub const START: u64 = 1_795_303_077_500_000_000;
pub const ANSWER: &str = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":5}}"#;

pub fn compiled(policy: &Value) -> Rc<Gateway> {
    let environment = |name: &str| name.strip_prefix("KEY_").map(|entity| format!("secret-{}", entity.to_lowercase()));
    let compiled = Config::from_slice(policy.to_string().as_bytes(), &environment, MissingSecrets::Error).unwrap();
    Rc::new(Gateway::new(compiled.config, 0, "node-1".into()))
}

/// One worker.
pub struct Rig {
    pub gateway: Rc<Gateway>,
    /// What the attempt role runs with: another one while a reload is under way.
    pub attempts: Rc<Gateway>,
    /// What else the attempt role finds.
    pub in_force: InForce,
    pub host: FakeHost,
    pub is_unpaused: bool,
}

/// Of the gateway.
enum Role {
    Gateway(Exchange),
    Unpaused(Unpaused),
}

impl Rig {
    pub fn new(policy: &Value) -> Self {
        let gateway = compiled(policy);
        let host = FakeHost::default();
        host.now.set(START);
        export::create_key(&host);
        Self { attempts: gateway.clone(), in_force: |_| None, gateway, host, is_unpaused: false }
    }

    /// A request of Alice's, its headers and its body in one piece.
    pub fn chat(&self, path: &str, body: &str) -> Stream<'_> {
        self.send(&[(":path", path), ("authorization", "Bearer alice-key")], body)
    }

    /// The same with the given headers alone; `:method` and the like are added where they are not among them.
    pub fn send(&self, headers: &[(&str, &str)], body: &str) -> Stream<'_> {
        let mut stream = self.open(headers, body.is_empty());
        if !body.is_empty() {
            stream.body(body, true);
        }
        stream
    }

    /// A request's headers.
    pub fn open(&self, headers: &[(&str, &str)], end: bool) -> Stream<'_> {
        self.open_from("192.0.2.1:1234", headers, end)
    }

    pub fn open_from(&self, peer: &str, headers: &[(&str, &str)], end: bool) -> Stream<'_> {
        self.open_with(("source/address", peer), headers, end)
    }

    /// On a connection of which Envoy knows this.
    pub fn open_with(&self, (property, value): (&str, &str), headers: &[(&str, &str)], end: bool) -> Stream<'_> {
        self.host.end_stream();
        self.host.set_property(property, value.as_bytes());
        let defaults = [(":method", "POST"), (":scheme", "http"), (":authority", "ai.example.com"), (":path", OPENAI)];
        let missing = defaults.into_iter().filter(|(name, _)| !headers.iter().any(|(n, _)| n == name));
        let pairs: Vec<_> = missing.chain(headers.iter().copied()).collect();
        let pairs = pairs.iter().map(|(name, value)| (*name, value.as_bytes()));
        self.host.request_headers.replace(Headers::from_pairs(pairs));
        let exchange = match self.is_unpaused {
            false => Role::Gateway(Exchange::new(self.gateway.clone())),
            true => Role::Unpaused(Unpaused::new(self.gateway.clone())),
        };
        let mut stream = Stream {
            rig: self,
            exchange,
            verdict: Verdict::Continue,
            sent: Vec::new(),
            kept: Vec::new(),
            attempts: 0,
            failed: None,
        };
        stream.input(Input::RequestHeaders { end });
        stream
    }

    pub fn wait_ms(&self, ms: u64) {
        self.host.now.set(self.host.now.get() + ms * 1_000_000);
    }

    /// All rows so far, and forgets them.
    pub fn rows(&self) -> Vec<Value> {
        self.host.rows.take().iter().map(|row| serde_json::from_slice(&row.line).unwrap()).collect()
    }

    pub fn kinds(&self) -> Vec<RowKind> {
        self.host.rows.borrow().iter().map(|row| row.kind).collect()
    }

    pub fn counted(&self, metric: Metric) -> u64 {
        self.host.counts.borrow().iter().filter(|(m, _)| *m == metric).map(|(_, count)| count).sum()
    }
}

/// One exchange.
pub struct Stream<'r> {
    pub rig: &'r Rig,
    exchange: Role,
    pub verdict: Verdict,
    /// The body as the gateway role sends it: what Envoy restores for each attempt.
    pub sent: Vec<u8>,
    /// What of the answer is paused.
    kept: Vec<u8>,
    pub attempts: u64,
    /// What Envoy knows of the first attempt, once it has failed: see [`crate::attempt::FAILED_HEADER`].
    pub failed: Option<String>,
}

/// What a provider receives.
#[derive(Debug, PartialEq)]
pub struct Received {
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| &**value)
    }
}

/// What the client gets.
#[derive(Debug, PartialEq)]
pub struct Seen {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| &**value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

impl Stream<'_> {
    pub fn input(&mut self, input: Input) {
        let host = &self.rig.host;
        let step = match &mut self.exchange {
            Role::Gateway(role) => role.handle(input, host),
            Role::Unpaused(role) => role.handle(input, host),
        };
        self.rig.host.apply(step.effects);
        self.verdict = step.verdict;
    }

    /// So much of the body is there; when Weir lets it go, it has gone.
    pub fn body(&mut self, body: &str, end: bool) {
        self.rig.host.request_body.replace(body.as_bytes().to_vec());
        self.input(Input::RequestBody { size: body.len(), end });
        self.sent = self.rig.host.request_body.borrow().clone();
    }

    pub fn trailers(&mut self) {
        self.input(Input::RequestTrailers);
        self.sent = self.rig.host.request_body.borrow().clone();
    }

    /// The engine of `limits_store.rls` answers, or fails with a gRPC status.
    pub fn verdict(&mut self, status: u32, message: &[u8]) {
        self.rig.host.answer.replace(message.to_vec());
        self.input(Input::Answer { status, size: message.len() });
        self.sent = self.rig.host.request_body.borrow().clone();
    }

    /// Weir's own answer.
    pub fn reply(&self) -> Seen {
        let reply = self.rig.host.reply.borrow();
        let reply = reply.as_ref().unwrap_or_else(|| panic!("no reply"));
        let headers = reply.headers.iter().map(|(name, value)| (name.to_string(), lossy(value))).collect();
        assert_eq!(self.verdict, Verdict::Pause, "a reply ends the request");
        Seen { status: reply.status, headers, body: lossy(&reply.body) }
    }

    pub fn is_sent(&self) -> bool {
        self.rig.host.reply.borrow().is_none() && self.verdict == Verdict::Continue
    }

    /// The last attempt's answer, in pieces; a piece that is the last one carries the end.
    pub fn answer(&mut self, headers: &[(&str, &str)], pieces: &[&str]) -> Seen {
        self.answer_headers(headers, pieces.is_empty());
        let mut body = String::new();
        for (at, piece) in pieces.iter().enumerate() {
            body += &self.piece(piece, at + 1 == pieces.len());
        }
        self.seen(body)
    }

    pub fn answer_headers(&mut self, headers: &[(&str, &str)], end: bool) {
        let details = "response/code_details";
        let host = &self.rig.host;
        host.properties.borrow_mut().entry(details.into()).or_insert_with(|| b"via_upstream".to_vec());
        host.response_headers.replace(Headers::from_pairs(headers.iter().map(|(n, v)| (*n, v.as_bytes()))));
        self.input(Input::ResponseHeaders { end });
    }

    /// What the client gets of a piece of the answer. What is paused stays with Envoy, which shows all of it next time.
    pub fn piece(&mut self, piece: &str, end: bool) -> String {
        let host = &self.rig.host;
        let mut buffer = std::mem::take(&mut self.kept);
        buffer.extend_from_slice(piece.as_bytes());
        host.response_chunk.replace(buffer.clone());
        self.input(Input::ResponseBody { size: buffer.len(), end });
        self.passed()
    }

    /// Trailers end the answer: what the client gets of its body then.
    pub fn answer_trailers(&mut self) -> String {
        // What has passed is not there any more.
        self.rig.host.response_chunk.replace(std::mem::take(&mut self.kept));
        let had_body = !self.rig.host.response_chunk.borrow().is_empty();
        self.input(Input::ResponseTrailers);
        if had_body { self.passed() } else { String::new() }
    }

    fn passed(&mut self) -> String {
        let buffer = self.rig.host.response_chunk.take();
        match self.verdict {
            Verdict::Continue => lossy(&buffer),
            Verdict::Pause => {
                self.kept = buffer;
                String::new()
            }
        }
    }

    pub fn seen(&self, body: String) -> Seen {
        let headers = pairs(&self.rig.host.response_headers.borrow());
        let status = headers.iter().find(|(name, _)| name == ":status").unwrap().1.parse().unwrap();
        Seen { status, headers, body }
    }

    /// Envoy's own answer: `code_details` say why.
    pub fn envoy_answers(&mut self, status: &str, code_details: &str) -> Seen {
        self.rig.host.set_property("response/code_details", code_details.as_bytes());
        self.answer(&[(":status", status), ("content-type", "text/plain"), ("content-length", "4")], &["oops"])
    }

    /// A good JSON answer.
    pub fn answered(&mut self) -> Seen {
        let length = ANSWER.len().to_string();
        let headers = [(":status", "200"), ("content-type", "application/json"), ("content-length", &length)];
        self.answer(&headers, &[&ANSWER[..20], &ANSWER[20..]])
    }

    /// The end: exactly one row.
    pub fn row(mut self) -> Value {
        self.input(Input::Log);
        self.input(Input::Done);
        let mut rows = self.rig.rows();
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }
}

pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn pairs(headers: &Headers) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_owned(), lossy(value))).collect()
}
