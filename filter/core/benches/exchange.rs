//! Whole exchanges through both roles, on a fake host. Under callgrind (`scripts/instructions.sh`) only what [`measured`]
//! runs is counted, without what the host does ([`answered`]): instructions of Weir's own, which repeat where times do not.
//!
//! Usage: exchange CASE TIMES. Prints how many host calls one exchange makes, by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use weir_core::{
    attempt::{Attempt, FAILED_HEADER},
    config::{Config, MissingSecrets},
    exchange::Exchange,
    export::{self, Answer, Exporter},
    gateway::Gateway,
    headers::Headers,
    host::{Cas, CasMismatch, Effect, Host, Input, SharedData, Step, fake::FakeHost},
};

const KEY: &str = "bench-key";
const SECOND: u64 = 1_000_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [case, times] = arguments.as_slice() else { return println!("usage: exchange CASE TIMES; CASE of {CASES}") };
    let times: u32 = times.parse().expect("TIMES is a number");
    let mut rig = Rig::new(case == "refused");
    for _ in 0..times {
        rig.exchange(case);
        rig.host.advance(SECOND / 100);
    }
    rig.flush();
    for (name, calls) in rig.host.tally(times) {
        println!("{calls:8.2} {name}");
    }
}

const CASES: &str =
    "plain-1k plain-100k stream-100 translated-1k translated-100k translated-stream-100 fallback refused outside";

/// Counted.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    std::hint::black_box(work())
}

/// Not counted: what Envoy does for a call. Callgrind is toggled by entering and leaving, so never outside of [`measured`].
#[inline(never)]
fn answered<T>(call: impl FnOnce() -> T) -> T {
    std::hint::black_box(call())
}

/// One worker: both roles, and the outbox.
struct Rig {
    gateway: Rc<Gateway>,
    exporter: Exporter,
    host: CountedHost,
}

impl Rig {
    fn new(refuses: bool) -> Self {
        let document = serde_json::to_vec(&policy(if refuses { 0 } else { 1_000_000_000_000 })).unwrap();
        let secret = |_: &str| Some("provider-key".to_owned());
        let config = Config::from_slice(&document, &secret, MissingSecrets::Error).expect("the policy is valid").config;
        let host = CountedHost::default();
        host.advance(1_800_000_000 * SECOND);
        // Straight to the fake: `answered` stands for "not counted" only inside of `measured`.
        export::create_key(&host.fake);
        let gateway = Rc::new(Gateway { config, delivery: [0; 32], node: "bench".to_owned() });
        let exporter = Exporter::new(gateway.clone()).expect("the policy has a collector");
        Self { gateway, exporter, host }
    }

    fn exchange(&mut self, case: &str) {
        let stream = case.ends_with("stream-100");
        let size = if case.ends_with("-100k") { 100 << 10 } else { 1 << 10 };
        // Anthropic's messages over a provider that speaks chat completions.
        let is_translated = case.starts_with("translated");
        let path = match case {
            "outside" => "/somewhere/else",
            _ if is_translated => "/v1/messages",
            _ => "/v1/chat/completions",
        };
        let body = request_body(size, stream);
        self.host.request(path, &body);
        let mut exchange = measured(|| Exchange::new(self.gateway.clone()));
        self.gateway_step(&mut exchange, Input::RequestHeaders { end: false });
        self.gateway_step(&mut exchange, Input::RequestBody { size: body.len(), end: true });
        if case == "refused" {
            self.gateway_step(&mut exchange, Input::ResponseHeaders { end: false });
        } else if is_translated {
            self.translated(&mut exchange, body.len(), stream);
        } else {
            // Envoy skips the role on a first attempt that is in the caller's own API.
            if case == "fallback" {
                self.second_attempt(body.len());
            }
            self.answer(&mut exchange, stream);
        }
        self.gateway_step(&mut exchange, Input::Log);
        self.gateway_step(&mut exchange, Input::Done);
        measured(|| drop(exchange));
    }

