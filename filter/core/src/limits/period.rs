//! How long a limit's period is, and when one begins: a moment in, the moments around it out. Seconds, minutes and hours
//! begin with the first charge; days and months at midnight UTC. Pure, and defined for every number.

use std::fmt;

use crate::time;

/// `renewal_period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    Second,
    Minute,
    Hour,
    Day,
    Month,
}

const DAY_MS: u64 = 24 * 3_600_000;
/// The longest month there is.
const MONTH_MS: u64 = 31 * DAY_MS;

impl Period {
    /// In milliseconds; of a month the longest.
    pub const fn millis(self) -> u64 {
        match self {
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => DAY_MS,
            Self::Month => MONTH_MS,
        }
    }

    /// Whether waiting for the next one is a matter of a quota rather than of a pause.
    pub const fn is_quota(self) -> bool {
        matches!(self, Self::Day | Self::Month)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        })
    }
}

/// A period as a window sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// So many milliseconds from any moment on.
    Floating(u64),
    /// From midnight to midnight, UTC.
    Day,
    /// From the first to the first, UTC.
    Month,
}

impl Span {
    /// When the period that holds `at` began, if nothing was counted in it before.
    #[inline]
    pub fn start(self, at: u64) -> u64 {
        match self {
            Self::Floating(_) => at,
            Self::Day => at.saturating_sub(at % DAY_MS),
            Self::Month => first_of_month(at),
        }
    }

    /// When the period ends that began at `start`; always later, but at the end of time.
    #[inline]
    pub fn end(self, start: u64) -> u64 {
        match self {
            Self::Floating(length) => start.saturating_add(length),
            Self::Day => self.start(start).saturating_add(DAY_MS),
            // No month is longer, and none so short that this would pass over it.
            Self::Month => self.start(self.start(start).saturating_add(MONTH_MS)).max(start.saturating_add(1)),
        }
    }

    /// Of the period that began at `start`, in milliseconds; at least 1.
    #[inline]
    pub fn length(self, start: u64) -> u64 {
        self.end(start).saturating_sub(start).max(1)
    }
}

#[inline(never)]
fn first_of_month(at: u64) -> u64 {
    let days = at / DAY_MS;
    let (_, _, day_of_month) = time::civil(days);
    days.saturating_sub(day_of_month.saturating_sub(1)).saturating_mul(DAY_MS)
}

impl From<Period> for Span {
    #[inline]
    fn from(period: Period) -> Self {
        match period {
            Period::Day => Self::Day,
            Period::Month => Self::Month,
            Period::Second | Period::Minute | Period::Hour => Self::Floating(period.millis()),
        }
    }
}

/// Any length, for tests.
#[cfg(test)]
impl From<u64> for Span {
    fn from(length: u64) -> Self {
        Self::Floating(length)
    }
}
