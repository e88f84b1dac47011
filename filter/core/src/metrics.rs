//! Every metric's name. Labels come from the configuration alone: Envoy never frees a metric.

/// Counters, by what they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    RecordsQueued,
    RecordsSent,
    RecordsResent,
    RecordsDropped,
}
