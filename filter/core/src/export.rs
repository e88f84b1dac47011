//! The outbox: rows wait here until a collector has answered 2xx. Bounded in bytes; what is worth least goes first, and
//! every row that goes is counted. It sends nothing itself: the root context asks it on every tick what to send.

mod exporter;
mod lease;

use std::collections::{BTreeMap, VecDeque};

pub use exporter::{Exporter, Post};
pub use lease::create_key;

/// One NDJSON line, without the line's end, and what it is: that decides what goes first when the outbox is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub kind: RowKind,
    /// The request's; 0 where the row is about none.
    pub status: u16,
    pub line: Vec<u8>,
}

/// In the order in which rows go when the outbox is full: the first one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKind {
    /// Refused before an endpoint was known.
    Stranger,
    Payload,
    Refusal,
    Usage,
    Entities,
}

const KINDS: usize = 5;

/// Strangers' rows a second; the rest is counted and goes as one row (DESIGN.md section 6).
const STRANGERS_PER_SECOND: u32 = 100;
/// Waits after a failed batch: doubled from the first to the last, each shortened by up to half at random, so that a
/// fleet does not come back all at once.
const FIRST_BACKOFF_MS: u64 = 200;
const LAST_BACKOFF_MS: u64 = 5_000;

/// The policy's `logging`, as far as the outbox heeds it.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub flush_interval_ms: u64,
    pub max_batch_bytes: usize,
    pub max_buffered_bytes: usize,
}

/// What became of rows, for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub queued: u64,
    pub sent: u64,
    pub resent: u64,
    pub dropped: u64,
}

/// Times are nanoseconds since the Unix epoch.
#[derive(Debug)]
pub struct Outbox {
    bounds: Bounds,
    queues: [VecDeque<Vec<u8>>; KINDS],
    queued_rows: u64,
    queued_bytes: usize,
    /// When the oldest row in the queues was pushed.
    waiting_since: Option<u64>,
    in_flight: Option<Batch>,
    failures: u32,
    not_before: u64,
    strangers: Strangers,
    /// Changes since the last [`Outbox::take_tally`].
    tally: Tally,
}

#[derive(Debug)]
struct Batch {
    body: Vec<u8>,
    rows: u64,
    on_its_way: bool,
}

#[derive(Debug, Default)]
struct Strangers {
    second: u64,
    rows: u32,
    uncounted: BTreeMap<u16, u64>,
}

