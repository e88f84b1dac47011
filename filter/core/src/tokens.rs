//! Tokens of texts, by OpenAI's o200k_base: exactly up to a bound, by an estimate behind that. Text goes in, as bytes or as it
//! stands in JSON; a [`Count`] comes out, whatever the text is. `docs/tokens.md` says how exact, and what is counted.

pub mod bpe;
pub mod calibrate;
pub mod classes;
pub mod counter;
pub mod estimate;
pub mod hash;
pub mod json;
mod kept;
pub mod pretokenize;
mod request;
pub mod tables;
mod tools;
mod weights;

pub use counter::Counter;
pub use kept::{KeptBody, KeptText, MAX_KEPT};
pub use request::count_request;

/// How many tokens, and how that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub tokens: u64,
    /// Every token was counted; else a part was estimated.
    pub is_exact: bool,
}

impl Count {
    /// In another tokenizer's tokens, by its ratio.
    pub fn scaled(self, ratio: f64) -> Self {
        Self { tokens: (self.tokens as f64 * ratio).round() as u64, is_exact: false }
    }
}

/// Counts one text.
pub fn count(text: &[u8]) -> Count {
    let mut counter = Counter::expecting(text.len());
    counter.push_last(text);
    counter.finish()
}

/// Counts one text unless it has more than `limit` tokens; then it is left at that, and there is no count.
pub fn count_up_to(text: &[u8], limit: u64) -> Option<Count> {
    let mut counter = Counter::up_to(limit);
    counter.push_last(text);
    let count = counter.finish();
    (count.tokens <= limit).then_some(count)
}