    /// After a first one that was answered 503.
    fn second_attempt(&mut self, size: usize) {
        self.host.fake.set_property("upstream/request_attempt_count", &2u64.to_le_bytes());
        self.host.fake.apply(vec![Effect::SetRequestHeader(FAILED_HEADER.into(), b"503 1204".as_slice().into())]);
        self.host.response("200", "application/json");
        let mut attempt = measured(|| Attempt::new(self.gateway.clone(), |_| None));
        let headers = Input::ResponseHeaders { end: false };
        for input in
            [Input::RequestHeaders { end: false }, Input::RequestBody { size, end: true }, headers, Input::Done]
        {
            self.attempt_step(&mut attempt, input);
        }
        measured(|| drop(attempt));
    }

    /// The attempt translates the request and each piece of the answer, before the gateway role sees it.
    fn translated(&mut self, exchange: &mut Exchange, size: usize, stream: bool) {
        self.host.fake.set_property("upstream/request_attempt_count", &1u64.to_le_bytes());
        let mut attempt = measured(|| Attempt::new(self.gateway.clone(), |_| None));
        self.attempt_step(&mut attempt, Input::RequestHeaders { end: false });
        self.attempt_step(&mut attempt, Input::RequestBody { size, end: true });
        self.host.response("200", if stream { "text/event-stream" } else { "application/json" });
        self.attempt_step(&mut attempt, Input::ResponseHeaders { end: false });
        self.gateway_step(exchange, Input::ResponseHeaders { end: false });
        let pieces = if stream { events() } else { vec![ANSWER.as_bytes().to_vec()] };
        let last = pieces.len() - 1;
        for (index, piece) in pieces.into_iter().enumerate() {
            let (size, end) = (piece.len(), index == last);
            *self.host.fake.response_chunk.borrow_mut() = piece;
            self.attempt_step(&mut attempt, Input::ResponseBody { size, end });
            let size = self.host.fake.response_chunk.borrow().len();
            self.gateway_step(exchange, Input::ResponseBody { size, end });
        }
        self.attempt_step(&mut attempt, Input::Done);
        measured(|| drop(attempt));
    }

    fn attempt_step(&mut self, attempt: &mut Attempt, input: Input) {
        let step = measured(|| attempt.handle(input, &self.host));
        self.apply(step);
    }

    fn answer(&mut self, exchange: &mut Exchange, stream: bool) {
        self.host.response("200", if stream { "text/event-stream" } else { "application/json" });
        self.gateway_step(exchange, Input::ResponseHeaders { end: false });
        let pieces = if stream { events() } else { vec![ANSWER.as_bytes().to_vec()] };
        let last = pieces.len() - 1;
        for (index, piece) in pieces.into_iter().enumerate() {
            let size = piece.len();
            *self.host.fake.response_chunk.borrow_mut() = piece;
            self.gateway_step(exchange, Input::ResponseBody { size, end: index == last });
        }
    }

    fn gateway_step(&mut self, exchange: &mut Exchange, input: Input) {
        let step = measured(|| exchange.handle(input, &self.host));
        self.apply(step);
    }

    /// As the filter does; each effect is a host call, but for a row.
    fn apply(&mut self, step: Step) {
        for effect in step.effects {
            self.host.count(name_of(&effect));
            match effect {
                Effect::SetState(key, value) => {
                    self.host.fake.set_property(key, &value);
                    measured(|| drop(value));
                }
                Effect::Record(row) => measured(|| self.exporter.push(row, &self.host)),
                effect => measured(|| drop(effect)),
            }
        }
    }

    /// Sends what is in the outbox.
    fn flush(&mut self) {
        self.host.advance(2 * SECOND);
        while let Some(post) = measured(|| self.exporter.tick(&self.host)) {
            let accepted = Answer { status: Some(200), ..Answer::default() };
            measured(|| self.exporter.answered(&accepted, &self.host));
            drop(post);
        }
    }
}

