//! Effects to host calls, in order.

use std::{cell::RefCell, rc::Rc};

use proxy_wasm::types::Action;
use weir_core::{
    export::Exporter,
    gateway::Gateway,
    host::{Effect, Step, Verdict},
    limits::rls::Reports,
    metrics::Metric,
};

use crate::host::EnvoyHost;

/// Where the effects go that outlive their stream.
#[derive(Clone, Debug, Default)]
pub struct Sinks {
    /// `None`: the policy has no collector.
    pub exporter: Option<Rc<RefCell<Exporter>>>,
    /// `None`: limits are counted here.
    pub shared: Option<Shared>,
    pub metrics: Metrics,
    /// The stream's own number.
    pub context: u32,
}

/// An engine counts: who it is, and what it is still to be told.
#[derive(Clone, Debug)]
pub struct Shared {
    pub gateway: Rc<Gateway>,
    pub reports: Rc<RefCell<Reports>>,
}

/// What came of a step.
pub enum Applied {
    Done(Action),
    /// The engine could not be asked.
    Unasked,
}

impl Sinks {
    /// Does what a step says, the verdict last.
    pub fn apply(&self, step: Step, host: &EnvoyHost) -> Applied {
        let mut is_unasked = false;
        for effect in step.effects {
            match effect {
                Effect::Ask(question) => is_unasked |= !self.ask(&question, host),
                effect => self.apply_one(effect, host),
            }
        }
        match step.verdict {
            _ if is_unasked => Applied::Unasked,
            Verdict::Continue => Applied::Done(Action::Continue),
            Verdict::Pause => Applied::Done(Action::Pause),
        }
    }

    fn ask(&self, question: &[u8], host: &EnvoyHost) -> bool {
        let rls = self.shared.as_ref().and_then(|shared| shared.gateway.config.rls.as_ref());
        rls.is_some_and(|rls| host.should_rate_limit(rls, question, rls.timeout_ms).is_some())
    }

    fn apply_one(&self, effect: Effect, host: &EnvoyHost) {
        match effect {
            Effect::SetRequestHeader(name, value) => host.set_request_header(&name, &value),
            Effect::RemoveRequestHeader(name) => host.remove_request_header(&name),
            Effect::RemoveRequestTrailers => host.remove_request_trailers(),
            Effect::ReplaceRequestBody(body) => host.replace_request_body(&body),
            Effect::SetResponseHeader(name, value) => host.set_response_header(&name, &value),
            Effect::RemoveResponseHeader(name) => host.remove_response_header(&name),
            Effect::ReplaceResponseChunk(chunk) => host.replace_response_chunk(&chunk),
            Effect::SetState(key, value) => host.set_state(key, &value),
            Effect::NameContext(key) => host.set_state(key, &self.context.to_le_bytes()),
            Effect::InContext(number, effects) => {
                if host.act_for(number) {
                    effects.into_iter().for_each(|effect| self.apply_one(effect, host));
                    host.act_for(self.context);
                }
            }
            Effect::ForgetRoute => host.forget_route(),
            Effect::Count(metric, count) => self.metrics.add(metric, i64::try_from(count).unwrap_or(i64::MAX), host),
            Effect::Move(metric, offset) => self.metrics.add(metric, offset, host),
            Effect::Warn(line) => log::warn!("{line}"),
            Effect::Report(report) => {
                if let Some(shared) = &self.shared {
                    shared.reports.borrow_mut().push(report);
                }
            }
            // Its answer is the stream's business: see `apply`.
            Effect::Ask(_) => {}
            Effect::Record(row) => {
                if let Some(exporter) = &self.exporter {
                    exporter.borrow_mut().push(row, host);
                    self.report(exporter, host);
                }
            }
            Effect::Reply(reply) => host.reply(&reply),
        }
    }

    /// Brings the metrics of the outbox up to date: at once, since an operator waits for 0 rows before a shutdown.
    pub fn report(&self, exporter: &RefCell<Exporter>, host: &EnvoyHost) {
        let tally = exporter.borrow_mut().take_tally();
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let gone = tally.sent.saturating_add(tally.dropped);
        self.metrics.add(Metric::RecordsQueued, signed(tally.queued).saturating_sub(signed(gone)), host);
        self.metrics.add(Metric::RecordsSent, signed(tally.sent), host);
        self.metrics.add(Metric::RecordsResent, signed(tally.resent), host);
        self.metrics.add(Metric::RecordsDropped, signed(tally.dropped), host);
    }
}

/// The host's number of each metric.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Rc<[(Metric, u32)]>);

impl Metrics {
    pub fn define(host: &EnvoyHost) -> Self {
        let define = |metric: Metric| Some((metric, host.define_metric(metric.name(), metric.is_gauge())?));
        Self(Metric::ALL.into_iter().filter_map(define).collect())
    }

    pub fn add(&self, metric: Metric, offset: i64, host: &EnvoyHost) {
        if let Some(id) = self.id(metric).filter(|_| offset != 0) {
            host.add_to_metric(id, offset);
        }
    }

    pub fn set(&self, metric: Metric, value: u64, host: &EnvoyHost) {
        if let Some(id) = self.id(metric) {
            host.set_metric(id, value);
        }
    }

    fn id(&self, metric: Metric) -> Option<u32> {
        self.0.iter().find(|(defined, _)| *defined == metric).map(|(_, id)| *id)
    }
}
