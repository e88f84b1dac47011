//! Byte pair encoding of one piece: bytes in, how many tokens they merge to out. The pair of the lowest rank is merged
//! first, the leftmost of equals. Short pieces on the stack, by looking through all pairs; longer ones by a heap, so that
//! none costs more than n log n.

use std::{cell::RefCell, cmp::Reverse, collections::BinaryHeap};

use super::{
    classes::decode,
    tables::{self, NONE, merged, merged_bytes, of_byte, of_character},
};

/// More parts than this are merged by a heap.
pub const SHORT: usize = 64;

/// Pieces of which the count is kept, 16 bytes each.
const KNOWN: usize = 8192;

/// Tokens of the parts that a piece begins with: its characters where they merge on their own, else its bytes.
#[inline]
fn parts(piece: &[u8], mut push: impl FnMut(u32)) {
    let mut at = 0;
    let mut before_is_ascii = false;
    while let Some(&byte) = piece.get(at) {
        if byte < 0x80 {
            push(of_byte(byte));
            before_is_ascii = true;
            at += 1;
            continue;
        }
        let whole = decode(piece, at).filter(|(code, length)| {
            *code < 0x1_0000 && !before_is_ascii && piece.get(at + length).is_none_or(|next| *next >= 0x80)
        });
        let (token, length) = whole.map_or((NONE, 1), |(code, length)| (of_character(code), length));
        if token == NONE {
            // All of its bytes, so that a part never begins within a character.
            let end = decode(piece, at).map_or(at + 1, |(_, length)| at + length);
            for byte in piece.get(at..end).unwrap_or_default() {
                push(of_byte(*byte));
            }
            at = end;
        } else {
            push(token);
            at += length;
        }
        before_is_ascii = false;
    }
}

thread_local! {
    /// One for all texts: what is learnt of the one serves the next.
    static WORK: RefCell<Work> = RefCell::default();
}

/// How many tokens a piece has that is none itself.
pub fn count(piece: &[u8]) -> u64 {
    WORK.with_borrow_mut(|work| work.count(piece)) as u64
}

/// The same of a piece of at most [`tables::MAX_PIECE`] bytes, be it a token or not; it may have been counted before.
#[inline]
pub fn count_short(short: tables::Short, piece: &[u8]) -> u64 {
    let hashed = short.hash();
    if short.length > Known::MAX_LENGTH {
        return if tables::is_token(short, hashed) { 1 } else { count(piece) };
    }
    WORK.with_borrow_mut(|work| {
        let at = (hashed >> 16) as usize % KNOWN;
        let known = work.known.get(at).and_then(|known| known.count_of(short));
        known.unwrap_or_else(|| work.count_unknown(short, hashed, at, piece))
    })
}

/// A piece of up to 14 bytes; its length in the 15th and its count in the 16th.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(16))]
struct Known {
    low: u64,
    high: u64,
}

impl Known {
    const MAX_LENGTH: usize = 14;
    const LENGTH_AT: u32 = 48;
    const COUNT_AT: u32 = 56;

    fn new(short: tables::Short, count: usize) -> Self {
        Self { low: short.low, high: Self::high(short) | (count as u64) << Self::COUNT_AT }
    }

    #[inline]
    fn high(short: tables::Short) -> u64 {
        short.high | (short.length as u64) << Self::LENGTH_AT
    }

    #[inline]
    fn count_of(self, short: tables::Short) -> Option<u64> {
        let is_same = self.low == short.low && (self.high ^ Self::high(short)) << 8 == 0;
        is_same.then_some(self.high >> Self::COUNT_AT)
    }
}

/// The parts of a short piece. They stay where they are: of a merged pair the right one is struck off a mask.
#[derive(Debug)]
struct Short {
    tokens: [u32; SHORT],
    /// What a part and the next one merge to, as [`key`] has it.
    keys: [u32; SHORT],
}

impl Default for Short {
    fn default() -> Self {
        Self { tokens: [0; SHORT], keys: [NONE; SHORT] }
    }
}

/// The rank and the place of a pair: the least is what is merged next.
#[inline]
fn key(rank: u32, at: usize) -> u32 {
    if rank == NONE { NONE } else { rank << 6 | at as u32 }
}

impl Short {
    fn count(&mut self, piece: &[u8]) -> usize {
        let mut count = 0;
        if piece.is_ascii() {
            for (to, byte) in self.tokens.iter_mut().zip(piece) {
                *to = of_byte(*byte);
            }
            for (at, (to, pair)) in self.keys.iter_mut().zip(piece.windows(2)).enumerate() {
                *to = if let [left, right] = pair { key(merged_bytes(*left, *right), at) } else { NONE };
            }
            count = piece.len();
        } else {
            parts(piece, |token| {
                if let Some(to) = self.tokens.get_mut(count) {
                    *to = token;
                    count += 1;
                }
            });
            let pairs = self.tokens.get(..count).unwrap_or_default().windows(2);
            for (at, (to, pair)) in self.keys.iter_mut().zip(pairs).enumerate() {
                *to = if let [left, right] = pair { key(merged(*left, *right), at) } else { NONE };
            }
        }
        self.merge(count)
    }

