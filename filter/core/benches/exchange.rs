//! Whole exchanges through both roles, on a fake host. Under callgrind (`scripts/instructions.sh`) only what [`measured`]
//! runs is counted, without what the host does ([`answered`]): instructions of Weir's own, which repeat where times do not.
//!
//! Usage: exchange CASE TIMES. Prints how many host calls one exchange makes, by name. `configure` compiles a policy of TIMES
//! endpoints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "exchange_parts/bodies.rs"]
mod bodies;
#[path = "exchange_parts/host.rs"]
mod host;

use std::rc::Rc;

use bodies::{ANSWER, events, many_endpoints, policy, request_body};
use host::CountedHost;
use weir_core::{
    attempt::{Attempt, FAILED_HEADER},
    config::{Config, MissingSecrets},
    exchange::Exchange,
    export::{self, Answer, Exporter},
    gateway::Gateway,
    host::{Effect, Input, Step},
};

const KEY: &str = "bench-key";
const SECOND: u64 = 1_000_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [case, times] = arguments.as_slice() else { return println!("usage: exchange CASE TIMES; CASE of {CASES}") };
    let times: u32 = times.parse().expect("TIMES is a number");
    if case == "configure" {
        return configure(times);
    }
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

const CASES: &str = "plain-1k plain-100k stream-100 translated-1k translated-100k translated-stream-100 fallback refused outside configure";

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

/// A policy of so many endpoints, compiled.
fn configure(endpoints: u32) {
    let document = serde_json::to_vec(&many_endpoints(endpoints)).unwrap();
    let compiled =
        measured(|| Config::from_slice(&document, &|_: &str| Some("provider-key".to_owned()), MissingSecrets::Error));
    let compiled = compiled.expect("the policy is valid");
    assert_eq!(compiled.config.endpoints.len(), endpoints as usize);
    measured(|| drop(compiled));
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
        let gateway = Rc::new(Gateway::new(config, 0, "bench".to_owned()));
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
