//! The hashes of the static tables, shared by the filter, which looks up, and by the program that makes the tables. Both
//! tables are perfect hashes of one kind: a key's hash picks a bucket, the bucket's pilot picks the slot. So a lookup is
//! two loads, whether the key is there or not.

const MIX: u64 = 0x9E37_79B9_7F4A_7C15; // 2^64 / golden ratio
const STIR: u64 = 0xD6E8_FEB8_6659_FD93; // of Rust's rrmxmx mixer family: odd, its bits well spread

/// Tokens have this many bits: o200k_base has 199,998 ranks.
pub const TOKEN_BITS: u32 = 18;

/// Left and right token as one number of 36 bits.
pub const fn pair_key(left: u32, right: u32) -> u64 {
    (left as u64) << TOKEN_BITS | right as u64
}

pub const fn of_pair(key: u64) -> u64 {
    key.wrapping_mul(MIX)
}

/// Of a piece of 2 to 16 bytes: `low` holds the first eight of them, `high` the others, little-endian, padded with zeros.
pub const fn of_piece(low: u64, high: u64, length: usize) -> u64 {
    let first = (low ^ (length as u64).wrapping_mul(STIR)).wrapping_mul(MIX);
    (first ^ (first >> 32) ^ high.wrapping_mul(STIR)).wrapping_mul(MIX)
}

/// The bucket of a hash, of `buckets`.
pub const fn bucket(hash: u64, buckets: usize) -> usize {
    (((hash >> 32) * buckets as u64) >> 32) as usize
}

/// The slot of a hash, of `slots`, once its bucket's pilot is known.
pub const fn slot(hash: u64, pilot: u16, slots: usize) -> usize {
    let stirred = (hash ^ (pilot as u64 + 1).wrapping_mul(STIR)).wrapping_mul(MIX ^ STIR << 1);
    ((((stirred ^ (stirred >> 29)).wrapping_mul(MIX) >> 32) * slots as u64) >> 32) as usize
}

/// A slot of the pieces' table: where in the pool the piece stands (20 bits), its length less one (4), 8 bits of its hash.
pub const fn piece_slot(offset: usize, length: usize, hash: u64) -> u32 {
    (offset as u32) << 12 | piece_tag(length, hash)
}

/// What of a slot can be told without the pool.
pub const fn piece_tag(length: usize, hash: u64) -> u32 {
    ((length as u32).wrapping_sub(1) & 15) << 8 | (hash >> 8) as u32 & 0xff
}

/// Where in the pool a slot's piece stands.
pub const fn piece_offset(slot: u32) -> usize {
    (slot >> 12) as usize
}
