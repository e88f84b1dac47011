//! The outbox: rows wait here until a collector has answered 2xx. Bounded in bytes; what is worth least goes first, and
//! every row that goes is counted. It sends nothing itself: the root context asks it on every tick what to send.

mod answer;
mod batch;
mod exporter;
mod gzip;
mod lease;
mod lost;
mod strangers;

use std::collections::{BTreeMap, VecDeque};

pub use answer::{Answer, MAX_ANSWER, Outcome};
pub use batch::Batch;
pub use exporter::Exporter;
pub use lease::create_key;
use lost::Lost;
#[cfg(test)]
pub(crate) use lost::may_be_told;
use strangers::Strangers;

pub use crate::record::{Frame, Row, RowKind};

/// Waits after a failed batch: doubled from the first to the last, each shortened by up to half at random, so that a
/// fleet does not come back all at once.
const FIRST_BACKOFF_MS: u64 = 200;
const LAST_BACKOFF_MS: u64 = 5_000;
/// A collector that asks for a longer wait is asked again after this one.
const LONGEST_RETRY_AFTER_MS: u64 = 60_000;
/// Batches that are cut and packed on one tick, of 256 KiB by default: packing one takes a millisecond or two.
const CUTS_PER_TICK: usize = 4;

/// The policy's `logging`, as far as the outbox heeds it.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub flush_interval_ms: u64,
    pub max_batch_bytes: usize,
    pub max_buffered_bytes: usize,
    pub frame: Frame,
    /// Also what need not wait goes packed.
    pub packs_all: bool,
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
    queues: [Queue; RowKind::ALL.len()],
    queued_rows: u64,
    queued_bytes: usize,
    /// When the oldest row that is in no batch was pushed.
    waiting_since: Option<u64>,
    in_flight: Option<InFlight>,
    /// What a batch that was refused was taken apart into.
    parts: Vec<Batch>,
    failures: u32,
    not_before: u64,
    /// The collector takes no gzip.
    is_plain: bool,
    strangers: Strangers,
    lost: Lost,
    /// Changes since the last [`Outbox::take_tally`].
    tally: Tally,
}

/// Rows of one kind, in batches (the older ones) or not.
#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Batch>,
    rows: VecDeque<Vec<u8>>,
    row_bytes: usize,
}