fn name_of(effect: &Effect) -> &'static str {
    match effect {
        Effect::SetRequestHeader(..) => "set request header",
        Effect::RemoveRequestHeader(_) => "remove request header",
        Effect::RemoveRequestTrailers => "remove request trailers",
        Effect::ReplaceRequestBody(_) => "replace request body",
        Effect::SetResponseHeader(..) => "set response header",
        Effect::RemoveResponseHeader(_) => "remove response header",
        Effect::ReplaceResponseChunk(_) => "replace response chunk",
        Effect::SetState(..) | Effect::NameContext(_) => "set filter state",
        Effect::Count(..) | Effect::Move(..) => "add to metric",
        Effect::Warn(_) => "log",
        Effect::Ask(_) => "callout",
        Effect::Report(_) => "(report to the outbox)",
        Effect::Record(_) => "(row to the outbox)",
        Effect::InContext(..) | Effect::ForgetRoute | Effect::Reply(_) => "reply",
    }
}

/// A [`FakeHost`] whose own work is not counted.
#[derive(Default)]
struct CountedHost {
    fake: FakeHost,
    calls: RefCell<BTreeMap<&'static str, u32>>,
}

impl CountedHost {
    fn advance(&self, nanos: u64) {
        self.fake.now.set(self.fake.now.get() + nanos);
    }

    /// What wrk and Envoy send.
    fn request(&self, path: &str, body: &[u8]) {
        let length = body.len().to_string();
        let bearer = format!("Bearer {KEY}");
        let pairs = [
            (":authority", "ai.example.com:8080"),
            (":path", path),
            (":method", "POST"),
            (":scheme", "http"),
            ("content-type", "application/json"),
            ("authorization", &bearer),
            ("content-length", &length),
            ("user-agent", "OpenAI/Python 1.99.0"),
            ("accept", "application/json"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "http"),
            ("x-envoy-internal", "true"),
            ("x-request-id", "3f0c4d54-5c1c-4c56-9b8b-5f0a3f0f8f11"),
        ];
        *self.fake.request_headers.borrow_mut() = headers(&pairs);
        *self.fake.request_body.borrow_mut() = body.to_vec();
        self.fake.properties.borrow_mut().clear();
    }

    fn response(&self, status: &str, content_type: &str) {
        let pairs = [
            (":status", status),
            ("content-type", content_type),
            ("content-length", "503"),
            ("date", "Sun, 22 Nov 2026 00:00:00 GMT"),
            ("x-ratelimit-remaining-requests", "4999"),
            ("x-ratelimit-remaining-tokens", "3999990"),
            ("x-envoy-upstream-service-time", "3"),
        ];
        *self.fake.response_headers.borrow_mut() = headers(&pairs);
        self.fake.set_property("response/code_details", b"via_upstream");
    }

    fn count(&self, name: &'static str) {
        *self.calls.borrow_mut().entry(name).or_default() += 1;
    }

    fn tally(&self, times: u32) -> impl Iterator<Item = (&'static str, f64)> {
        self.calls.take().into_iter().map(move |(name, calls)| (name, f64::from(calls) / f64::from(times)))
    }
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    Headers::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_bytes())))
}

/// Counts the call by `$name`, and lets the fake answer it.
macro_rules! call {
    ($self:ident, $name:literal, $($call:tt)*) => {
        answered(|| {
            $self.count($name);
            $self.fake.$($call)*
        })
    };
}

impl SharedData for CountedHost {
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        call!(self, "get shared data", load(key))
    }

    fn store(&self, key: &str, value: &[u8], cas: Cas) -> Result<(), CasMismatch> {
        call!(self, "set shared data", store(key, value, cas))
    }

    fn create(&self, key: &str, value: &[u8]) -> Result<(), CasMismatch> {
        call!(self, "set shared data", create(key, value))
    }
}

impl Host for CountedHost {
    fn now(&self) -> u64 {
        call!(self, "get time", now())
    }

