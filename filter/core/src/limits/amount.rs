//! What a call takes of a limit: tokens and money in, the amount of one unit out. Money is counted in billionths of a US
//! dollar, so that counters stay whole numbers; all of it saturates.

use std::fmt;

use super::Period;

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    Calls,
    /// Input and output.
    Tokens,
    InputTokens,
    OutputTokens,
    /// In billionths of a US dollar.
    CostUsd,
}

/// Billionths of a dollar: of the smallest price in use, 0.01 USD for a million tokens, a token is 10.
const NANOS: u64 = 1_000_000_000;

/// US dollars as a counter holds them, to the nearest billionth. At most 18 billion dollars.
pub fn nano_usd(usd: f64) -> u64 {
    (usd * NANOS as f64).round() as u64
}

/// What a counter holds, in US dollars.
pub fn usd(nanos: u64) -> f64 {
    nanos as f64 / NANOS as f64
}

impl Unit {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::CostUsd => "cost_usd",
        }
    }

    pub const fn is_tokens(self) -> bool {
        matches!(self, Self::Tokens | Self::InputTokens | Self::OutputTokens)
    }

    /// Whether cached tokens are a part of it.
    pub const fn has_input(self) -> bool {
        matches!(self, Self::Tokens | Self::InputTokens)
    }

    /// `60 calls`, `0.25 USD`.
    pub fn amount(self, amount: u64) -> String {
        match self {
            Self::CostUsd => {
                let (dollars, rest) = (amount / NANOS, amount % NANOS);
                let cents = format!("{rest:09}");
                let cents = cents.trim_end_matches('0');
                format!("{dollars}{}{cents} USD", if cents.is_empty() { "" } else { "." })
            }
            _ => format!("{amount} {}", self.name()),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `cached_input_weight`, in millionths: what a cached prompt token counts in a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Weight(pub u32);

impl Weight {
    pub const FULL: Self = Self(1_000_000);

    /// `cached` tokens by weight, rounded up.
    fn of(self, cached: u64) -> u64 {
        if self == Self::FULL {
            return cached;
        }
        let product = u128::from(cached).saturating_mul(u128::from(self.0));
        u64::try_from(product.div_ceil(u128::from(Self::FULL.0))).unwrap_or(u64::MAX)
    }
}

/// What a call used, or may use at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    /// A part of `input`.
    pub cached_input: u64,
    pub output: u64,
    /// Billionths of a US dollar.
    pub cost: u64,
}

impl Tokens {
    /// In one unit; of calls none.
    pub fn amount(&self, unit: Unit, cached_input_weight: Weight) -> u64 {
        let input = || {
            let cached = self.cached_input.min(self.input);
            self.input.saturating_sub(cached).saturating_add(cached_input_weight.of(cached))
        };
        match unit {
            Unit::Calls => 0,
            Unit::Tokens => input().saturating_add(self.output),
            Unit::InputTokens => input(),
            Unit::OutputTokens => self.output,
            Unit::CostUsd => self.cost,
        }
    }
}

/// `reserve`: how much an answer may be long before it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// Where the request does not say.
    pub default_max_tokens: u64,
    /// At most.
    pub cap: u64,
}

impl Reserve {
    /// The output tokens that are reserved for a request that asks for `choices` answers of at most `max_tokens`.
    pub fn output(&self, max_tokens: Option<u64>, choices: u64) -> u64 {
        max_tokens.unwrap_or(self.default_max_tokens).saturating_mul(choices.max(1)).min(self.cap)
    }
}

/// Whether waiting helps: not against a quota.
pub fn is_quota(unit: Unit, period: Period) -> bool {
    unit == Unit::CostUsd || period.is_quota()
}
