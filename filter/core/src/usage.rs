//! What a request used, and how it is known.

use crate::{config::Price, response::Read, tokens::Count};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cached_input: Option<u64>,
    pub cache_write_input: Option<u64>,
    pub reasoning: Option<u64>,
    /// `None`: nothing was used.
    pub source: Option<TokenSource>,
}

/// In order: what is known in two ways is known in the worse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenSource {
    /// By the provider.
    Reported,
    /// By Weir, token by token, with the model's own tokenizer.
    Counted,
    /// By Weir, where a part was not counted, or the tokenizer is another one.
    Estimated,
}

impl TokenSource {
    pub fn name(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Counted => "counted",
            Self::Estimated => "estimated",
        }
    }
}

impl Usage {
    /// What the provider reports is what counts; what it leaves out is counted, which is done only then. An answer without
    /// a text (embeddings) has no output. `in_own_tokens` turns a count into the model's own tokens.
    pub fn of(answer: &Read, count_prompt: impl FnOnce() -> Count, in_own_tokens: impl Fn(Count) -> Count) -> Self {
        let reported = answer.usage.unwrap_or_default();
        let input = Known::of(reported.input, || in_own_tokens(count_prompt()));
        let output = match reported.output {
            None if answer.is_read && answer.text.is_empty() => Known { tokens: 0, source: TokenSource::Reported },
            None if answer.text.is_empty() => Known { tokens: 0, source: TokenSource::Estimated },
            output => Known::of(output, || in_own_tokens(answer.text.count())),
        };
        Self {
            input: input.tokens,
            output: output.tokens,
            cached_input: reported.cached_input,
            cache_write_input: reported.cache_write_input,
            reasoning: reported.reasoning,
            source: Some(input.source.max(output.source)),
        }
    }

    /// In US dollars. Input tokens read from a cache or written into one are part of the input and priced apart.
    pub fn cost_usd(&self, price: &Price) -> f64 {
        let cached = self.cached_input.unwrap_or(0).min(self.input);
        let written = self.cache_write_input.unwrap_or(0).min(self.input.saturating_sub(cached));
        let fresh = self.input.saturating_sub(cached).saturating_sub(written);
        (fresh as f64 * price.input_per_million_usd
            + cached as f64 * price.cached_input_per_million_usd
            + written as f64 * price.cache_write_input_per_million_usd
            + self.output as f64 * price.output_per_million_usd)
            / 1e6
    }
}

struct Known {
    tokens: u64,
    source: TokenSource,
}

impl Known {
    fn of(reported: Option<u64>, count: impl FnOnce() -> Count) -> Self {
        match reported {
            Some(tokens) => Self { tokens, source: TokenSource::Reported },
            None => {
                let Count { tokens, is_exact } = count();
                Self { tokens, source: if is_exact { TokenSource::Counted } else { TokenSource::Estimated } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::response::Reported;

    #[test]
    fn reported_counted_or_estimated() {
        use TokenSource::{Counted, Estimated, Reported as FromProvider};
        let reported = |input, output| Some(Reported { input, output, ..Reported::default() });
        let exact = |tokens| Count { tokens, is_exact: true };
        let cases = [
            // (reported, the answer, whether it was read, input, output, source); the prompt has 10 tokens
            (reported(Some(7), Some(5)), "one two", true, 7, 5, FromProvider),
            (reported(Some(7), None), "", true, 7, 0, FromProvider),
            (reported(Some(7), None), "", false, 7, 0, Estimated),
            (reported(Some(7), None), "one two", true, 7, 2, Counted),
            (reported(None, Some(5)), "one two", true, 10, 5, Counted),
            (None, "one two", true, 10, 2, Counted),
            (None, "", false, 10, 0, Estimated),
        ];
        for (usage, answer, is_read, input, output, source) in cases {
            let mut read = Read { usage, is_read, ..Read::default() };
            read.text.push(answer, answer.len() as u64);
            let found = Usage::of(&read, || exact(10), |count| count);
            assert_eq!((found.input, found.output, found.source), (input, output, Some(source)), "{read:?}");
        }
        let mut read = Read { is_read: true, ..Read::default() };
        read.text.push("one two", 7);
        let twice = Usage::of(&read, || exact(10), |count| count.scaled(2.0));
        assert_eq!((twice.input, twice.output, twice.source), (20, 4, Some(Estimated)));
    }

    #[test]
    fn cached_input_has_its_own_price() {
        let price = Price {
            input_per_million_usd: 2.0,
            cached_input_per_million_usd: 1.0,
            cache_write_input_per_million_usd: 4.0,
            output_per_million_usd: 10.0,
        };
        let usage = Usage { input: 1_000_000, output: 100_000, cached_input: Some(500_000), ..Usage::default() };
        assert_eq!(usage.cost_usd(&price), 2.5);
        let usage = Usage { cache_write_input: Some(250_000), ..usage };
        assert_eq!(usage.cost_usd(&price), 3.0);
    }
}