    /// No host call: the filter has a generator of its own.
    fn random(&self) -> u64 {
        answered(|| self.fake.random())
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        call!(self, "get property", property(path))
    }

    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        call!(self, "get request header", request_header(name))
    }

    fn request_headers(&self) -> Headers {
        call!(self, "get all request headers", request_headers())
    }

    fn request_body(&self, size: usize) -> Vec<u8> {
        call!(self, "get request body", request_body(size))
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        call!(self, "get response header", response_header(name))
    }

    fn response_headers(&self) -> Headers {
        call!(self, "get all response headers", response_headers())
    }

    fn response_chunk(&self, size: usize) -> Vec<u8> {
        call!(self, "get response chunk", response_chunk(size))
    }

    fn answer(&self, size: usize) -> Vec<u8> {
        call!(self, "get callout's answer", answer(size))
    }
}

/// Limits at all four scopes, a split, fallback, records: what `make bench` calls the default policy.
fn policy(calls: u64) -> Value {
    let digest = Sha256::digest(KEY).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let entity = |name: &str| {
        let openai = json!({"openai_api_key": "{{secrets/bench/key}}", "openai_api_base": "http://127.0.0.1:9911/v1"});
        let model =
            json!({"provider": "openai", "name": "gpt-4o-mini", "task": "llm/v1/chat", "openai_config": openai});
        json!({"name": name, "external_model": model})
    };
    json!({
        "account_id": "bench", "workspace_id": "bench",
        "identity": {"sources": [{"api_keys": [{"sha256": digest, "user": "alice@example.com", "groups": ["research"]}]}]},
        "logging": {"url": "http://127.0.0.1:9902/v1/records"},
        "endpoints": [{
            "name": "chat",
            "config": {
                "served_entities": [entity("primary"), entity("backup")],
                "traffic_config": {"routes": [
                    {"served_entity_name": "primary", "traffic_percentage": 90},
                    {"served_entity_name": "backup", "traffic_percentage": 10},
                ]},
            },
            "ai_gateway": {
                "fallback_config": {"enabled": true},
                "usage_tracking_config": {"enabled": true},
                "rate_limits": [
                    {"key": "endpoint", "calls": calls, "renewal_period": "minute"},
                    {"key": "user", "calls": 1_000_000_000_000u64, "tokens": 1_000_000_000_000u64, "renewal_period": "minute"},
                    {"key": "user", "principal": "alice@example.com", "calls": 1_000_000_000_000u64, "renewal_period": "minute"},
                    {"key": "user_group", "principal": "research", "tokens": 1_000_000_000_000u64, "renewal_period": "minute"},
                ],
            },
        }],
    })
}

fn request_body(size: usize, stream: bool) -> Vec<u8> {
    let text =
        |length: usize| "What a weir holds back, and lets pass. ".chars().cycle().take(length).collect::<String>();
    let body = |length: usize| {
        let content = text(length);
        let options = if stream { r#""stream":true,"# } else { "" };
        format!(r#"{{"model":"chat",{options}"messages":[{{"role":"user","content":"{content}"}}]}}"#)
    };
    body(size - body(0).len()).into_bytes()
}

const ANSWER: &str = r#"{"id":"chatcmpl-8d34c0a5","object":"chat.completion","created":1750000000,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"Hello from primary: a weir measures the stream and holds it to what its bed can carry each day."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":171,"completion_tokens":19,"total_tokens":190,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}},"system_fingerprint":"fp_weir"}"#;

/// A hundred chunks of content, the usage chunk and `[DONE]`, one event in each piece.
fn events() -> Vec<Vec<u8>> {
    let event = |choices: &str, usage: &str| {
        let chunk =
            r#""id":"chatcmpl-8d34c0a5","object":"chat.completion.chunk","created":1750000000,"model":"gpt-4o-mini""#;
        format!("data: {{{chunk},\"choices\":[{choices}],\"usage\":{usage}}}\n\n").into_bytes()
    };
    let choice = r#"{"index":0,"delta":{"content":" stream"},"logprobs":null,"finish_reason":null}"#;
    let mut events = vec![event(choice, "null"); 100];
    events.push(event(r#"{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}"#, "null"));
    events.push(event("", r#"{"prompt_tokens":171,"completion_tokens":100,"total_tokens":271}"#));
    events.push(b"data: [DONE]\n\n".to_vec());
    events
}
