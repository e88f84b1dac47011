//! What a request used, and how it is known.

use crate::{config::Price, response::Read};

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// By the provider.
    Reported,
    /// By a rule of thumb.
    Estimated,
}

impl TokenSource {
    pub fn name(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Estimated => "estimated",
        }
    }
}

impl Usage {
    /// What the provider reports is what counts; what it leaves out is estimated from the characters. An answer without
    /// a text (embeddings) has no output.
    pub fn of(answer: &Read, prompt_characters: u64) -> Self {
        let reported = answer.usage.unwrap_or_default();
        let output = match reported.output {
            None if answer.characters == 0 => Some(0),
            output => output,
        };
        let source = match (reported.input, output) {
            (Some(_), Some(_)) => TokenSource::Reported,
            _ => TokenSource::Estimated,
        };
        Self {
            input: reported.input.unwrap_or_else(|| estimate(prompt_characters)),
            output: output.unwrap_or_else(|| estimate(answer.characters)),
            cached_input: reported.cached_input,
            cache_write_input: reported.cache_write_input,
            reasoning: reported.reasoning,
            source: Some(source),
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

/// Databricks' documented rule where a provider reports nothing: `(text_length + 1) / 4`.
pub fn estimate(characters: u64) -> u64 {
    characters.saturating_add(1) / 4
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::response::Reported;

    #[test]
    fn reported_or_estimated() {
        let reported = |input, output| Some(Reported { input, output, ..Reported::default() });
        let cases = [
            // (reported, characters of the answer, input, output, source); the prompt has 39 characters
            (reported(Some(7), Some(5)), 3, 7, 5, TokenSource::Reported),
            (reported(Some(7), None), 0, 7, 0, TokenSource::Reported),
            (reported(Some(7), None), 11, 7, 3, TokenSource::Estimated),
            (None, 11, 10, 3, TokenSource::Estimated),
            (None, 0, 10, 0, TokenSource::Estimated),
        ];
        for (usage, characters, input, output, source) in cases {
            let found = Usage::of(&Read { usage, characters, ..Read::default() }, 39);
            assert_eq!((found.input, found.output, found.source), (input, output, Some(source)));
        }
        assert_eq!(estimate(u64::MAX), u64::MAX / 4);
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
