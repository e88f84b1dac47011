//! `limits_store.rls`: limits that a fleet shares, counted by an engine that speaks the Envoy rate limit protocol
//! (`envoy.service.ratelimit.v3`). The counters that apply go in, a request's bytes come out; the engine's answer goes in, the
//! same verdict comes out as from the local ledger. It sends nothing itself. `docs/limits.md` says what an engine cannot do.

mod answer;
mod circuit;
mod descriptor;
pub mod look;
mod reports;

#[cfg(test)]
mod tests;

pub use self::{
    answer::Fault,
    circuit::{Circuit, Turn},
    descriptor::{Entry, MAX_AMOUNT, Prepared, amount, entries},
    reports::{MAX_REPORT_ANSWER, Report, Reports, TICK_MS, TIMEOUT_MS},
};
use super::{
    Admission, Charge, Limits, Refusal, Tokens, Unit,
    compile::{Held, Told},
    standing,
};
use crate::{
    caller::Caller,
    upstream::{Cluster, Upstream},
    wire,
};

pub const SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";
pub const METHOD: &str = "ShouldRateLimit";

/// `limits_store.rls`, compiled.
#[derive(Debug)]
pub struct Rls {
    pub cluster: Cluster,
    /// Where `cluster` is rendered; `None`: it exists.
    pub upstream: Option<Upstream>,
    pub domain: String,
    pub timeout_ms: u64,
    pub on_error: OnError,
    /// Envoy's `GrpcService` that names the cluster, serialized: text, since the cluster's name is short.
    pub service: String,
    pub circuit: Circuit,
}

/// What becomes of a request that the engine does not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// This Envoy's own counters decide.
    Local,
    /// Admitted, and counted nowhere.
    Allow,
    /// 503.
    Deny,
}

/// A longer name would make the bytes of its length no text.
pub const MAX_CLUSTER_NAME: usize = 125;

impl Rls {
    /// The cluster's name has at most [`MAX_CLUSTER_NAME`] bytes.
    pub fn new(
        cluster: Cluster,
        upstream: Option<Upstream>,
        domain: String,
        timeout_ms: u64,
        on_error: OnError,
    ) -> Self {
        // GrpcService.envoy_grpc.cluster_name: field 1 of field 1.
        let (mut envoy_grpc, mut service) = (Vec::new(), Vec::new());
        wire::put_bytes(&mut envoy_grpc, 1, cluster.name().as_bytes());
        wire::put_bytes(&mut service, 1, &envoy_grpc);
        let service = String::from_utf8(service).unwrap_or_default();
        Self { cluster, upstream, domain, timeout_ms, on_error, service, circuit: Circuit::default() }
    }
}

impl Limits {
    /// The `RateLimitRequest` of an admission: each counter with what it is charged; 0 is a look.
    pub fn question(&self, domain: &str, caller: &Caller, held: &[Held]) -> Vec<u8> {
        let mut request = Vec::with_capacity(held.len().saturating_mul(160).saturating_add(domain.len()));
        wire::put_bytes(&mut request, 1, domain.as_bytes());
        self.put_descriptors(&mut request, caller, held);
        request
    }

    fn put_descriptors(&self, request: &mut Vec<u8>, caller: &Caller, held: &[Held]) {
        for held in held {
            let addend = if held.counter.repeats { 0 } else { amount(held.counter.unit, held.charged) };
            self.put_descriptor(request, caller, held, Some(addend));
        }
    }

    /// The verdict of an engine that was asked about `held`. A request that it refuses may have been charged to the counters
    /// that had room.
    ///
    /// # Errors
    ///
    /// The answer is none, or says that the engine knows no such limit.
    pub fn judge(&self, mut held: Vec<Held>, answer: &[u8], now_ms: u64) -> Result<Admission, Fault> {
        let answer = answer::read(answer, held.len())?;
        if answer.statuses.is_empty() && !held.is_empty() {
            return Ok(self.judge_blindly(held, answer.is_over, now_ms));
        }
        if answer.statuses.len() != held.len() {
            return Err(Fault::Unreadable);
        }
        for (held, status) in held.iter_mut().zip(&answer.statuses) {
            held.told = Some(status.of(held)?);
        }
        let refusal = standing::refusal(&held, now_ms);
        let would_limit = standing::would_refuse(&held, now_ms);
        // Also where it refuses: an engine charges every descriptor that has room.
        for held in &mut held {
            let charged = held.charged;
            held.told = held.told.map(|told| Told { used: told.used.saturating_add(charged), ..told });
        }
        let (requests, tokens) = standing::headers(&held, now_ms);
        if let Some(refusal) = refusal {
            return Ok(Admission::Refused(Box::new(Refusal { requests, tokens, ..*refusal })));
        }
        let charge = Charge { counters: held, requests, tokens, would_limit, shared: true, ..Charge::default() };
        Ok(Admission::Admitted(charge))
    }

    /// Limitador says of all limits together whether there is room: a refusal is put down to the one that comes back first,
    /// and nothing is known of what remains.
    fn judge_blindly(&self, mut held: Vec<Held>, is_over: bool, now_ms: u64) -> Admission {
        let shortest = |shadow: bool| {
            let some = held.iter().enumerate().filter(|(_, held)| held.counter.shadow == shadow);
            some.min_by_key(|(_, held)| held.counter.period).map(|(at, _)| at)
        };
        let blamed = if is_over { shortest(false).or_else(|| shortest(true)) } else { None };
        // Groups may stop a caller only all together: then all of them do.
        let is_group = blamed.and_then(|at| held.get(at)).is_some_and(|held| held.counter.group.is_some());
        for (at, held) in held.iter_mut().enumerate() {
            let is_full = Some(at) == blamed || (is_group && held.counter.group.is_some());
            let used = if is_full { held.counter.maximum } else { 0 };
            held.told = Some(Told { used, reset_ms: held.counter.period.millis() });
        }
        match standing::refusal(&held, now_ms).filter(|_| is_over) {
            Some(refusal) => Admission::Refused(Box::new(Refusal { requests: None, tokens: None, ..*refusal })),
            None => {
                let would_limit = blamed.and_then(|at| held.get(at)).map(|held| held.counter.limit());
                Admission::Admitted(Charge { counters: held, would_limit, shared: true, ..Charge::default() })
            }
        }
    }

    /// What settlement adds to counters that an engine holds. Nothing can be given back: of a reservation only what was used
    /// beyond it is added.
    pub fn reports(&self, caller: &Caller, charge: &Charge, used: Tokens) -> Vec<Report> {
        let counted = charge.counters.iter().filter(|held| held.counter.unit != Unit::Calls && !held.counter.repeats);
        let report = |held: &Held| {
            let unit = held.counter.unit;
            let used = amount(unit, used.amount(unit, held.counter.cached_input_weight));
            let amount = used.saturating_sub(amount(unit, held.charged));
            let mut descriptor = Vec::new();
            if amount > 0 {
                self.put_descriptor(&mut descriptor, caller, held, None);
            }
            Report { descriptor, amount }
        };
        counted.map(report).filter(|report| report.amount > 0).collect()
    }
}
