//! o200k_base as static tables: nothing is on the heap. Made by
//! `tests/tokens/src/bin/tables.rs` of the official rank file and of Unicode's classes; `docs/decisions/0011-counting-tokens.md`
//! tells how. Lookups alone: no text is walked here.

use super::hash;

/// What no pair merges to, and no character is: no token has this number.
pub const NONE: u32 = u32::MAX;

/// The longest piece that the pieces' table knows.
pub const MAX_PIECE: usize = 16;

static BYTES: &[u8; 256 * 4] = include_bytes!("o200k/bytes.bin");
static ASCII_PAIRS: &[u8; 128 * 128 * 4] = include_bytes!("o200k/ascii_pairs.bin");
static PAIR_PILOTS: &[u8] = include_bytes!("o200k/pair_pilots.bin");
static PAIR_SLOTS: &[u8] = include_bytes!("o200k/pair_slots.bin");
static PIECE_PILOTS: &[u8] = include_bytes!("o200k/piece_pilots.bin");
static PIECE_SLOTS: &[u8] = include_bytes!("o200k/piece_slots.bin");
static POOL: &[u8] = include_bytes!("o200k/pool.bin");
static CHARACTERS: &[u8] = include_bytes!("o200k/characters.bin");

/// To be called before any other function here. In `dist/weir.wasm` the tables are not in memory until then: a VM that counts
/// nothing has no copy of them.
#[inline]
pub fn load() {
    #[cfg(target_arch = "wasm32")]
    {
        use std::sync::atomic::{AtomicBool, Ordering};
        static LOADED: AtomicBool = AtomicBool::new(false);
        if !LOADED.swap(true, Ordering::Relaxed) {
            weir_load_tables();
        }
    }
}

/// `scripts/lazy-tables.py` gives it the body that copies them to their places; as it stands they are there from the start.
/// It must look as if it did something, so that no call of it is left out.
#[cfg(target_arch = "wasm32")]
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn weir_load_tables() {
    std::hint::black_box(&BYTES);
}

/// A pair's slot: left, right and merged token, 18 bits each; the file ends with one byte more, to be read as eight.
const PAIR_BYTES: usize = 7;
const PAIR_COUNT: usize = PAIR_SLOTS.len() / PAIR_BYTES;
const PIECE_COUNT: usize = PIECE_SLOTS.len() / 4;

/// The token of one byte.
#[inline]
pub fn of_byte(byte: u8) -> u32 {
    word(BYTES, byte as usize)
}

/// What two tokens merge to, or [`NONE`].
#[inline]
pub fn merged(left: u32, right: u32) -> u32 {
    let key = hash::pair_key(left, right);
    let hashed = hash::of_pair(key);
    let pilot = half(PAIR_PILOTS, hash::bucket(hashed, PAIR_PILOTS.len() / 2));
    let slot = long(PAIR_SLOTS, hash::slot(hashed, pilot, PAIR_COUNT) * PAIR_BYTES);
    if slot >> hash::TOKEN_BITS & PAIR_MASK == key { slot as u32 & TOKEN_MASK } else { NONE }
}

const TOKEN_MASK: u32 = (1 << hash::TOKEN_BITS) - 1;
const PAIR_MASK: u64 = (1 << (2 * hash::TOKEN_BITS)) - 1;

/// What the tokens of two bytes merge to, or [`NONE`].
#[inline]
pub fn merged_bytes(left: u8, right: u8) -> u32 {
    if (left | right) < 0x80 {
        word(ASCII_PAIRS, (left as usize) << 7 | right as usize)
    } else {
        merged(of_byte(left), of_byte(right))
    }
}

/// A piece of 2 to [`MAX_PIECE`] bytes: the first eight of them and the others, padded with zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Short {
    pub low: u64,
    pub high: u64,
    pub length: usize,
}

impl Short {
    /// Of eight bytes and the eight behind them: what is too much of them is left off.
    #[inline]
    pub fn of(low: u64, high: u64, length: usize) -> Self {
        let (in_low, in_high) = masks(length);
        Self { low: low & in_low, high: high & in_high, length }
    }

    #[inline]
    pub fn hash(self) -> u64 {
        hash::of_piece(self.low, self.high, self.length)
    }
}

/// Whether a piece is a token; `hashed` is its hash.
#[inline]
pub fn is_token(Short { low, high, length }: Short, hashed: u64) -> bool {
    let pilot = half(PIECE_PILOTS, hash::bucket(hashed, PIECE_PILOTS.len() / 2));
    let slot = word(PIECE_SLOTS, hash::slot(hashed, pilot, PIECE_COUNT));
    if slot & 0xfff != hash::piece_tag(length, hashed) {
        return false;
    }
    let offset = hash::piece_offset(slot);
    let (in_low, in_high) = masks(length);
    long(POOL, offset) & in_low == low && (length <= 8 || long(POOL, offset + 8) & in_high == high)
}

/// The piece of so many bytes that begins at `start`.
#[inline]
pub fn short(text: &[u8], start: usize, length: usize) -> Short {
    if start + MAX_PIECE <= text.len() {
        return Short::of(long(text, start), long(text, start + 8), length);
    }
    let mut padded = [0; MAX_PIECE];
    let piece = text.get(start..start + length).unwrap_or_default();
    for (to, from) in padded.iter_mut().zip(piece) {
        *to = *from;
    }
    Short::of(long(&padded, 0), long(&padded, 8), length)
}

/// What belongs to a piece of its first eight bytes, and of the eight behind them.
#[inline]
fn masks(length: usize) -> (u64, u64) {
    let of = |bytes: usize| if bytes == 0 { 0 } else { u64::MAX >> (64 - 8 * bytes as u32) };
    (of(length.min(8)), of(length.saturating_sub(8).min(8)))
}

/// The one token that a character's bytes merge to before any of them can merge with what stands beside it, or [`NONE`].
/// True only where no ASCII stands beside it; `code` is below 0x10000.
#[inline]
pub fn of_character(code: u32) -> u32 {
    let block = half(CHARACTERS, (code >> 7) as usize & 511);
    if block == 0 {
        return NONE;
    }
    let at = 1024 + ((block as usize - 1) << 7 | code as usize & 127) * 3;
    match CHARACTERS.get(at..).and_then(|rest| rest.first_chunk()) {
        None | Some([0, 0, 0]) => NONE,
        Some([low, middle, high]) => u32::from_le_bytes([*low, *middle, *high, 0]),
    }
}

#[inline]
fn half(table: &[u8], index: usize) -> u16 {
    let bytes = table.get(index * 2..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

#[inline]
fn word(table: &[u8], index: usize) -> u32 {
    let bytes = table.get(index * 4..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

#[inline]
fn long(table: &[u8], at: usize) -> u64 {
    let bytes = table.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
