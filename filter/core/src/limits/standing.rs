//! What a caller is told: how the tightest limit stands, which one refused him, and when to come back. Counters with
//! their windows in, numbers and OpenAI's form of a duration out. Never changes a count.

use std::fmt::Write;

use super::{Unit, compile::Held};

/// How the tightest of some counters stands: the one with the least remaining / limit, the first in the policy on a tie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub limit: u64,
    pub remaining: u64,
    /// Until nothing is used any more, if nothing else is charged.
    pub reset_ms: u64,
}

/// Of the counters without room, the one whose wait is longest: who waits that long is admitted, if nothing else is
/// charged meanwhile. A limit of 0 never has room and so goes before all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// An index of [`super::Limits::entries`].
    pub limit: usize,
    pub unit: Unit,
    pub maximum: u64,
    pub used: u64,
    /// Exact; the period where the limit is 0.
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
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match (hours, minutes, seconds) {
        (0, 0, 0) if millis == 0 => write!(text, "0s"),
        (0, 0, 0) => write!(text, "{millis}ms"),
        (0, 0, _) => write!(text, "{}{}s", seconds, fraction(millis)),
        (0, _, _) => write!(text, "{}m{}{}s", minutes, seconds % 60, fraction(millis)),
        _ => write!(text, "{}h{}m{}{}s", hours, minutes % 60, seconds % 60, fraction(millis)),
    };
    text
}

/// `.2` of 200 ms; nothing of none.
fn fraction(millis: u64) -> String {
    if millis == 0 {
        return String::new();
    }
    format!(".{millis:03}").trim_end_matches('0').to_string()
}

/// The refusal of the counters as they stand; `None` where each has room.
pub(super) fn refusal(counters: &[Held], now_ms: u64) -> Option<Refusal> {
    let mut worst: Option<((bool, u64), &Held)> = None;
    for held in counters.iter().filter(|held| held.used(now_ms) >= held.counter.maximum) {
        let rank = (held.counter.maximum == 0, wait(held, now_ms));
        if worst.is_none_or(|(most, _)| rank > most) {
            worst = Some((rank, held));
        }
    }
    let ((_, retry_after_ms), held) = worst?;
    Some(Refusal {
        limit: held.counter.limit,
        unit: held.counter.unit,
        maximum: held.counter.maximum,
        used: held.used(now_ms),
        retry_after_ms,
        requests: requests(counters, now_ms),
        tokens: tokens(counters, now_ms),
    })
}

/// Over the counters of calls.
pub(super) fn requests(counters: &[Held], now_ms: u64) -> Option<Standing> {
    tightest(counters.iter().filter(|held| held.counter.unit == Unit::Calls), now_ms)
}

/// Over all three token units.
pub(super) fn tokens(counters: &[Held], now_ms: u64) -> Option<Standing> {
    tightest(counters.iter().filter(|held| held.counter.unit != Unit::Calls), now_ms)
}

fn tightest<'a>(counters: impl Iterator<Item = &'a Held>, now_ms: u64) -> Option<Standing> {
    let mut tightest: Option<(Standing, &Held)> = None;
    for held in counters {
        let limit = held.counter.maximum;
        let standing = Standing { limit, remaining: limit.saturating_sub(held.used(now_ms)), reset_ms: 0 };
        if tightest.is_none_or(|(best, _)| tighter(standing, best)) {
            tightest = Some((standing, held));
        }
    }
    tightest.map(|(standing, held)| Standing {
        reset_ms: held.window.wait(now_ms, held.counter.period.millis(), 0),
        ..standing
    })
}

/// Compares remaining / limit without dividing; a limit of 0 has nothing remaining of anything.
fn tighter(a: Standing, b: Standing) -> bool {
    let cross = |x: Standing, y: Standing| u128::from(x.remaining).saturating_mul(u128::from(y.limit.max(1)));
    cross(a, b) < cross(b, a)
}

fn wait(held: &Held, now_ms: u64) -> u64 {
    let length_ms = held.counter.period.millis();
    match held.counter.maximum.checked_sub(1) {
        Some(target) => held.window.wait(now_ms, length_ms, target),
        None => length_ms,
    }
}
