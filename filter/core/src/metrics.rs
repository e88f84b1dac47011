//! Every metric's name. Labels come from the configuration alone: Envoy never frees a metric.

/// Counters and gauges, by what they count. A gauge is shared by all workers, so it is moved by differences too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Gauge: 1 while the newest configuration has been rejected and an older one is in force. Envoy says nothing when it
    /// is given the older one again, byte for byte: then it stays 1 until another one is accepted.
    ConfigRejected,
    /// Attempts that failed and were followed by another one.
    Fallbacks,
    /// Gauge: counters in the callers' slots. Full at 1,835,008.
    LimitCounters,
    /// Counters that still counted and had to go for others, since their slot was full: their callers began again at 0.
    LimitCountersEvicted,
    /// Requests that a limit refused.
    LimitsRefused,
    /// Requests that were refused or left uncharged since compare-and-swap ran out of tries.
    LimitsContended,
    /// Requests that a limit in shadow mode would have refused.
    LimitsWouldRefuse,
    /// Requests that the engine of `limits_store.rls` did not answer in time, or not with a verdict: `on_error` decided.
    RlsFailed,
    /// Reports of usage that the engine did not take: it counts too little.
    RlsReportsLost,
    /// Requests for which the engine was not asked, since it had failed too often in a row: `on_error` decided.
    RlsSkipped,
    /// Rows lost: the buffer was full, or a row could not be written.
    RecordsDropped,
    /// Gauge: rows that no collector has acknowledged yet.
    RecordsQueued,
    /// Batches that were sent again.
    RecordsResent,
    /// Rows that a collector has acknowledged.
    RecordsSent,
    /// Gauge: tokens whose last fetch failed (`oauth::keeper`). The old one may be good still.
    TokensFailing,
}

impl Metric {
    pub const ALL: [Self; 15] = [
        Self::ConfigRejected,
        Self::Fallbacks,
        Self::LimitCounters,
        Self::LimitCountersEvicted,
        Self::LimitsRefused,
        Self::LimitsContended,
        Self::LimitsWouldRefuse,
        Self::RlsFailed,
        Self::RlsReportsLost,
        Self::RlsSkipped,
        Self::RecordsDropped,
        Self::RecordsQueued,
        Self::RecordsResent,
        Self::RecordsSent,
        Self::TokensFailing,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::ConfigRejected => "weir.config_rejected",
            Self::Fallbacks => "weir.fallbacks",
            Self::LimitCounters => "weir.limit_counters",
            Self::LimitCountersEvicted => "weir.limit_counters_evicted",
            Self::LimitsRefused => "weir.limits_refused",
            Self::LimitsContended => "weir.limits_contended",
            Self::LimitsWouldRefuse => "weir.limits_would_refuse",
            Self::RlsFailed => "weir.rls_failed",
            Self::RlsReportsLost => "weir.rls_reports_lost",
            Self::RlsSkipped => "weir.rls_skipped",
            Self::RecordsDropped => "weir.records_dropped",
            Self::RecordsQueued => "weir.records_queued",
            Self::RecordsResent => "weir.records_resent",
            Self::RecordsSent => "weir.records_sent",
            Self::TokensFailing => "weir.tokens_failing",
        }
    }

    pub fn is_gauge(self) -> bool {
        matches!(self, Self::ConfigRejected | Self::LimitCounters | Self::RecordsQueued | Self::TokensFailing)
    }
}
