//! Which limits apply to a caller, whether they admit him, and what an answer adds to them.

use std::fmt;

/// One entry of `ai_gateway.rate_limits`, as configured. A limit holds each of its units in a counter of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    pub key: LimitKey,
    /// Each unit at most once, with its maximum in one period.
    pub units: Vec<(Unit, u64)>,
    pub period: Period,
    /// `name`, for messages and records.
    pub name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    Endpoint,
    /// `key: user` without `principal`: each user on his own.
    EachUser,
    User(String),
    ServicePrincipal(String),
    UserGroup(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    Calls,
    /// Input and output.
    Tokens,
    InputTokens,
    OutputTokens,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    Second,
    Minute,
    Hour,
}

impl Period {
    pub const fn millis(self) -> u64 {
        match self {
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calls => "calls",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
        })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
        })
    }
}

/// An endpoint's limits, compiled: who is subject to which, and where each counter lies.
#[derive(Debug, Default)]
pub struct Limits {
    limits: Vec<Limit>,
}

impl Limits {
    pub fn new(_endpoint: &str, limits: Vec<Limit>) -> Self {
        Self { limits }
    }

    /// As configured, in the policy's order.
    pub fn entries(&self) -> &[Limit] {
        &self.limits
    }
}
