//! What answers used, on its way to the engine: reports in, what to send on a tick out. Those of one counter go as one. They outlive
//! their streams, and a configuration that goes stays for them. Bounded; none whose answer is lost is sent again, since it may have
//! been counted.

use std::collections::{BTreeMap, VecDeque};

use super::{MAX_AMOUNT, answer};
use crate::wire::{put_bytes, put_number};

/// At most so many counters wait for a tick, and as many reports for their answers; one has some 200 bytes, so 3.2 MB.
const MAX_WAITING: usize = 8_192;
/// How long an engine may take to answer a report: nobody waits for it.
pub const TIMEOUT_MS: u64 = 2_000;
/// Of its answer, in bytes: there is one status in it.
pub const MAX_REPORT_ANSWER: usize = 4_096;
/// How often they are sent: what is admitted meanwhile does not see them.
pub const TICK_MS: u64 = 20;
/// How long a configuration that goes waits for the last answers.
const CLOSING_NS: u64 = (TIMEOUT_MS + 1_000) * 1_000_000;

/// What an answer adds to one counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// As the field of a `RateLimitRequest`.
    pub descriptor: Vec<u8>,
    pub amount: u64,
}

impl Report {
    /// Limitador knows one addend for all descriptors of a request, and counts none of them where one has no room: so each goes
    /// alone.
    pub fn request(&self, domain: &str) -> Vec<u8> {
        let mut request = Vec::with_capacity(self.descriptor.len().saturating_add(domain.len()).saturating_add(16));
        put_bytes(&mut request, 1, domain.as_bytes());
        request.extend_from_slice(&self.descriptor);
        put_number(&mut request, 3, self.amount);
        request
    }
}

#[derive(Debug, Default)]
pub struct Reports {
    /// By descriptor.
    waiting: BTreeMap<Vec<u8>, u64>,
    /// Of reports that did not fit.
    pieces: VecDeque<Report>,
    /// By the number of the call.
    in_flight: BTreeMap<u32, Sent>,
    lost: u64,
    /// Nanoseconds since the Unix epoch.
    closing_since: Option<u64>,
}

/// A report on its way.
#[derive(Debug)]
pub struct Sent {
    pub report: Report,
    is_piece: bool,
}

