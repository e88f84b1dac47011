//! Which rows are stored already, by id, in bounded memory. Two generations: when the younger one is full the older one is
//! forgotten, so that always at least the last `GENERATION` ids are known.
//!
//! A full generation of 1,835,008 ids takes 2,097,152 slots of 17 bytes (16 of id, 1 of hashbrown's control), so an id costs
//! 19.4 bytes, and both generations 71 MB (and while the younger one grows to its last size, half of its own once more).

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use super::line::RowId;

/// Ids in one generation: 7/8 of 2^21, where hashbrown's table is full.
pub const GENERATION: usize = 1_835_008;

pub struct Seen {
    young: Ids,
    old: Ids,
    generation: usize,
}

type Ids = HashSet<RowId, BuildHasherDefault<Prefix>>;

impl Seen {
    pub fn new(generation: usize) -> Self {
        Self { young: Ids::default(), old: Ids::default(), generation }
    }

    pub fn contains(&self, id: RowId) -> bool {
        self.young.contains(&id) || self.old.contains(&id)
    }

    pub fn insert(&mut self, id: RowId) {
        if self.young.len() >= self.generation {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id);
    }
}

/// The ids are SHA-256 already: their own first bits are the hash.
#[derive(Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_generation_is_always_known() {
        let mut seen = Seen::new(10);
        for id in 0..100 {
            seen.insert(RowId(id));
            for known in id.saturating_sub(9)..=id {
                assert!(seen.contains(RowId(known)), "{known} after {id}");
            }
            assert!(seen.young.len() <= 10 && seen.old.len() <= 10);
        }
        assert!(!seen.contains(RowId(70)) && !seen.contains(RowId(100)));
    }
}