impl Outbox {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            queues: Default::default(),
            queued_rows: 0,
            queued_bytes: 0,
            waiting_since: None,
            in_flight: None,
            failures: 0,
            not_before: 0,
            strangers: Strangers::default(),
            tally: Tally::default(),
        }
    }

    /// Rows that no collector has acknowledged.
    pub fn rows(&self) -> u64 {
        self.queued_rows.saturating_add(self.in_flight.as_ref().map_or(0, |batch| batch.rows))
    }

    pub fn is_empty(&self) -> bool {
        self.rows() == 0 && self.strangers.uncounted.is_empty()
    }

    /// Appends a row, unless it is one of too many strangers': those are counted. When the outbox is full the least worthy
    /// rows go, the oldest of them first, this one included.
    pub fn push(&mut self, row: Row, now: u64) {
        if row.kind == RowKind::Stranger && row.status != 0 && !self.strangers.admit(row.status, now) {
            return;
        }
        let in_flight = self.in_flight.as_ref().map_or(0, |batch| batch.body.len());
        let budget = self.bounds.max_buffered_bytes.saturating_sub(in_flight);
        self.waiting_since.get_or_insert(now);
        self.queued_bytes = self.queued_bytes.saturating_add(size(&row.line));
        self.queued_rows = self.queued_rows.saturating_add(1);
        self.tally.queued = self.tally.queued.saturating_add(1);
        if let Some(queue) = self.queues.get_mut(row.kind as usize) {
            queue.push_back(row.line);
        }
        while self.queued_bytes > budget {
            let Some(line) = self.queues.iter_mut().find_map(VecDeque::pop_front) else { break };
            self.took(&line);
            self.tally.dropped = self.tally.dropped.saturating_add(1);
        }
    }

    /// Refusals without a row since the last call, by status.
    pub fn take_uncounted(&mut self) -> BTreeMap<u16, u64> {
        std::mem::take(&mut self.strangers.uncounted)
    }

    /// Whether rows of a kind wait in the queues.
    pub fn holds(&self, kind: RowKind) -> bool {
        self.queues.get(kind as usize).is_some_and(|queue| !queue.is_empty())
    }

    /// The body of the next POST, if one is due: never while another one is on its way. `closing`: whatever is there.
    pub fn next_batch(&mut self, now: u64, closing: bool) -> Option<&[u8]> {
        if now < self.not_before && !closing {
            return None;
        }
        if self.in_flight.is_none() && (closing || self.is_due(now)) {
            self.in_flight = self.fill();
            self.waiting_since = (self.queued_rows > 0).then_some(now);
        }
        let batch = self.in_flight.as_mut().filter(|batch| !batch.on_its_way)?;
        batch.on_its_way = true;
        if self.failures > 0 {
            self.tally.resent = self.tally.resent.saturating_add(1);
        }
        Some(&batch.body)
    }

    /// What came of the batch on its way. `random` spreads the next try.
    pub fn answered(&mut self, accepted: bool, now: u64, random: u64) {
        if accepted {
            let rows = self.in_flight.take().map_or(0, |batch| batch.rows);
            self.tally.sent = self.tally.sent.saturating_add(rows);
            self.failures = 0;
            return;
        }
        if let Some(batch) = &mut self.in_flight {
            batch.on_its_way = false;
        }
        let wait = FIRST_BACKOFF_MS.saturating_mul(1 << self.failures.min(10)).min(LAST_BACKOFF_MS);
        let wait = wait.saturating_sub(random % (wait / 2).max(1));
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(wait.saturating_mul(1_000_000));
    }

    /// Gives up whatever is left, the batch on its way too: it is counted as dropped.
    pub fn abandon(&mut self) {
        self.tally.dropped = self.tally.dropped.saturating_add(self.rows());
        self.queues.iter_mut().for_each(VecDeque::clear);
        (self.queued_rows, self.queued_bytes, self.in_flight) = (0, 0, None);
    }

    /// Changes since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    fn is_due(&self, now: u64) -> bool {
        let Some(since) = self.waiting_since else { return false };
        // A clock that has stepped back must not hold rows back.
        let waited = now.checked_sub(since).is_none_or(|waited| waited / 1_000_000 >= self.bounds.flush_interval_ms);
        waited || self.queued_bytes >= self.bounds.max_batch_bytes
    }

    /// The worthiest rows first, up to a batch's size, at least one.
    fn fill(&mut self) -> Option<Batch> {
        let mut batch = Batch { body: Vec::new(), rows: 0, on_its_way: false };
        for kind in (0..KINDS).rev() {
            while let Some(line) = self.queues.get(kind).and_then(VecDeque::front) {
                if batch.rows > 0 && batch.body.len().saturating_add(size(line)) > self.bounds.max_batch_bytes {
                    return Some(batch);
                }
                let Some(line) = self.queues.get_mut(kind).and_then(VecDeque::pop_front) else { break };
                self.took(&line);
                batch.body.extend_from_slice(&line);
                batch.body.push(b'\n');
                batch.rows = batch.rows.saturating_add(1);
            }
        }
        (batch.rows > 0).then_some(batch)
    }

    fn took(&mut self, line: &[u8]) {
        self.queued_bytes = self.queued_bytes.saturating_sub(size(line));
        self.queued_rows = self.queued_rows.saturating_sub(1);
    }
}

impl Strangers {
    /// Whether this one gets a row of its own; else it is counted by its status.
    fn admit(&mut self, status: u16, now: u64) -> bool {
        let second = now / 1_000_000_000;
        if self.second != second {
            (self.second, self.rows) = (second, 0);
        }
        if self.rows < STRANGERS_PER_SECOND {
            self.rows = self.rows.saturating_add(1);
            return true;
        }
        let count = self.uncounted.entry(status).or_default();
        *count = count.saturating_add(1);
        false
    }
}

/// With the line's end.
fn size(line: &[u8]) -> usize {
    line.len().saturating_add(1)
}

#[cfg(test)]
mod tests;