impl Reports {
    pub fn push(&mut self, report: Report) {
        let Report { descriptor, amount } = report;
        if let Some(waiting) = self.waiting.get_mut(&descriptor) {
            *waiting = waiting.saturating_add(amount);
        } else if self.waiting.len() < MAX_WAITING {
            self.waiting.insert(descriptor, amount);
        } else {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// The next one to send; [`Reports::sent`] must follow.
    pub fn take(&mut self) -> Option<Sent> {
        if self.in_flight.len() >= MAX_WAITING {
            return None;
        }
        if let Some(report) = self.pieces.pop_front() {
            return Some(Sent { report, is_piece: true });
        }
        let (descriptor, waiting) = self.waiting.pop_first()?;
        let amount = waiting.min(MAX_AMOUNT);
        if waiting > amount {
            self.waiting.insert(descriptor.clone(), waiting.saturating_sub(amount));
        }
        Some(Sent { report: Report { descriptor, amount }, is_piece: false })
    }

    /// By a call of this number; `None`: it could not be sent.
    pub fn sent(&mut self, call: Option<u32>, sent: Sent) {
        match call {
            Some(call) => drop(self.in_flight.insert(call, sent)),
            None => self.lost = self.lost.saturating_add(1),
        }
    }

    /// What came of a call: the engine's message, if there is one.
    pub fn answered(&mut self, call: u32, message: Option<&[u8]>) {
        let Some(sent) = self.in_flight.remove(&call) else { return };
        match message.and_then(|message| answer::read(message, 1).ok()) {
            // Limitador refuses without statuses, and has counted nothing.
            Some(answer) if answer.is_over && answer.statuses.is_empty() && !sent.is_piece => {
                self.break_up(sent.report)
            }
            Some(_) => {}
            None => self.lost = self.lost.saturating_add(1),
        }
    }

    /// A report that has no room is one of an answer that crosses its limit, which must use up what is left: else a counter would
    /// never be full. Less than the report is left, so it goes in pieces, each half of what is left to send: whatever room there
    /// is, some of them fill it.
    fn break_up(&mut self, report: Report) {
        let mut left = report.amount.saturating_sub(1);
        while left > 0 && self.pieces.len() < MAX_WAITING {
            let amount = left.div_ceil(2);
            left = left.saturating_sub(amount);
            self.pieces.push_back(Report { amount, descriptor: report.descriptor.clone() });
        }
        self.lost = self.lost.saturating_add(u64::from(left > 0));
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
        let is_done = self.waiting.is_empty() && self.pieces.is_empty() && self.in_flight.is_empty();
        is_done || now.abs_diff(since) >= CLOSING_NS
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn report(counter: u8, amount: u64) -> Report {
        Report { descriptor: vec![counter], amount }
    }

    /// Sends all that is there, by calls from this number on: counters and amounts.
    fn send(reports: &mut Reports, mut call: u32) -> Vec<(u8, u64)> {
        let mut all = Vec::new();
        while let Some(sent) = reports.take() {
            all.push((sent.report.descriptor[0], sent.report.amount));
            reports.sent(Some(call), sent);
            call += 1;
        }
        all
    }

    const OK: &[u8] = &[0x08, 1];
    const OVER: &[u8] = &[0x08, 2];
    const OVER_WITH_STATUS: &[u8] = &[0x08, 2, 0x12, 2, 0x08, 2];

    #[test]
    fn a_configuration_stays_for_its_reports() {
        let mut reports = Reports::default();
        reports.push(report(1, 5));
        reports.push(report(2, 7));
        assert!(!reports.is_over(0), "it does not go");
        assert!(!reports.close(0));
        assert_eq!(send(&mut reports, 0), [(1, 5), (2, 7)]);
        reports.answered(0, Some(OK));
        assert!(!reports.is_over(1));
        reports.answered(9, None);
        reports.answered(1, None);
        assert!(reports.is_over(1));
        assert_eq!((reports.take_lost(), reports.take_lost()), (1, 0));
    }

    #[test]
    fn those_of_one_counter_go_as_one() {
        let mut reports = Reports::default();
        [(1, 5), (2, 1), (1, 7), (3, MAX_AMOUNT), (3, 2)].into_iter().for_each(|(c, n)| reports.push(report(c, n)));
        assert_eq!(send(&mut reports, 0), [(1, 12), (2, 1), (3, MAX_AMOUNT), (3, 2)]);
    }

    /// Whatever room an engine has left that takes a report whole or not at all, it is used up.
    #[test]
    fn what_does_not_fit_fills_what_is_left() {
        for amount in 1..70 {
            for room in 0..amount {
                let mut reports = Reports::default();
                reports.push(report(1, amount));
                send(&mut reports, 0);
                reports.answered(0, Some(OVER));
                let mut left = room;
                let pieces = send(&mut reports, 1);
                assert!(pieces.len() <= 7, "{pieces:?}");
                for (call, (_, piece)) in (1..).zip(pieces) {
                    let fits = piece <= left;
                    left -= if fits { piece } else { 0 };
                    reports.answered(call, Some(if fits { OK } else { OVER }));
                }
                assert_eq!(left, 0, "{amount} into {room}");
                assert!(reports.close(0) && reports.take_lost() == 0, "a piece is not broken up again");
            }
        }
    }

    #[test]
    fn an_engine_that_counts_beyond_the_limit_is_told_once() {
        let mut reports = Reports::default();
        reports.push(report(1, 50));
        send(&mut reports, 0);
        reports.answered(0, Some(OVER_WITH_STATUS));
        assert!(reports.close(0));
    }

    #[test]
    fn an_engine_that_never_answers_holds_nothing() {
        let mut reports = Reports::default();
        let many = |reports: &mut Reports| {
            for number in 0..MAX_WAITING + 3 {
                reports.push(Report { descriptor: number.to_le_bytes().to_vec(), amount: 1 });
            }
        };
        many(&mut reports);
        assert_eq!(reports.take_lost(), 3);
        assert_eq!(send(&mut reports, 0).len(), MAX_WAITING);
        many(&mut reports);
        assert!(reports.take().is_none(), "as many as may be are on their way");
        assert!(!reports.close(0));
        assert!(!reports.is_over(CLOSING_NS - 1));
        assert!(reports.is_over(CLOSING_NS));
    }
}
