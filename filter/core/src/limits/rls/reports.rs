//! What answers used, on its way to the engine: reports in, what to send on a tick out. They outlive their streams, and a
//! configuration that goes stays for them. Bounded; none is sent twice, since one whose answer is lost may have been counted.

use std::collections::VecDeque;

/// At most so many wait for a tick; a report has some 300 bytes, so 2.4 MB. A worker makes a hundred in a tick.
const MAX_WAITING: usize = 8_192;
/// How long an engine may take to answer a report: nobody waits for it.
pub const TIMEOUT_MS: u64 = 2_000;
/// How often they are sent: what is admitted meanwhile does not see them.
pub const TICK_MS: u64 = 20;
/// How long a configuration that goes waits for the last answers.
const CLOSING_NS: u64 = (TIMEOUT_MS + 1_000) * 1_000_000;

#[derive(Debug, Default)]
pub struct Reports {
    waiting: VecDeque<Vec<u8>>,
    in_flight: usize,
    lost: u64,
    /// Nanoseconds since the Unix epoch.
    closing_since: Option<u64>,
}

impl Reports {
    /// A `RateLimitRequest`.
    pub fn push(&mut self, report: Vec<u8>) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(report);
        } else {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// The next one to send; [`Reports::answered`] must follow.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let report = self.waiting.pop_front()?;
        self.in_flight = self.in_flight.saturating_add(1);
        Some(report)
    }

    /// What came of one that was sent.
    pub fn answered(&mut self, accepted: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if !accepted {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// How many no engine has taken, since the last call.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// The configuration goes: whether nothing is left to wait for.
    pub fn close(&mut self, now: u64) -> bool {
        self.closing_since = Some(now);
        self.is_over(now)
    }

    /// Whether a configuration that goes may be gone.
    pub fn is_over(&self, now: u64) -> bool {
        let Some(since) = self.closing_since else { return false };
        (self.waiting.is_empty() && self.in_flight == 0) || now.abs_diff(since) >= CLOSING_NS
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_configuration_stays_for_its_reports() {
        let mut reports = Reports::default();
        reports.push(vec![1]);
        reports.push(vec![2]);
        assert!(!reports.is_over(0), "it does not go");
        assert!(!reports.close(0));
        assert_eq!((reports.take(), reports.take(), reports.take()), (Some(vec![1]), Some(vec![2]), None));
        reports.answered(true);
        assert!(!reports.is_over(1));
        reports.answered(false);
        assert!(reports.is_over(1));
        assert_eq!((reports.take_lost(), reports.take_lost()), (1, 0));
    }

    #[test]
    fn an_engine_that_never_answers_holds_nothing() {
        let mut reports = Reports::default();
        for _ in 0..MAX_WAITING + 3 {
            reports.push(vec![0; 8]);
        }
        assert_eq!(reports.take_lost(), 3);
        assert!(!reports.close(0));
        assert!(!reports.is_over(CLOSING_NS - 1));
        assert!(reports.is_over(CLOSING_NS));
    }
}