#[derive(Debug)]
struct InFlight {
    batch: Batch,
    on_its_way: bool,
    /// It, or what it is a part of, has been sent before.
    is_again: bool,
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
            parts: Vec::new(),
            failures: 0,
            not_before: 0,
            is_plain: false,
            strangers: Strangers::default(),
            lost: Lost::default(),
            tally: Tally::default(),
        }
    }

    /// Rows that no collector has acknowledged.
    pub fn rows(&self) -> u64 {
        self.taken().map(|batch| batch.rows).fold(self.queued_rows, u64::saturating_add)
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
        let taken = self.taken().map(|batch| batch.body.len()).fold(0, usize::saturating_add);
        let budget = self.bounds.max_buffered_bytes.saturating_sub(taken);
        self.waiting_since.get_or_insert(now);
        self.queued_bytes = self.queued_bytes.saturating_add(size(&row.line));
        self.queued_rows = self.queued_rows.saturating_add(1);
        self.tally.queued = self.tally.queued.saturating_add(1);
        if let Some(queue) = self.queues.get_mut(row.kind as usize) {
            queue.row_bytes = queue.row_bytes.saturating_add(size(&row.line));
            queue.rows.push_back(row.line);
        }
        while self.queued_bytes > budget && self.evict(now) {}
    }

    /// Refusals without a row since the last call, by status.
    pub fn take_uncounted(&mut self) -> BTreeMap<u16, u64> {
        std::mem::take(&mut self.strangers.uncounted)
    }

    /// Whether rows of a kind wait in the queues.
    pub fn holds(&self, kind: RowKind) -> bool {
        self.queues.get(kind as usize).is_some_and(|queue| !queue.rows.is_empty() || !queue.batches.is_empty())
    }

    /// The body of the next POST, if one is due: never while another one is on its way. `closing`: whatever is there.
    pub fn next_batch(&mut self, now: u64, closing: bool) -> Option<&Batch> {
        if self.in_flight.as_ref().is_some_and(|sent| sent.on_its_way) || now < self.not_before {
            self.pack_backlog();
            return None;
        }
        if self.in_flight.is_none() {
            let part = self.parts.pop();
            let is_again = part.is_some();
            let batch = part.or_else(|| self.next_queued(now, closing))?;
            let batch = match (self.is_plain, self.bounds.packs_all) {
                (true, _) => batch.unpacked(),
                (false, true) => batch.packed(),
                (false, false) => batch,
            };
            self.in_flight = Some(InFlight { batch, on_its_way: false, is_again });
        }
        let sent = self.in_flight.as_mut()?;
        sent.on_its_way = true;
        if std::mem::replace(&mut sent.is_again, true) {
            self.tally.resent = self.tally.resent.saturating_add(1);
        }
        Some(&sent.batch)
    }

    /// What came of the batch on its way. `random` spreads the next try.
    pub fn answered(&mut self, outcome: Outcome, now: u64, random: u64) {
        match outcome {
            Outcome::Accepted { rejected } => {
                let rows = self.in_flight.take().map_or(0, |sent| sent.batch.rows);
                let rejected = rejected.min(rows);
                self.tally.sent = self.tally.sent.saturating_add(rows.saturating_sub(rejected));
                self.dropped(rejected);
                self.lost.count(rejected);
                self.failures = 0;
            }
            Outcome::Again { after_ms } => self.back_off(after_ms, now, random),
            Outcome::Unpack if !self.is_plain && self.in_flight.as_ref().is_some_and(|sent| sent.batch.is_gzip) => {
                self.is_plain = true;
                if let Some(sent) = self.in_flight.take() {
                    self.parts.push(sent.batch);
                }
            }
            Outcome::TakeApart | Outcome::Unpack => match self.in_flight.take() {
                Some(InFlight { batch, .. }) if batch.rows > 1 => {
                    // The first half goes first.
                    self.parts.extend(batch.halves(&self.bounds.frame).into_iter().rev().flatten());
                }
                Some(InFlight { batch, .. }) => self.lose(batch, None, now),
                None => {}
            },
            Outcome::Drop => {
                if let Some(InFlight { batch, .. }) = self.in_flight.take() {
                    self.lose(batch, None, now);
                }
            }
        }
    }

    /// The configuration goes: no longer wait for its collector than for a first failure.
    pub fn hurry(&mut self) {
        (self.failures, self.not_before) = (0, 0);
    }

    /// Gives up whatever is left, the batch on its way too: it is counted as dropped.
    pub fn abandon(&mut self, now: u64) {
        let sent = self.in_flight.take().map(|sent| sent.batch);
        for batch in sent.into_iter().chain(std::mem::take(&mut self.parts)) {
            self.lose(batch, None, now);
        }
        while self.evict(now) {}
    }

    /// Changes since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Something else for Envoy's log, where there is room.
    pub fn note(&mut self, line: String, now: u64) {
        self.lost.note(line, now);
    }

    /// How often the batch on its way has failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Lines for Envoy's log about rows that are lost; `with_count`: also how many more there were.
    pub fn take_lost(&mut self, with_count: bool) -> Vec<String> {
        self.lost.take(with_count)
    }

    /// Batches that are in no queue.
    fn taken(&self) -> impl Iterator<Item = &Batch> {
        self.parts.iter().chain(self.in_flight.as_ref().map(|sent| &sent.batch))
    }

    fn is_due(&self, now: u64) -> bool {
        let Some(since) = self.waiting_since else { return false };
        // A clock that has stepped back must not hold rows back.
        let waited = now.checked_sub(since).is_none_or(|waited| waited / 1_000_000 >= self.bounds.flush_interval_ms);
        let row_bytes = self.queues.iter().map(|queue| queue.row_bytes).fold(0, usize::saturating_add);
        waited || row_bytes >= self.bounds.max_batch_bytes
    }

    /// The worthiest rows first: a batch of them that is there, or one that is made now.
    fn next_queued(&mut self, now: u64, closing: bool) -> Option<Batch> {
        let is_due = closing || self.is_due(now);
        let kind = RowKind::ALL.into_iter().rev().find(|kind| {
            let queue = self.queues.get(*kind as usize);
            queue.is_some_and(|queue| !queue.batches.is_empty() || (is_due && !queue.rows.is_empty()))
        })?;
        let batch = match self.queues.get_mut(kind as usize)?.batches.pop_front() {
            Some(batch) => Some(batch),
            None => {
                let batch = self.fill(&RowKind::ALL);
                // What did not fit waits anew.
                self.waiting_since = self.waiting_since.map(|_| now);
                batch
            }
        }?;
        self.left(batch.rows, batch.body.len());
        Some(batch)
    }

    /// Puts rows of these kinds together, the worthiest first, up to a batch's size, at least one. They are as heavy as the batch
    /// from then on.
    fn fill(&mut self, kinds: &[RowKind]) -> Option<Batch> {
        let Self { queues, bounds, queued_bytes, .. } = self;
        let mut kinds: Vec<usize> = kinds.iter().map(|kind| *kind as usize).collect();
        let (mut bytes, mut is_first) = (0usize, true);
        let batch = Batch::of(&bounds.frame, |length| {
            let queue = loop {
                let queue = queues.get_mut(*kinds.last()?)?;
                if !queue.rows.is_empty() {
                    break queue;
                }
                kinds.pop();
            };
            let next = size(queue.rows.front()?);
            let is_full = length.saturating_add(next).saturating_add(bounds.frame.tail.len()) > bounds.max_batch_bytes;
            if is_full && !is_first {
                return None;
            }
            is_first = false;
            bytes = bytes.saturating_add(next);
            queue.row_bytes = queue.row_bytes.saturating_sub(next);
            queue.rows.pop_front()
        })?;
        *queued_bytes = queued_bytes.saturating_sub(bytes).saturating_add(batch.body.len());
        if queues.iter().all(|queue| queue.rows.is_empty()) {
            self.waiting_since = None;
        }
        Some(batch)
    }

    /// Packs rows that must wait for longer, once there are enough of a kind: an outage's rows are many.
    fn pack_backlog(&mut self) {
        for _ in 0..CUTS_PER_TICK {
            let is_full = |kind: &RowKind| {
                let queue = self.queues.get(*kind as usize);
                queue.is_some_and(|queue| queue.row_bytes >= self.bounds.max_batch_bytes)
            };
            let Some(kind) = RowKind::ALL.into_iter().rev().find(is_full) else { return };
            let Some(batch) = self.fill(&[kind]) else { return };
            let before = batch.body.len();
            let batch = batch.packed();
            self.queued_bytes = self.queued_bytes.saturating_sub(before).saturating_add(batch.body.len());
            if let Some(queue) = self.queues.get_mut(kind as usize) {
                queue.batches.push_back(batch);
            }
        }
    }

    /// Drops the oldest batch or row of the least worthy kind; false where there is none.
    fn evict(&mut self, now: u64) -> bool {
        for kind in RowKind::ALL {
            let Some(queue) = self.queues.get_mut(kind as usize) else { continue };
            if let Some(batch) = queue.batches.pop_front() {
                self.left(batch.rows, batch.body.len());
                self.lose(batch, Some(kind), now);
                return true;
            }
            if let Some(line) = queue.rows.pop_front() {
                queue.row_bytes = queue.row_bytes.saturating_sub(size(&line));
                self.left(1, size(&line));
                self.dropped(1);
                match self.lost.room(Some(kind), now) {
                    0 => self.lost.count(1),
                    _ => self.lost.tell(&line),
                }
                return true;
            }
        }
        false
    }

    /// A batch that no collector will get. `kind`: of all of its rows.
    fn lose(&mut self, batch: Batch, kind: Option<RowKind>, now: u64) {
        let rows = batch.rows;
        self.dropped(rows);
        let room = self.lost.room(kind, now);
        let mut told = 0;
        if room > 0 {
            // Of a mixed batch only what is no payload may be told; a line says what it is.
            let lines = batch.lines(&self.bounds.frame).into_iter().filter(|line| lost::may_be_told(line));
            for line in lines.take(room) {
                self.lost.tell(&line);
                told += 1;
            }
        }
        self.lost.count(rows.saturating_sub(told));
    }

    fn back_off(&mut self, after_ms: Option<u64>, now: u64, random: u64) {
        if let Some(sent) = &mut self.in_flight {
            sent.on_its_way = false;
        }
        let wait = FIRST_BACKOFF_MS.saturating_mul(1 << self.failures.min(10)).min(LAST_BACKOFF_MS);
        let wait = wait.saturating_sub(random % (wait / 2).max(1));
        let wait = wait.max(after_ms.unwrap_or(0).min(LONGEST_RETRY_AFTER_MS));
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(wait.saturating_mul(1_000_000));
    }

    fn left(&mut self, rows: u64, bytes: usize) {
        self.queued_rows = self.queued_rows.saturating_sub(rows);
        self.queued_bytes = self.queued_bytes.saturating_sub(bytes);
    }

    fn dropped(&mut self, rows: u64) {
        self.tally.dropped = self.tally.dropped.saturating_add(rows);
    }
}

/// With the line's end.
fn size(line: &[u8]) -> usize {
    line.len().saturating_add(1)
}

#[cfg(test)]
mod tests;
