//! Random numbers without a host call: xoshiro256++ (Blackman and Vigna, public domain), seeded once per VM with the
//! operating system's randomness. Not for secrets.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
};

thread_local! {
    static STATE: Cell<[u64; 4]> = Cell::new(seed());
}

/// 64 uniformly random bits.
pub fn next() -> u64 {
    STATE.with(|state| {
        let [a, b, c, d] = state.get();
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let shifted = b << 17;
        let (c, d) = (c ^ a, d ^ b);
        let (b, a) = (b ^ c, a ^ d);
        state.set([a, b, c ^ shifted, d.rotate_left(45)]);
        result
    })
}

/// `RandomState` draws 128 bits from WASI's `random_get`, and hashes with them: four numbers that nobody can foresee.
fn seed() -> [u64; 4] {
    let hashed = RandomState::new();
    [1, 2, 3, 4].map(|word: u64| hashed.hash_one(word))
}
