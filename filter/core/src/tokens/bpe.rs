//! Byte pair encoding of one piece: bytes in, how many tokens they merge to out. The pair of the lowest rank is merged
//! first, the leftmost of equals. Short pieces on the stack, by looking through all pairs; longer ones by a heap, so that
//! none costs more than n log n.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{
    classes::decode,
    tables::{NONE, merged, merged_bytes, of_byte, of_character},
};

/// More parts than this are merged by a heap.
pub const SHORT: usize = 64;

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

fn short(piece: &[u8]) -> usize {
    let mut tokens = [0; SHORT];
    let mut ranks = [NONE; SHORT];
    let mut count = 0;
    if piece.is_ascii() {
        for (to, byte) in tokens.iter_mut().zip(piece) {
            *to = of_byte(*byte);
        }
        for (to, pair) in ranks.iter_mut().zip(piece.windows(2)) {
            *to = if let [left, right] = pair { merged_bytes(*left, *right) } else { NONE };
        }
        count = piece.len();
    } else {
        parts(piece, |token| {
            if let Some(to) = tokens.get_mut(count) {
                *to = token;
                count += 1;
            }
        });
        for (to, pair) in ranks.iter_mut().zip(tokens.get(..count).unwrap_or_default().windows(2)) {
            *to = if let [left, right] = pair { merged(*left, *right) } else { NONE };
        }
    }
    merge(&mut tokens, &mut ranks, count)
}

/// Merges until nothing merges. `ranks[i]` is what `tokens[i]` and `tokens[i + 1]` merge to.
fn merge(tokens: &mut [u32; SHORT], ranks: &mut [u32; SHORT], mut count: usize) -> usize {
    while count > 1 {
        let count_of_pairs = (count - 1).min(SHORT - 1);
        let (mut best, mut at) = (NONE, 0);
        for (index, rank) in ranks[..count_of_pairs].iter().enumerate() {
            if *rank < best {
                (best, at) = (*rank, index);
            }
        }
        if best == NONE {
            break;
        }
        let at = at.min(SHORT - 2);
        tokens[at] = best;
        tokens.copy_within(at + 2..count.min(SHORT), at + 1);
        ranks.copy_within(at + 1..count_of_pairs, at);
        count -= 1;
        ranks[at] = if at + 1 < count { merged(best, tokens[at + 1]) } else { NONE };
        if at > 0 {
            ranks[at - 1] = merged(tokens[at - 1], best);
        }
    }
    count
}

/// Counts pieces; what long ones need, a heap and lists, is reused from one to the next.
#[derive(Debug, Default)]
pub struct Work {
    tokens: Vec<u32>,
    ranks: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    heap: Vec<Reverse<u64>>,
}

impl Work {
    /// How many tokens a piece has.
    #[inline]
    pub fn count(&mut self, piece: &[u8]) -> usize {
        if piece.len() <= SHORT { short(piece) } else { self.long(piece) }
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
