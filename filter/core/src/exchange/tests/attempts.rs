//! The attempts of a test's exchange, as Envoy makes them: it skips the attempt role on a first attempt that is none of the
//! role's business, and tells a later one how the first one ended.

use std::rc::Rc;

use super::{
    drive::{Received, Stream, lossy, pairs},
    route,
};
use crate::{
    attempt::{Attempt, FAILED_HEADER, Handover, InForce, PLAN},
    gateway::Gateway,
    headers::Headers,
    host::{Effect, Input, Verdict},
    reply::text,
};

/// How an attempt ends.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Status(u16),
    Connect,
    /// After so many milliseconds.
    Reset(u64),
}

impl Stream<'_> {
    /// The next attempt: what the provider receives, and how it fails.
    pub fn attempt(&mut self, outcome: Outcome) -> Received {
        let (mut attempt, received) = self.begin_attempt();
        let host = &self.rig.host;
        let last = match outcome {
            Outcome::Status(status) => {
                let status = status.to_string();
                host.response_headers.replace(Headers::from_pairs([(":status", status.as_bytes())]));
                Input::ResponseHeaders { end: false }
            }
            Outcome::Connect => {
                host.set_property("upstream/transport_failure_reason", b"delayed_connect_error");
                Input::Done
            }
            Outcome::Reset(after_ms) => {
                self.rig.wait_ms(after_ms);
                Input::Done
            }
        };
        if self.attempts == 1 {
            self.failed = Some(match outcome {
                Outcome::Status(status) => format!("{status} 1204"),
                Outcome::Connect => "- 0".into(),
                Outcome::Reset(_) => "- 1204".into(),
            });
        }
        let step = attempt.handle(last, host);
        host.apply(step.effects);
        attempt.handle(Input::Done, host);
        host.properties.borrow_mut().remove("upstream/transport_failure_reason");
        received
    }

    /// An attempt whose end is the test's business.
    pub fn begin_attempt(&mut self) -> (Attempt, Received) {
        self.begin_attempt_of(Attempt::new, Handover::is_first_ours)
    }

    /// Behind an aggregate cluster, where the role is there on each attempt.
    pub fn begin_attempt_by_host(&mut self) -> (Attempt, Received) {
        self.begin_attempt_of(Attempt::by_host, |_| true)
    }

    fn begin_attempt_of(
        &mut self,
        make: impl Fn(Rc<Gateway>, InForce) -> Attempt,
        is_first_ours: impl Fn(&[u8]) -> bool,
    ) -> (Attempt, Received) {
        assert!(self.is_sent(), "the request has not gone");
        self.attempts += 1;
        let host = &self.rig.host;
        host.set_property("upstream/request_attempt_count", &self.attempts.to_le_bytes());
        host.request_body.replace(self.sent.clone());
        match self.rig.is_unpaused && self.attempts == 1 {
            true => route::play_unpaused(host),
            false => route::play(host),
        }
        let mut attempt = make(self.rig.attempts.clone(), self.rig.in_force);
        let steps = [
            Input::RequestHeaders { end: false },
            Input::RequestBody { size: self.sent.len() / 2, end: false },
            Input::RequestBody { size: self.sent.len(), end: true },
        ];
        // Envoy skips the role on a first attempt that it has nothing to do with, and tells the later ones of it.
        let plan = host.properties.borrow().get(PLAN).cloned();
        let is_skipped = plan.is_none_or(|plan| self.attempts == 1 && !is_first_ours(&plan));
        if let Some(failed) = self.failed.clone().filter(|_| !is_skipped) {
            host.apply(vec![Effect::SetRequestHeader(FAILED_HEADER.into(), text(failed))]);
        }
        let mut verdict = Verdict::Continue;
        for input in steps.into_iter().filter(|_| !is_skipped) {
            let step = attempt.handle(input, host);
            if verdict == Verdict::Continue && matches!(input, Input::RequestBody { .. }) {
                // What went on unpaused cannot be replaced any more.
                assert_eq!(step.effects, [], "too late");
            }
            verdict = step.verdict;
            host.apply(step.effects);
        }
        assert_eq!(verdict, Verdict::Continue, "an attempt goes on in the end");
        if !is_skipped {
            host.apply(vec![Effect::RemoveRequestHeader(FAILED_HEADER.into())]);
        }
        let received =
            Received { headers: pairs(&host.request_headers.borrow()), body: lossy(&host.request_body.borrow()) };
        assert_eq!(received.header("content-length"), Some(&*received.body.len().to_string()), "{received:?}");
        (attempt, received)
    }
}
