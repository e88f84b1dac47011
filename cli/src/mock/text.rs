//! The mock's words: what it answers, how it counts tokens, how a text is cut into a stream's deltas. One token is one run of
//! characters that are not whitespace (`str::split_whitespace`), so that a test can count for itself.

use serde_json::Value;

/// The words of made-up answers, over and over.
const WORDS: [&str; 16] = [
    "a", "weir", "measures", "the", "stream", "and", "holds", "it", "to", "what", "its", "bed", "can", "carry", "each",
    "day.",
];

/// The tokens of a text.
pub fn count(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// The tokens of a prompt in any of the shapes that the API takes: a text; a list of texts, of parts with a `text`, or of
/// token numbers (one each); lists of those.
pub fn count_prompt(prompt: &Value) -> u64 {
    match prompt {
        Value::String(text) => count(text),
        Value::Number(_) => 1,
        Value::Array(items) => items.iter().map(count_prompt).fold(0, u64::saturating_add),
        Value::Object(part) => part.get("text").map_or(0, count_prompt),
        Value::Null | Value::Bool(_) => 0,
    }
}

/// What the mock says when nobody told it what to say.
pub fn greeting(name: &str) -> String {
    format!("Hello from {name}: {}", words(WORDS.len()))
}

/// A text of exactly `n` tokens.
pub fn words(n: usize) -> String {
    WORDS.iter().cycle().take(n).copied().collect::<Vec<_>>().join(" ")
}

/// The text up to the end of its `n`th token, and whether something was cut off.
pub fn cut(text: &str, n: u64) -> (&str, bool) {
    let mut seen = 0u64;
    let mut in_word = false;
    for (at, letter) in text.char_indices() {
        if letter.is_whitespace() {
            in_word = false;
        } else if !in_word {
            if seen == n {
                return (text.get(..at).unwrap_or_default().trim_end(), true);
            }
            in_word = true;
            seen = seen.saturating_add(1);
        }
    }
    (text, false)
}

/// Cuts a text into `pieces` parts, of whole words while there are enough words, else of whole characters; never more
/// parts than characters. Without a number, one part per word. The parts joined are the text.
pub fn pieces(text: &str, pieces: Option<usize>) -> Vec<&str> {
    if text.is_empty() {
        return Vec::new();
    }
    let words = word_ends(text);
    let wanted = pieces.unwrap_or(words.len());
    let ends = if wanted <= words.len() {
        words
    } else {
        text.char_indices().skip(1).map(|(at, _)| at).chain([text.len()]).collect()
    };
    let wanted = wanted.min(ends.len());
    let mut start = 0;
    (1..=wanted)
        .filter_map(|part| {
            let last = part.saturating_mul(ends.len()).checked_div(wanted)?.checked_sub(1)?;
            let end = *ends.get(last)?;
            text.get(std::mem::replace(&mut start, end)..end)
        })
        .collect()
}

/// Where each word ends, its leading whitespace being its own and trailing whitespace the last one's.
fn word_ends(text: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut in_word = false;
    for (at, letter) in text.char_indices() {
        if in_word && letter.is_whitespace() {
            ends.push(at);
        }
        in_word = !letter.is_whitespace();
    }
    if in_word || ends.is_empty() {
        ends.push(text.len());
    } else if let Some(last) = ends.last_mut() {
        *last = text.len();
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_counted_in_every_shape() {
        for (prompt, tokens) in [
            (r#""one two  three\n""#, 3),
            (r#"["one two","three"]"#, 3),
            (r#"[15496, 995]"#, 2),
            (r#"[{"type":"text","text":"one two"},{"type":"image_url","image_url":{"url":"x y"}}]"#, 2),
            ("null", 0),
        ] {
            assert_eq!(count_prompt(&serde_json::from_str(prompt).unwrap()), tokens, "{prompt}");
        }
    }

    #[test]
    fn a_cut_keeps_whole_words() {
        assert_eq!(cut("one two three", 2), ("one two", true));
        assert_eq!(cut("one two three ", 3), ("one two three ", false));
        assert_eq!(cut(" one", 0), ("", true));
        assert_eq!(cut("", 0), ("", false));
    }

    #[test]
    fn pieces_join_to_the_text() {
        for text in ["", "  ", "one", "one two  three ", " é ü", &words(40), &greeting("a")] {
            for n in [None, Some(1), Some(2), Some(7), Some(10_000)] {
                let parts = pieces(text, n);
                assert_eq!(parts.concat(), text, "{text:?} in {n:?}");
                let most = n.unwrap_or(usize::MAX).min(text.chars().count());
                assert!(parts.len() <= most, "{text:?} in {n:?}: {parts:?}");
            }
        }
        assert_eq!(pieces("one two three", Some(2)), ["one", " two three"]);
        assert_eq!(pieces("ab cd", Some(4)).len(), 4);
        assert_eq!(pieces(&words(200), Some(200)).len(), 200);
        assert_eq!(count(&words(33)), 33);
    }
}
