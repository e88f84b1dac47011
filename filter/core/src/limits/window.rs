//! The arithmetic of one counter's window: a window and the clock in; what is used, how long to wait and the next window
//! out. Pure: no clock, no store, no knowledge of limits. Never panics, never wraps, and a clock that steps back makes
//! the elapsed time 0: never negative, never a reset.

use super::period::Span;

/// What a counter holds. Its period starts with the first charge; windows follow back to back while it is used, and a
/// whole period without a charge ends the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// When the current period began, in milliseconds since the Unix epoch.
    pub start_ms: u64,
    /// Charged in the current period.
    pub current: u64,
    /// Charged in the period just before it.
    pub previous: u64,
}

impl Window {
    /// The same counter at `now_ms`: moved on by a period, or new where nothing of it counts any more.
    #[inline]
    pub fn at(self, now_ms: u64, span: impl Into<Span>) -> Self {
        let span = span.into();
        if (self.current, self.previous) != (0, 0) {
            let end = span.end(self.start_ms);
            if now_ms < end || now_ms <= self.start_ms {
                return self;
            }
            if self.current > 0 && now_ms < span.end(end) {
                return Self { start_ms: end, current: 0, previous: self.current };
            }
        }
        Self { start_ms: span.start(now_ms), current: 0, previous: 0 }
    }

    /// current + previous x remaining share, rounded up.
    #[inline]
    pub fn used(self, now_ms: u64, span: impl Into<Span>) -> u64 {
        let span = span.into();
        let window = self.at(now_ms, span);
        if window.previous == 0 {
            return window.current;
        }
        let length = span.length(window.start_ms);
        let remaining = length.saturating_sub(now_ms.saturating_sub(window.start_ms));
        window.current.saturating_add(share(window.previous, remaining, length))
    }

    /// With `amount` more in the period that holds `now_ms`.
    #[inline]
    pub fn charged(self, now_ms: u64, span: impl Into<Span>, amount: u64) -> Self {
        let window = self.at(now_ms, span);
        Self { current: window.current.saturating_add(amount), ..window }
    }

    /// With `actual` in the place of the `reserved` that were charged to the period that began at `start_ms`, while that
    /// still counts; else unchanged.
    pub fn trued_up(self, start_ms: u64, span: impl Into<Span>, reserved: u64, actual: u64) -> Self {
        let changed = |count: u64| match actual.checked_sub(reserved) {
            Some(more) => count.saturating_add(more),
            None => count.saturating_sub(reserved.saturating_sub(actual)),
        };
        if self.start_ms == start_ms {
            Self { current: changed(self.current), ..self }
        } else if self.start_ms == span.into().end(start_ms) {
            Self { previous: changed(self.previous), ..self }
        } else {
            self
        }
    }

    /// The exact number of milliseconds from `now_ms` until no more than `target` is used, if nothing is charged
    /// meanwhile; 0 where that is so already. Who comes a millisecond earlier finds more used.
    pub fn wait(self, now_ms: u64, span: impl Into<Span>, target: u64) -> u64 {
        let span = span.into();
        if self.used(now_ms, span) <= target {
            return 0;
        }
        let window = self.at(now_ms, span);
        let length = span.length(window.start_ms);
        let at = if window.current <= target {
            fades(window.previous, target.saturating_sub(window.current), length)
        } else {
            let next = span.length(span.end(window.start_ms));
            length.saturating_add(fades(window.current, target, next))
        };
        window.start_ms.saturating_add(at).saturating_sub(now_ms)
    }

    /// Whether nothing of it counts at `now_ms`, nor later.
    pub fn expired(self, now_ms: u64, span: impl Into<Span>) -> bool {
        let window = self.at(now_ms, span);
        window.current == 0 && window.previous == 0
    }

    /// A clock that was ahead by more than a period and was set right would leave windows that begin in a far future and
    /// block for as long. They begin now instead, with all they have counted.
    pub fn rebased(self, now_ms: u64, span: impl Into<Span>) -> Self {
        if self.start_ms <= now_ms {
            return self;
        }
        let span = span.into();
        if self.start_ms > span.end(now_ms) { Self { start_ms: span.start(now_ms), ..self } } else { self }
    }
}

/// count x remaining / length, rounded up.
fn share(count: u64, remaining: u64, length: u64) -> u64 {
    let product = u128::from(count).saturating_mul(u128::from(remaining));
    u64::try_from(product.div_ceil(u128::from(length.max(1)))).unwrap_or(u64::MAX)
}

/// How long after its successor's start a period's `count` weighs no more than `room`: the first `elapsed` at which
/// `share(count, length - elapsed, length) <= room`.
fn fades(count: u64, room: u64, length: u64) -> u64 {
    let remaining = u128::from(room).saturating_mul(u128::from(length)).checked_div(u128::from(count));
    let remaining = remaining.and_then(|r| u64::try_from(r).ok()).unwrap_or(u64::MAX);
    length.saturating_sub(remaining)
}
