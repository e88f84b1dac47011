//! What a caller is told: how the tightest limit stands, which one refused him, and when to come back. Counters with
//! their windows in, numbers and OpenAI's form of a duration out. Never changes a count.

use super::{
    Unit,
    compile::Held,
    period::{Period, Span},
};
use crate::decimal;

/// How the tightest of some counters stands: the one with the least remaining / limit, the first in the policy on a tie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub limit: u64,
    pub remaining: u64,
    /// Until nothing is used any more, if nothing else is charged.
    pub reset_ms: u64,
}

/// Of the counters that stop the caller, the one whose wait is longest: who waits that long is admitted, if nothing else
/// is charged meanwhile. What never has room (a limit of 0, or one below what the call reserves) goes before all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// An index of [`super::Limits::entries`].
    pub limit: usize,
    pub unit: Unit,
    pub period: Period,
    pub maximum: u64,
    pub used: u64,
    /// What this call would have been charged; at least 1.
    pub needed: u64,
    /// Exact; the period where the call can never have room.
    pub retry_after_ms: u64,
    pub requests: Option<Standing>,
    pub tokens: Option<Standing>,
}

impl Standing {
    /// `x-ratelimit-reset-*`, as OpenAI writes it.
    pub fn reset(&self) -> String {
        duration(self.reset_ms)
    }
}

impl Refusal {
    /// `Retry-After`: whole seconds, at least 1, never earlier than the exact moment.
    pub fn retry_after_seconds(&self) -> u64 {
        self.retry_after_ms.div_ceil(1_000).max(1)
    }
}

/// A duration as OpenAI's headers have it, which is Go's: `6m0s`, `1.2s`, `350ms`, `1h0m0s`, `0s`.
pub fn duration(ms: u64) -> String {
    let (seconds, millis) = (ms / 1_000, ms % 1_000);
    let (minutes, hours) = (seconds / 60, seconds / 3_600);
    let mut text = Vec::with_capacity(16);
    if seconds == 0 && millis > 0 {
        decimal::push(&mut text, millis);
        text.extend_from_slice(b"ms");
    } else {
        if hours > 0 {
            decimal::push(&mut text, hours);
            text.push(b'h');
        }
        if minutes > 0 {
            decimal::push(&mut text, minutes % 60);
            text.push(b'm');
        }
        decimal::push(&mut text, seconds % 60);
        fraction(&mut text, millis);
        text.push(b's');
    }
    // Digits and letters: this never fails.
    String::from_utf8(text).unwrap_or_default()
}

/// `.2` of 200 ms; nothing of none.
fn fraction(text: &mut Vec<u8>, millis: u64) {
    if millis > 0 {
        text.push(b'.');
        decimal::push_padded(text, millis as u32, 3);
        text.truncate(text.len().saturating_sub(text.iter().rev().take_while(|digit| **digit == b'0').count()));
    }
}

/// The refusal of the counters as they stand; `None` where the caller may go on. Shadow limits refuse nobody.
pub(super) fn refusal(counters: &[Held], now_ms: u64) -> Option<Box<Refusal>> {
    let (rank, held) = worst(counters, now_ms, |held| !held.counter.shadow)?;
    let (requests, tokens) = headers(counters, now_ms);
    Some(Box::new(Refusal {
        limit: held.counter.limit(),
        unit: held.counter.unit,
        period: held.counter.period,
        maximum: held.counter.maximum,
        used: held.used(now_ms),
        needed: held.needed(),
        retry_after_ms: rank.wait_ms,
        requests,
        tokens,
    }))
}

/// The limit that would refuse an admitted call if none were a shadow: an index of the limits.
pub(super) fn would_refuse(counters: &[Held], now_ms: u64) -> Option<usize> {
    if !counters.iter().any(|held| held.counter.shadow) {
        return None;
    }
    worst(counters, now_ms, |_| true).map(|(_, held)| held.counter.limit())
}

/// How hard a counter stops a caller: what never has room more than anything, then by the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    never: bool,
    wait_ms: u64,
}

impl Rank {
    /// `None`: there is room.
    fn of(held: &Held, now_ms: u64) -> Option<Self> {
        if held.has_room(now_ms) {
            return None;
        }
        let span = Span::from(held.counter.period);
        Some(match held.counter.maximum.checked_sub(held.needed()) {
            Some(target) => Self { never: false, wait_ms: held.wait(now_ms, target) },
            None => Self { never: true, wait_ms: span.length(span.start(now_ms)) },
        })
    }
}

type Ranked<'a> = (Rank, &'a Held);

