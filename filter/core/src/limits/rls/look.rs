//! How a caller's counters stand at an engine: a look at all of them, which charges nothing. Not every engine can be looked at,
//! and one that cannot takes a look for a call: so it is asked before.

use super::{
    answer::{self, Fault},
    wire::put_bytes,
};
use crate::{
    caller::Caller,
    limits::{Limits, Overview, Tokens, compile::Held},
};

/// Of an answer's bytes, for each descriptor: a status has some 30.
const STATUS_BYTES: usize = 256;

/// A `RateLimitRequest` that is about no limit, and so harmless to any engine. One that knows an addend for each descriptor has
/// a status for each too (envoyproxy/ratelimit); Limitador, for which 0 hits are 1, has none.
pub fn probe(domain: &str) -> Vec<u8> {
    let (mut entry, mut descriptor, mut request) = (Vec::new(), Vec::new(), Vec::new());
    put_bytes(&mut entry, 1, b"weir");
    put_bytes(&mut entry, 2, b"look");
    put_bytes(&mut descriptor, 1, &entry);
    // 0, and there.
    put_bytes(&mut descriptor, 3, &[]);
    put_bytes(&mut request, 1, domain.as_bytes());
    put_bytes(&mut request, 2, &descriptor);
    request
}

/// Whether the engine that answered [`probe`] so can be looked at.
///
/// # Errors
///
/// The answer is none.
pub fn can_look(answer: &[u8]) -> Result<bool, Fault> {
    answer::read(answer, 1).map(|answer| !answer.statuses.is_empty())
}

/// What one endpoint's counters are asked for.
#[derive(Debug)]
pub struct Look {
    held: Vec<Held>,
}

impl Look {
    /// At the counters that apply to the caller; `None` where there are none.
    pub fn at(limits: &Limits, caller: &Caller) -> Option<Self> {
        let mut held = limits.applicable(caller, Tokens::default());
        held.iter_mut().for_each(|held| held.charged = 0);
        Some(Self { held }).filter(|look| !look.held.is_empty())
    }

    /// How many bytes the answer to some looks may have.
    pub fn answer_bytes<'l>(looks: impl Iterator<Item = &'l Self>) -> usize {
        looks.map(|look| look.held.len()).fold(1, usize::saturating_add).saturating_mul(STATUS_BYTES)
    }

    /// What the policy alone says of them: nothing counted is known.
    pub fn unseen(&self) -> Vec<Overview> {
        self.held.iter().map(|held| Overview::of(held, 0)).collect()
    }
}

/// The `RateLimitRequest` of some looks, each with its endpoint's limits.
pub fn question<'l>(domain: &str, caller: &Caller, looks: impl Iterator<Item = (&'l Limits, &'l Look)>) -> Vec<u8> {
    let mut request = Vec::new();
    put_bytes(&mut request, 1, domain.as_bytes());
    looks.for_each(|(limits, look)| limits.put_descriptors(&mut request, caller, &look.held));
    request
}

/// What the engine says of all looks: how each counter stands, in the order of the question.
///
/// # Errors
///
/// The answer is none, is about something else, or says that the engine knows no such limit.
pub fn seen(looks: &[Look], answer: &[u8], now_ms: u64) -> Result<Vec<Vec<Overview>>, Fault> {
    let expected = looks.iter().map(|look| look.held.len()).fold(0, usize::saturating_add);
    let answer = answer::read(answer, expected)?;
    if answer.statuses.len() != expected {
        return Err(Fault::Unreadable);
    }
    let mut statuses = answer.statuses.iter();
    let mut stands = |held: &Held| {
        let told = statuses.next().ok_or(Fault::Unreadable)?.of(held)?;
        Ok(Overview::of(&Held { told: Some(told), ..*held }, now_ms))
    };
    looks.iter().map(|look| look.held.iter().map(&mut stands).collect()).collect()
}
