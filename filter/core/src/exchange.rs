//! One request in the gateway role. [`Exchange::handle`] is the map of the whole filter: what a phase does with what
//! happens next. A phase owns what is known so far; nobody else keeps state.
//!
//! ```text
//! AwaitHeaders ─ not ours ──────────────► Outside   (untouched, unrecorded)
//!      │  └─ one's own limits ─ AwaitLook ─► Outside
//!      │  door, caller, endpoint by path
//!      ├─ refused ──────────────────────► Replied ──────────┐
//!      ▼                                                    │
//! AwaitBody ─ refused ──────────────────► Replied ──────────┤
//!      │ │  endpoint by model, permission, plan, limits     │
//!      │ │ limits_store.rls                                 │
//!      │ ▼                                                  │
//!      │ AwaitVerdict ─ refused ────────► Replied ──────────┤
//!      │ │                                                  │ Log or Done
//!      ▼ ▼                                                  ├────────────► Settled
//! AwaitAnswer ─ client gone ────────────────────────────────┤
//!      │  the last attempt's headers                        │
//!      ▼                                                    │
//! ReadAnswer ─ usage as it passes (LogAnswer: the text too) ┘  settle, record
//! ```

mod answer;
mod body;
mod close;
mod facts;
mod gate;
mod headers;
mod keep;
mod listed;
mod look;
mod own;
mod payload;
mod permission;
mod send;
mod verdict;

use std::rc::Rc;

pub(crate) use own::is_steering;

use crate::{
    gateway::Gateway,
    host::{Effect, Host, Input, Step, Verdict},
    reply::Reply,
};

/// See the module. The configuration stays the one that it began with.
#[derive(Debug)]
pub struct Exchange {
    gateway: Rc<Gateway>,
    /// The attempt role makes the first attempt's request too: see [`crate::unpaused`].
    is_unpaused: bool,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    AwaitHeaders,
    AwaitBody(Box<body::AwaitBody>),
    AwaitVerdict(Box<verdict::AwaitVerdict>),
    AwaitLook(Box<look::AwaitLook>),
    AwaitAnswer(Box<answer::AwaitAnswer>),
    ReadAnswer(Box<answer::ReadAnswer>),
    /// The same, where an inference table takes what the caller sees.
    LogAnswer(Box<answer::ReadAnswer>),
    Replied(Box<close::Replied>),
    Outside,
    Settled,
}

impl Exchange {
    pub fn new(gateway: Rc<Gateway>) -> Self {
        Self { gateway, is_unpaused: false, phase: Phase::AwaitHeaders }
    }

    pub(crate) fn unpaused(gateway: Rc<Gateway>) -> Self {
        Self { is_unpaused: true, ..Self::new(gateway) }
    }

    /// Takes one input. Apply the step's effects in order, its verdict last, before the next input.
    pub fn handle(&mut self, input: Input, host: &impl Host) -> Step {
        let gateway = &*self.gateway;
        let phase = std::mem::replace(&mut self.phase, Phase::Settled);
        let (phase, step) = match (phase, input) {
            (Phase::AwaitHeaders, Input::RequestHeaders { end }) => {
                headers::begin(gateway, self.is_unpaused, end, host)
            }
            (Phase::AwaitBody(phase), Input::RequestBody { size, end }) => phase.body(gateway, size, end, host),
            (Phase::AwaitBody(phase), Input::RequestTrailers) => phase.trailers(gateway, host),
            (Phase::AwaitBody(phase), Input::ResponseHeaders { .. }) => phase.answered_by_envoy(host),
            (Phase::AwaitVerdict(phase), Input::Answer { status, size }) => phase.answered(gateway, status, size, host),
            (Phase::AwaitVerdict(phase), Input::ResponseHeaders { .. }) => phase.answered_by_envoy(host),
            (Phase::AwaitVerdict(phase), Input::Log | Input::Done) => phase.abandoned(gateway, host),
            (Phase::AwaitLook(phase), Input::Answer { status, size }) => phase.answered(gateway, status, size, host),
            // Envoy has ended it, or the client: it is not recorded.
            (Phase::AwaitLook(_), Input::ResponseHeaders { .. } | Input::Log | Input::Done) => {
                (Phase::Outside, Step::default())
            }
            (phase @ (Phase::AwaitVerdict(_) | Phase::AwaitLook(_)), _) => (phase, Step::wait()),
            (Phase::AwaitAnswer(phase), Input::ResponseHeaders { end }) => {
                keep::begun(phase.headers(gateway, end, host), host)
            }
            (Phase::ReadAnswer(phase), Input::ResponseBody { size, end }) => phase.body(size, end, host),
            (Phase::ReadAnswer(phase), Input::ResponseTrailers) => phase.trailers(host),
            (Phase::LogAnswer(phase), Input::ResponseBody { size, end }) => {
                keep::passed(phase.body(size, end, host), size, end, host)
            }
            (Phase::LogAnswer(phase), Input::ResponseTrailers) => keep::passed(phase.trailers(host), 0, true, host),
            (Phase::AwaitBody(phase), Input::Log | Input::Done) => phase.abandoned(gateway, host),
            (Phase::AwaitAnswer(phase), Input::Log | Input::Done) => phase.abandoned(gateway, host),
            (Phase::ReadAnswer(phase) | Phase::LogAnswer(phase), Input::Log | Input::Done) => {
                phase.close(gateway, host)
            }
            (Phase::Replied(phase), Input::Log | Input::Done) => phase.close(gateway, host),
            // Of a refused request nothing goes on, whatever of it still comes.
            (phase @ Phase::Replied(_), Input::RequestBody { .. } | Input::RequestTrailers) => (phase, Step::wait()),
            // Nobody waits for it any more: there is nothing to resume.
            (phase, Input::Answer { .. }) => (phase, Step::wait()),
            (phase, _) => (phase, Step::default()),
        };
        self.phase = phase;
        step
    }
}

impl Step {
    fn next(effects: Vec<Effect>) -> Self {
        Self { effects, verdict: Verdict::Continue }
    }

    pub(crate) fn wait() -> Self {
        Self { effects: Vec::new(), verdict: Verdict::Pause }
    }

    /// The reply ends the request: nothing of it goes on.
    fn reply(reply: Reply) -> Self {
        Self { effects: vec![Effect::Reply(reply)], verdict: Verdict::Pause }
    }
}

#[cfg(test)]
pub(crate) mod tests;
