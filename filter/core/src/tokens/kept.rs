//! Text that is kept until it is known whether it must be counted: the first part of a request's body as it came, and of
//! what a model wrote. Nothing is looked at before that.

use super::{Count, Counter, json, request::count_part};

/// Bytes kept of a prompt, and as many of an answer.
pub const MAX_KEPT: usize = 64 << 10;

/// Characters of ordinary text for one token, where nothing better is known: Databricks' documented rule.
const CHARACTERS_PER_TOKEN: f64 = 4.0;

/// A request's body, or its first part.
#[derive(Debug, Default)]
pub struct KeptBody {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl KeptBody {
    /// Takes the body over; what is too long is given back.
    pub fn of(mut body: Vec<u8>) -> Self {
        let is_cut = body.len() > MAX_KEPT;
        if is_cut {
            body.truncate(MAX_KEPT);
            body.shrink_to_fit();
        }
        Self { bytes: body, is_cut }
    }

    /// The same of a body that is somebody else's.
    pub fn copy_of(body: &[u8]) -> Self {
        Self { bytes: body.get(..MAX_KEPT).unwrap_or(body).to_vec(), is_cut: body.len() > MAX_KEPT }
    }

    /// `characters`: of all of the prompt's text. What is not there is estimated by what is.
    pub fn count(&self, characters: u64) -> Count {
        let (counted, counted_characters) = count_part(&self.bytes);
        if !self.is_cut {
            return counted;
        }
        beyond(counted, counted_characters, characters)
    }
}

/// What a model wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptText {
    /// As it stood in JSON strings, or decoded.
    inside: Vec<u8>,
    is_plain: bool,
    /// Characters of `inside`, and of all.
    kept_characters: u64,
    characters: u64,
}

impl KeptText {
    /// The inside of a JSON string, of so many characters.
    #[inline]
    pub fn push(&mut self, inside: &str, characters: u64) {
        self.characters = self.characters.saturating_add(characters);
        if self.inside.len().saturating_add(inside.len()) <= MAX_KEPT {
            self.kept_characters = self.characters;
            self.inside.extend_from_slice(inside.as_bytes());
        }
    }

    /// A part that has been decoded. An answer's parts are all of one kind.
    pub fn push_plain(&mut self, text: &str) {
        self.is_plain = true;
        self.push(text, text.chars().count() as u64);
    }

    pub fn is_empty(&self) -> bool {
        self.characters == 0
    }

    pub fn characters(&self) -> u64 {
        self.characters
    }

    pub fn count(&self) -> Count {
        let mut counter = Counter::expecting(self.inside.len());
        match self.is_plain {
            true => counter.push_last(&self.inside),
            false => json::push_last(&mut counter, &self.inside),
        }
        let counted = counter.finish();
        if self.kept_characters == self.characters {
            return counted;
        }
        beyond(counted, self.kept_characters, self.characters)
    }
}

/// Goes on from what was counted to all `characters`.
fn beyond(counted: Count, counted_characters: u64, characters: u64) -> Count {
    let per_character = match counted_characters {
        0 => 1.0 / CHARACTERS_PER_TOKEN,
        some => (counted.tokens as f64 / some as f64).min(1.0),
    };
    let rest = characters.saturating_sub(counted_characters) as f64 * per_character;
    Count { tokens: counted.tokens.saturating_add(rest.round() as u64), is_exact: false }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn what_is_cut_is_estimated_by_the_rest() {
        let text = "A weir measures the stream. ".repeat(10_000);
        let body = format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#).into_bytes();
        let whole = super::super::count(text.as_bytes()).tokens as f64;
        let kept = KeptBody::of(body);
        assert!(kept.bytes.capacity() < 2 * MAX_KEPT);
        let counted = kept.count(text.len() as u64);
        assert!(!counted.is_exact);
        assert!((counted.tokens as f64 / whole - 1.0).abs() < 0.02, "{counted:?} instead of {whole}");

        let mut kept = KeptText::default();
        for _ in 0..10_000 {
            kept.push("A weir measures the stream. ", 28);
        }
        let counted = kept.count();
        assert!(!counted.is_exact && kept.inside.len() <= MAX_KEPT);
        assert!((counted.tokens as f64 / whole - 1.0).abs() < 0.02, "{counted:?} instead of {whole}");
    }

    #[test]
    fn what_is_whole_is_exact() {
        let mut kept = KeptText::default();
        for part in ["Hel", "lo,", " wor", "ld!\\", "n"] {
            kept.push(part, 3);
        }
        assert_eq!(kept.count(), super::super::count(b"Hello, world!\n"));
    }
}
