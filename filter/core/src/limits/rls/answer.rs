//! A `RateLimitResponse`: bytes in, what the engine says of each descriptor out.

use super::descriptor::{self, from_amount};
use crate::{
    limits::compile::{Held, Told},
    wire::{Fields, Value},
};

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not of the protocol, or without a verdict.
    Unreadable,
    /// It admits since it has no limit for a descriptor: its configuration has not even the domain.
    NoSuchLimit,
}

pub struct Answer {
    pub is_over: bool,
    /// One for each descriptor, in their order; Limitador sends none.
    pub statuses: Vec<Status>,
}

/// `RateLimitResponse.DescriptorStatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    is_over: bool,
    /// The limit that the engine went by.
    limit: Option<u64>,
    remaining: u64,
    reset_ms: Option<u64>,
}

const OK: u64 = 1;
const OVER_LIMIT: u64 = 2;

/// The answer to a request of `most` descriptors.
pub fn read(message: &[u8], most: usize) -> Result<Answer, Fault> {
    let (mut code, mut statuses) = (0, Vec::new());
    for field in Fields(message) {
        match field.ok_or(Fault::Unreadable)? {
            (1, Value::Number(number)) => code = number,
            (2, Value::Bytes(_)) if statuses.len() >= most => return Err(Fault::Unreadable),
            (2, Value::Bytes(status)) => statuses.push(status_of(status).ok_or(Fault::Unreadable)?),
            _ => {}
        }
    }
    match code {
        OK | OVER_LIMIT => Ok(Answer { is_over: code == OVER_LIMIT, statuses }),
        _ => Err(Fault::Unreadable),
    }
}

fn status_of(message: &[u8]) -> Option<Status> {
    let mut status = Status::default();
    for field in Fields(message) {
        match field? {
            (1, Value::Number(code)) => status.is_over = code == OVER_LIMIT,
            (2, Value::Bytes(limit)) => status.limit = Some(number(limit, 1)?),
            (3, Value::Number(remaining)) => status.remaining = remaining,
            (4, Value::Bytes(duration)) => {
                let (seconds, nanos) = (number(duration, 1)?, number(duration, 2)?);
                status.reset_ms = Some(seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000));
            }
            _ => {}
        }
    }
    Some(status)
}

/// One number of a message; 0 where it is absent.
fn number(message: &[u8], wanted: u64) -> Option<u64> {
    let mut found = 0;
    for field in Fields(message) {
        if let (field, Value::Number(number)) = field?
            && field == wanted
        {
            found = number;
        }
    }
    Some(found)
}

impl Status {
    /// What was used before this call, in the counter's own unit.
    pub fn of(&self, held: &Held) -> Result<Told, Fault> {
        let counter = &held.counter;
        let reset_ms = self.reset_ms.unwrap_or_else(|| counter.period.millis());
        if self.is_over {
            return Ok(Told { used: counter.maximum, reset_ms });
        }
        if self.limit.is_none() && self.remaining == 0 {
            return Err(Fault::NoSuchLimit);
        }
        let limit = self.limit.unwrap_or_else(|| descriptor::amount(counter.unit, counter.maximum));
        let after = limit.saturating_sub(self.remaining);
        let before = after.saturating_sub(descriptor::amount(counter.unit, held.charged));
        Ok(Told { used: from_amount(counter.unit, before), reset_ms })
    }
}
