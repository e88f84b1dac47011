//! What a worker's root context does with the outbox: on every tick it says what to POST, and hears what came of it. It
//! also sends the served entities of its configuration, if it is the worker that is elected to.

use std::rc::Rc;

use super::{
    Answer, Batch, Bounds, Frame, Outbox, Outcome, Row, RowKind, Tally,
    lease::{self, Lease},
};
use crate::{
    config::{Format, Logging},
    gateway::Gateway,
    host::Host,
    id::uuid,
    post::Post,
    record::{self, otlp},
};

/// How long an answer may take; then the batch is sent again.
const TIMEOUT_MS: u64 = 5_000;
/// How long a configuration that goes waits for its outbox to be empty (DESIGN.md section 6).
const CLOSING_MS: u64 = 5_000;
/// How often rows are looked after.
const MAX_TICK_MS: u64 = 100;

/// One worker's way to the collector, for one configuration with `logging`.
#[derive(Debug)]
pub struct Exporter {
    gateway: Rc<Gateway>,
    outbox: Outbox,
    entities: Entities,
    /// When the configuration began to go, in nanoseconds.
    closing_since: Option<u64>,
}

/// How far the served entities' rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entities {
    Unclaimed,
    /// In this worker's outbox.
    Claimed,
    Settled,
}

impl Exporter {
    /// `None` where the policy has no collector.
    pub fn new(gateway: Rc<Gateway>) -> Option<Self> {
        let logging = gateway.config.logging.as_ref()?;
        let outbox = Outbox::new(Bounds {
            // A row that is not sent on this tick waits for the next one: within the interval, not after it.
            flush_interval_ms: logging.flush_interval_ms.saturating_sub(tick_ms(logging)),
            max_batch_bytes: logging.max_batch_bytes,
            max_buffered_bytes: logging.max_buffered_bytes,
            packs_all: !logging.is_local,
            frame: match logging.format {
                Format::Ndjson => Frame::NDJSON,
                Format::Otlp => otlp::frame(&gateway.node),
            },
        });
        Some(Self { gateway, outbox, entities: Entities::Unclaimed, closing_since: None })
    }

    /// How often [`Exporter::tick`] wants to be called, in milliseconds.
    pub fn tick_ms(&self) -> u64 {
        self.gateway.config.logging.as_ref().map_or(MAX_TICK_MS, tick_ms)
    }

    pub fn push(&mut self, row: Row, host: &impl Host) {
        self.outbox.push(row, host.now());
    }

    /// What to POST now, if anything.
    pub fn tick(&mut self, host: &impl Host) -> Option<Post> {
        let now = host.now();
        self.claim_entities(now, host);
        let counts = self.outbox.take_uncounted();
        if !counts.is_empty() {
            let id = uuid(host.random(), host.random());
            let row = record::counts_row(&self.gateway.config, &self.gateway.node, &id, now, &counts);
            self.outbox.push(row, now);
        }
        let batch = self.outbox.next_batch(now, self.closing_since.is_some())?;
        let logging = self.gateway.config.logging.as_ref()?;
        Some(post(logging, batch))
    }

    /// What came of the last [`Post`].
    pub fn answered(&mut self, answer: &Answer, host: &impl Host) {
        let Some(logging) = &self.gateway.config.logging else { return };
        let (outcome, now) = (answer.outcome(logging.format), host.now());
        self.note(answer, outcome, now);
        self.outbox.answered(outcome, now, host.random());
        if matches!(outcome, Outcome::Accepted { .. })
            && self.entities == Entities::Claimed
            && !self.outbox.holds(RowKind::Entities)
        {
            lease::confirm(host, &self.gateway.config.hash, host.now() / 1_000_000);
            self.entities = Entities::Settled;
        }
    }

    /// The configuration goes: whether the outbox is empty already. If not, ticks go on until [`Exporter::is_over`].
    pub fn close(&mut self, host: &impl Host) -> bool {
        self.closing_since = Some(host.now());
        self.outbox.hurry();
        self.outbox.is_empty()
    }

    /// Whether a configuration that goes may be gone: its rows are sent, or it has waited long enough, and they are dropped.
    pub fn is_over(&mut self, host: &impl Host) -> bool {
        let Some(since) = self.closing_since else { return false };
        if !self.outbox.is_empty() && host.now().saturating_sub(since) / 1_000_000 < CLOSING_MS {
            return false;
        }
        self.outbox.abandon(host.now());
        true
    }

    /// Changes since the last call.
    pub fn take_tally(&mut self) -> Tally {
        self.outbox.take_tally()
    }

    /// Lines for Envoy's log. At the end, or a tick's, also how many rows had none.
    pub fn take_lost(&mut self, with_count: bool) -> Vec<String> {
        self.outbox.take_lost(with_count)
    }

    /// What an operator should know of an answer that is no success: the first one of a row of failures.
    fn note(&mut self, answer: &Answer, outcome: Outcome, now: u64) {
        let said = match answer.status {
            Some(status) => format!("the collector answered {status}"),
            None => "no answer of the collector".to_owned(),
        };
        let line = match outcome {
            Outcome::Accepted { .. } => match answer.partial() {
                Some(partial) => format!("{said} and rejected {} records: {}", partial.rejected, partial.message),
                None => return,
            },
            Outcome::Again { .. } if self.outbox.failures() > 0 => return,
            Outcome::Again { .. } => format!("records wait: {said}"),
            Outcome::TakeApart => {
                format!("{said}: the batch is sent in halves, and a single record refused is dropped")
            }
            Outcome::Unpack => format!("{said}: records are sent without gzip from now on"),
            Outcome::Drop => format!("{said}: the batch is dropped"),
        };
        self.outbox.note(line, now);
    }

    fn claim_entities(&mut self, now: u64, host: &impl Host) {
        if self.entities != Entities::Unclaimed || self.closing_since.is_some() {
            return;
        }
        match lease::elect(host, &self.gateway.config.hash, now / 1_000_000) {
            Lease::Pending => {}
            Lease::Settled => self.entities = Entities::Settled,
            Lease::Won => {
                for row in record::entity_rows(&self.gateway.config, now) {
                    self.outbox.push(row, now);
                }
                self.entities = Entities::Claimed;
            }
        }
    }
}

fn tick_ms(logging: &Logging) -> u64 {
    logging.flush_interval_ms.clamp(10, MAX_TICK_MS)
}

fn post(logging: &Logging, batch: &Batch) -> Post {
    let content_type = match logging.format {
        Format::Ndjson => "application/x-ndjson",
        Format::Otlp => "application/json",
    };
    let mut headers = vec![
        (":method", "POST".to_owned()),
        (":scheme", if logging.upstream.tls { "https" } else { "http" }.to_owned()),
        (":authority", logging.authority.clone()),
        (":path", logging.path.clone()),
        ("content-type", content_type.to_owned()),
    ];
    if batch.is_gzip {
        headers.push(("content-encoding", "gzip".to_owned()));
    }
    if let Some(authorization) = &logging.authorization {
        headers.push(("authorization", authorization.expose().to_owned()));
    }
    Post { cluster: logging.cluster.name().to_owned(), headers, body: batch.body.clone(), timeout_ms: TIMEOUT_MS }
}

#[cfg(test)]
mod tests;