    /// Merges until nothing merges.
    fn merge(&mut self, count: usize) -> usize {
        const LAST: usize = SHORT - 1;
        let pairs = count.saturating_sub(1).min(LAST);
        let mut there = u64::MAX >> (LAST - pairs);
        let mut left = count;
        loop {
            let best = self.keys.iter().take(pairs).fold(NONE, |best, key| best.min(*key));
            if best == NONE {
                return left;
            }
            let (token, at) = (best >> 6, best as usize & LAST);
            let behind = there & (u64::MAX << at << 1);
            let right = behind.trailing_zeros() as usize & LAST;
            there &= !(1 << right);
            self.tokens[at] = token;
            self.keys[right] = NONE;
            let behind = behind & behind.wrapping_sub(1);
            self.keys[at] = match behind.trailing_zeros() as usize {
                SHORT.. => NONE,
                next => key(merged(token, self.tokens[next & LAST]), at),
            };
            let before = there & !(u64::MAX << at);
            if before != 0 {
                let previous = (LAST as u32 - before.leading_zeros()) as usize & LAST;
                self.keys[previous] = key(merged(self.tokens[previous], token), previous);
            }
            left -= 1;
        }
    }
}

/// Counts pieces. What long ones need, a heap and lists, is reused from one to the next.
#[derive(Debug, Default)]
struct Work {
    /// Pieces that were counted, by their hash: the last one at each place.
    known: Vec<Known>,
    short: Short,
    tokens: Vec<u32>,
    ranks: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    heap: Vec<Reverse<u64>>,
}

impl Work {
    #[inline(never)]
    fn count_unknown(&mut self, short: tables::Short, hashed: u64, at: usize, piece: &[u8]) -> u64 {
        let count = if tables::is_token(short, hashed) { 1 } else { self.count(piece) };
        if self.known.is_empty() {
            self.known.resize(KNOWN, Known::default());
        }
        if let Some(known) = self.known.get_mut(at) {
            *known = Known::new(short, count);
        }
        count as u64
    }

    fn count(&mut self, piece: &[u8]) -> usize {
        if piece.len() <= SHORT { self.short.count(piece) } else { self.long(piece) }
    }

    fn long(&mut self, piece: &[u8]) -> usize {
        self.tokens.clear();
        parts(piece, |token| self.tokens.push(token));
        let count = self.tokens.len();
        self.ranks.clear();
        self.ranks.extend(self.tokens.windows(2).map(|pair| if let [l, r] = pair { merged(*l, *r) } else { NONE }));
        self.ranks.push(NONE);
        self.next.clear();
        self.next.extend(1..=count as u32);
        self.previous.clear();
        self.previous.extend((0..count as u32).map(|at| at.wrapping_sub(1)));
        self.heap.clear();
        let pairs = self.ranks.iter().enumerate().filter(|(_, rank)| **rank != NONE);
        self.heap.extend(pairs.map(|(at, rank)| entry(*rank, at)));
        let mut heap = BinaryHeap::from(std::mem::take(&mut self.heap));
        let mut left = count;
        while let Some(Reverse(top)) = heap.pop() {
            let (rank, at) = ((top >> 32) as u32, top as u32 as usize);
            if self.ranks.get(at) == Some(&rank) {
                left -= 1;
                self.merge_at(at, rank, &mut heap);
            }
        }
        self.heap = heap.into_vec();
        left
    }

    /// Merges the parts at `at` and behind it; entries of the heap that this makes untrue are passed over later.
    fn merge_at(&mut self, at: usize, token: u32, heap: &mut BinaryHeap<Reverse<u64>>) {
        let of = |list: &[u32], index: usize| list.get(index).copied().unwrap_or(NONE);
        let set = |list: &mut [u32], index: usize, value: u32| {
            if let Some(slot) = list.get_mut(index) {
                *slot = value;
            }
        };
        let right = of(&self.next, at) as usize;
        let behind = of(&self.next, right) as usize;
        set(&mut self.tokens, at, token);
        set(&mut self.next, at, behind as u32);
        set(&mut self.ranks, right, NONE);
        set(&mut self.previous, behind, at as u32);
        let with_next = if behind < self.tokens.len() { merged(token, of(&self.tokens, behind)) } else { NONE };
        set(&mut self.ranks, at, with_next);
        if with_next != NONE {
            heap.push(entry(with_next, at));
        }
        let before = of(&self.previous, at) as usize;
        if before < self.tokens.len() {
            let with_previous = merged(of(&self.tokens, before), token);
            set(&mut self.ranks, before, with_previous);
            if with_previous != NONE {
                heap.push(entry(with_previous, before));
            }
        }
    }
}

fn entry(rank: u32, at: usize) -> Reverse<u64> {
    Reverse(u64::from(rank) << 32 | at as u64)
}
