//! The same for text that is ASCII as far as a piece reaches: the 32 bytes that a piece begins with in, its length out, or 0
//! where that cannot be told of them. Letters are looked at eight at a time.

use super::contraction;
use crate::tokens::classes::Class;

/// What is looked at. Words of up to 15 bytes are found in it, with what must be seen behind them.
pub const VIEW: usize = 32;

/// Signs in a row: more are left to the other scan, which knows no bound.
const MOST_SIGNS: usize = 12;

/// How long the piece is that a view begins with; 0: look at it in another way.
#[inline]
pub fn length(view: &[u8; VIEW]) -> usize {
    match (class(view, 0), class(view, 1)) {
        (Some(Class::Upper | Class::Lower), _) => word(view, 0),
        (None, _) | (_, None) => 0,
        (Some(Class::Number), Some(second)) => numbers(view, second),
        (Some(Class::Space | Class::Other), Some(Class::Upper | Class::Lower)) => word(view, 1),
        (Some(Class::Other), _) => signs(view, 1),
        (Some(_), Some(Class::Other)) if view[0] == b' ' => signs(view, 2),
        _ => spaces(view),
    }
}

/// `None`: not ASCII.
#[inline]
fn class(view: &[u8; VIEW], at: usize) -> Option<Class> {
    Class::of_ascii(view[at % VIEW])
}

/// Capitals, then small letters, from `start` on.
#[inline]
fn word(view: &[u8; VIEW], start: usize) -> usize {
    let (low, high) = (half(view, 0), half(view, 8));
    let capitals = outside(low, b'A', b'Z') >> (8 * start);
    if capitals == 0 {
        return 0;
    }
    let begin = start + bytes_before(capitals);
    let small = outside(low, b'a', b'z') >> (8 * begin);
    let end = match small {
        0 => match outside(high, b'a', b'z') {
            0 => return 0,
            small => 8 + bytes_before(small),
        },
        small => begin + bytes_before(small),
    };
    match view[end % VIEW] {
        0x80.. => 0,
        b'\'' => contraction(view, end),
        _ => end,
    }
}

#[inline]
fn numbers(view: &[u8; VIEW], second: Class) -> usize {
    match (second, class(view, 2)) {
        (Class::Number, Some(Class::Number)) => 3,
        (Class::Number, None) => 0,
        (Class::Number, _) => 2,
        _ => 1,
    }
}

/// What stands before `end` is signs, or a space and a sign.
#[inline]
fn signs(view: &[u8; VIEW], mut end: usize) -> usize {
    loop {
        match class(view, end) {
            Some(Class::Other) if end < MOST_SIGNS => end += 1,
            None | Some(Class::Other) => return 0,
            _ => break,
        }
    }
    while matches!(view[end % VIEW], b'\r' | b'\n' | b'/') {
        end += 1;
        if end == VIEW {
            return 0;
        }
    }
    end
}

#[inline]
fn spaces(view: &[u8; VIEW]) -> usize {
    let (mut end, mut newline) = (0, 0);
    loop {
        match class(view, end) {
            Some(Class::Space) => end += 1,
            Some(Class::Newline) => {
                end += 1;
                newline = end;
            }
            None => return 0,
            _ => break,
        }
        if end == VIEW {
            return 0;
        }
    }
    if newline > 0 { newline } else { end.max(2) - 1 }
}

/// Eight bytes of the view.
#[inline]
pub fn half(view: &[u8; VIEW], at: usize) -> u64 {
    view.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

const EACH: u64 = 0x0101_0101_0101_0101;
const TOP: u64 = 0x80 * EACH;

/// The top bit of each byte that is not between `from` and `to`.
#[inline]
const fn outside(word: u64, from: u8, to: u8) -> u64 {
    let rest = word & !TOP;
    let is_from = rest.wrapping_add(EACH.wrapping_mul(0x80 - from as u64));
    let is_above = rest.wrapping_add(EACH.wrapping_mul(0x7f - to as u64));
    (!is_from | is_above | word) & TOP
}

#[inline]
const fn bytes_before(mask: u64) -> usize {
    (mask.trailing_zeros() / 8) as usize
}