/// Of two, the one that stops harder; the first on a tie.
fn harder<'a>(a: Option<Ranked<'a>>, b: Option<Ranked<'a>>) -> Option<Ranked<'a>> {
    match (a, b) {
        (Some(first), Some(second)) if second.0 <= first.0 => Some(first),
        (first, None) => first,
        (_, second) => second,
    }
}

/// What stops the caller: the hardest of the counters without room. Groups that stop him only all together stop him as
/// their least does.
fn worst(counters: &[Held], now_ms: u64, counts: impl Fn(&Held) -> bool) -> Option<Ranked<'_>> {
    let mut worst = None;
    let mut has_groups = false;
    for held in counters.iter().filter(|held| counts(held)) {
        match held.counter.group {
            Some(_) => has_groups = true,
            None => worst = harder(worst, Rank::of(held, now_ms).map(|rank| (rank, held))),
        }
    }
    if has_groups { harder(worst, worst_of_groups(counters, now_ms, counts)) } else { worst }
}

/// Groups stop a caller only when each of them does: then the one that lets him in first. At most 5 groups of 5 units.
fn worst_of_groups(counters: &[Held], now_ms: u64, counts: impl Fn(&Held) -> bool) -> Option<Ranked<'_>> {
    let mut least: Option<Ranked<'_>> = None;
    for (at, held) in counters.iter().enumerate() {
        let of_group = |other: &&Held| counts(other) && other.counter.group == held.counter.group;
        let is_first = !counters.iter().take(at).any(|other| of_group(&other));
        if held.counter.group.is_none() || !counts(held) || !is_first {
            continue;
        }
        let ranked = counters.iter().filter(of_group).map(|held| Rank::of(held, now_ms).map(|rank| (rank, held)));
        let stops = ranked.fold(None, harder)?;
        if least.is_none_or(|(rank, _)| stops.0 < rank) {
            least = Some(stops);
        }
    }
    least
}

/// The tightest of calls, and the tightest over all three token units. Shadow limits are not shown: a client that goes by
/// these would hold back for what refuses nobody.
pub(super) fn headers(counters: &[Held], now_ms: u64) -> (Option<Standing>, Option<Standing>) {
    let shown = |held: &&Held| !held.counter.shadow;
    let requests = tightest(counters.iter().filter(shown).filter(|held| held.counter.unit == Unit::Calls), now_ms);
    let tokens = tightest(counters.iter().filter(shown).filter(|held| held.counter.unit.is_tokens()), now_ms);
    (requests, tokens)
}

/// Of groups that stop only all together, the loosest stands for all.
fn tightest<'a>(counters: impl Iterator<Item = &'a Held> + Clone, now_ms: u64) -> Option<Standing> {
    let of = |held: &Held| {
        let limit = held.counter.maximum;
        Standing { limit, remaining: limit.saturating_sub(held.used(now_ms)), reset_ms: 0 }
    };
    let mut tightest: Option<(Standing, &Held)> = None;
    let mut loosest_group: Option<(Standing, &Held)> = None;
    for held in counters.clone() {
        let Some(group) = held.counter.group else {
            let standing = of(held);
            if tightest.is_none_or(|(best, _)| tighter(standing, best)) {
                tightest = Some((standing, held));
            }
            continue;
        };
        // The group's own tightest; each of its counters finds the same one.
        let mut own: Option<(Standing, &Held)> = None;
        for held in counters.clone().filter(|other| other.counter.group == Some(group)) {
            let standing = of(held);
            if own.is_none_or(|(best, _)| tighter(standing, best)) {
                own = Some((standing, held));
            }
        }
        if let Some(own) = own
            && loosest_group.is_none_or(|(loosest, _)| tighter(loosest, own.0))
        {
            loosest_group = Some(own);
        }
    }
    let of_all = match (tightest, loosest_group) {
        (Some(own), Some(group)) if tighter(group.0, own.0) => Some(group),
        (own, group) => own.or(group),
    };
    of_all.map(|(standing, held)| Standing { reset_ms: reset_ms(held, now_ms), ..standing })
}

/// Until nothing of it is used any more, if nothing else is charged.
pub(super) fn reset_ms(held: &Held, now_ms: u64) -> u64 {
    held.wait(now_ms, 0)
}

/// Compares remaining / limit without dividing; a limit of 0 has nothing remaining of anything.
fn tighter(a: Standing, b: Standing) -> bool {
    let cross = |x: Standing, y: Standing| u128::from(x.remaining).saturating_mul(u128::from(y.limit.max(1)));
    cross(a, b) < cross(b, a)
}
