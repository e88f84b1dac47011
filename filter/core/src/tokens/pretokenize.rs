//! o200k_base's regular expression by hand, in one linear scan: text in, the end of the piece that begins at an offset out.
//! Never looks back, never backtracks over more than one run of letters. The expression, whose alternatives are tried in
//! this order:
//!
//! ```text
//! [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! \p{N}{1,3}
//!  ?[^\s\p{L}\p{N}]+[\r\n/]*
//! \s*[\r\n]+
//! \s+(?!\S)
//! \s+
//! ```

pub mod ascii;

use super::classes::{Class, at};

/// Where a piece ends, and how far the text was looked at to tell: if that is beyond the text's end so far, more text may
/// move the piece's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub end: usize,
    pub seen: usize,
}

/// Behind what was looked at at least: the longest character, or the longest of `'s`, `'ve` and the like.
const LOOKAHEAD: usize = 4;

impl Piece {
    fn new(end: usize, seen: usize) -> Self {
        Self { end, seen: seen.max(end).saturating_add(LOOKAHEAD) }
    }
}

/// The piece that begins at `start`, which must be within the text; it has at least one byte.
#[inline]
pub fn next(text: &[u8], start: usize) -> Piece {
    let Some((first, length)) = at(text, start) else { return Piece::new(start.saturating_add(1), start) };
    let behind = start + length;
    match first {
        Class::Upper | Class::Lower | Class::Letter => {
            let word = Word::at(text, start);
            word.piece(text, word.end.unwrap_or(word.capitals))
        }
        Class::Number => numbers(text, behind),
        Class::Newline => spaces(text, start),
        Class::Other | Class::Space | Class::Mark => match at(text, behind) {
            Some((class, _)) if class.is_capital() || class.is_small() => {
                after_sign(text, start, first, behind).unwrap_or_else(|| signs(text, start, first))
            }
            _ if first == Class::Mark => Piece::new(contraction(text, behind), behind),
            _ => signs(text, start, first),
        },
    }
}

/// A run of letters: of capitals, then of small ones, where those without case and marks are both.
struct Word {
    /// The end of the first alternative's match; `None` where it has none.
    end: Option<usize>,
    /// The end of the capitals.
    capitals: usize,
    seen: usize,
}

impl Word {
    #[inline]
    fn at(text: &[u8], start: usize) -> Self {
        let (mut capitals, mut last_small) = (start, None);
        while let Some((class, length)) = at(text, capitals).filter(|(class, _)| class.is_capital()) {
            capitals += length;
            if class != Class::Upper {
                last_small = Some(capitals);
            }
        }
        let mut end = capitals;
        while let Some((_, length)) = at(text, end).filter(|(class, _)| class.is_small()) {
            end += length;
        }
        Self { end: if end > capitals { Some(end) } else { last_small }, capitals, seen: end }
    }

    fn piece(&self, text: &[u8], end: usize) -> Piece {
        Piece::new(contraction(text, end), self.seen)
    }
}

/// A word of either kind behind one character that is neither letter, number nor newline.
#[inline]
fn after_sign(text: &[u8], start: usize, first: Class, behind: usize) -> Option<Piece> {
    let word = Word::at(text, behind);
    if let Some(end) = word.end {
        return Some(word.piece(text, end));
    }
    // The sign is a mark: without it as the sign, it is the word's own first and last.
    if first == Class::Mark {
        let word = Word::at(text, start);
        return Some(word.piece(text, word.end.unwrap_or(behind)));
    }
    (word.capitals > behind).then(|| word.piece(text, word.capitals))
}

fn numbers(text: &[u8], mut end: usize) -> Piece {
    for _ in 0..2 {
        match at(text, end) {
            Some((Class::Number, length)) => end += length,
            _ => break,
        }
    }
    Piece::new(end, end)
}

/// ` ?[^\s\p{L}\p{N}]+[\r\n/]*`, or else white space.
#[inline]
fn signs(text: &[u8], start: usize, first: Class) -> Piece {
    let begin = if text.get(start) == Some(&b' ') { start + 1 } else { start };
    let mut end = begin;
    while let Some((Class::Other | Class::Mark, length)) = at(text, end) {
        end += length;
    }
    if end == begin {
        debug_assert_eq!(first, Class::Space);
        return spaces(text, start);
    }
    while matches!(text.get(end), Some(b'\r' | b'\n' | b'/')) {
        end += 1;
    }
    Piece::new(end, end)
}

/// White space up to its last newline; without one, up to its last character, which belongs to what follows.
#[inline]
fn spaces(text: &[u8], start: usize) -> Piece {
    let (mut end, mut last, mut newline) = (start, start, None);
    while let Some((class @ (Class::Space | Class::Newline), length)) = at(text, end) {
        last = end;
        end += length;
        if class == Class::Newline {
            newline = Some(end);
        }
    }
    let whole = end == text.len() || last == start;
    Piece::new(newline.unwrap_or(if whole { end } else { last }), end)
}

/// Behind `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d` in either case. `ſ` is a lower-case `s` to a regular expression.
#[inline]
fn contraction(text: &[u8], start: usize) -> usize {
    let letter = |at: usize| text.get(start + at).map_or(0, |byte| byte | 0x20);
    if text.get(start) != Some(&b'\'') {
        return start;
    }
    match (letter(1), letter(2)) {
        (b's' | b't' | b'm' | b'd', _) => start + 2,
        (b'r' | b'v', b'e') | (b'l', b'l') => start + 3,
        _ if text.get(start + 1..).is_some_and(|rest| rest.starts_with("ſ".as_bytes())) => start + 3,
        _ => start,
    }
}
