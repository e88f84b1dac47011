//! What a worker stored last in shared data, kept so that it need not be loaded again: a load is among the dearest host calls
//! (docs/speed.md). What is kept is a guess that a compare-and-swap confirms or refutes, and is never used for anything else.
//!
//! The host tells a value's version when it is loaded, not when it is stored. But it numbers all stores of a process in one
//! ascending row (proxy-wasm-cpp-host, `SharedData::nextCas`), so the number of a worker's own store is at least one more than the latest
//! that he knew of, and that is the version he guesses. A later store of the same key has a number above his own. So where
//! the guess is the version, it is his own store's, and nobody has stored since (docs/decisions/0002-limits-in-shared-data.md).

use std::cell::RefCell;

use super::slots;
use crate::shared::{Cas, CasMismatch, SharedData};

/// Values kept by a worker, of one configuration: as many callers' as have requests under way, of most of them. Some 200 KB, and 0.7 MB
/// with all at [`MOST`].
const KEPT: usize = 256;
/// Longer values are loaded each time: only an endpoint's with a hundred counters is longer than a slot.
pub(super) const MOST: usize = slots::SLOT_ROOM.most;
/// A key whose guesses fail is left to loads for 2, 4, .. 64 times: others store there too.
const LONGEST_PAUSE: u32 = 6;

/// What a worker has stored, of all endpoints of a configuration.
#[derive(Debug, Default)]
pub struct Guesses(RefCell<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// No store that the worker knows of has a later number.
    latest: Cas,
    /// By the hash of the key: of two that meet, the one stored last is there. Empty before the first store.
    values: Vec<Value>,
}

#[derive(Clone, Debug, Default)]
struct Value {
    key: String,
    bytes: Vec<u8>,
    /// The version that `bytes` may have; `None`: there is nothing to guess.
    version: Option<Cas>,
    /// Guesses that failed in a row, and how many times there will be none.
    failed: u32,
    pause: u32,
}

/// Shared data through the eyes of a worker who remembers.
#[derive(Clone, Copy, Debug)]
pub struct Guessing<'a, D> {
    data: &'a D,
    guesses: &'a Guesses,
}

impl Guesses {
    pub fn over<'a, D: SharedData>(&'a self, data: &'a D) -> Guessing<'a, D> {
        Guessing { data, guesses: self }
    }
}

impl<D: SharedData> SharedData for Guessing<'_, D> {
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        let loaded = self.data.load(key);
        if let Some((_, version)) = loaded {
            let latest = &mut self.guesses.0.borrow_mut().latest;
            *latest = later(*latest, version);
        }
        loaded
    }

    fn guess(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        let mut kept = self.guesses.0.borrow_mut();
        let value = kept.values.get_mut(place(key)).filter(|value| value.key == key)?;
        if let Some(pause) = value.pause.checked_sub(1) {
            value.pause = pause;
            return None;
        }
        Some((value.bytes.clone(), value.version?))
    }

    fn store(&self, key: &str, bytes: &[u8], cas: Cas) -> Result<(), CasMismatch> {
        let stored = self.data.store(key, bytes, cas);
        self.guesses.0.borrow_mut().stored(key, bytes, Some(cas), stored.is_ok());
        stored
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<(), CasMismatch> {
        let stored = self.data.create(key, bytes);
        self.guesses.0.borrow_mut().stored(key, bytes, None, stored.is_ok());
        stored
    }
}

impl Kept {
    /// `cas`: what the store was compared with.
    fn stored(&mut self, key: &str, bytes: &[u8], cas: Option<Cas>, is_stored: bool) {
        if self.values.is_empty() {
            self.values = vec![Value::default(); KEPT];
        }
        if is_stored {
            self.latest = next(self.latest);
        }
        let latest = self.latest;
        let Some(value) = self.values.get_mut(place(key)) else { return };
        if value.key != key {
            if !is_stored {
                return;
            }
            value.key.clear();
            value.key.push_str(key);
            (value.version, value.failed, value.pause) = (None, 0, 0);
        }
        let was_guess = cas.is_some() && value.version == cas;
        if !is_stored {
            value.version = None;
            if was_guess {
                value.failed = value.failed.saturating_add(1).min(LONGEST_PAUSE);
                value.pause = 1 << value.failed;
            }
            return;
        }
        if was_guess {
            value.failed = 0;
        }
        value.version = (bytes.len() <= MOST).then_some(latest);
        value.bytes.clear();
        if value.version.is_some() {
            value.bytes.extend_from_slice(bytes);
        }
    }
}

/// The number of the store behind this one: 0 is left out.
pub(super) fn next(version: Cas) -> Cas {
    version.wrapping_add(1).max(1)
}

/// The later of two numbers, which begin again behind the largest. 0: none is known yet.
pub(super) fn later(known: Cas, other: Cas) -> Cas {
    if known == 0 || other.wrapping_sub(known) < Cas::MAX / 2 { other } else { known }
}

/// FNV-1a: keys have some dozen bytes.
fn place(key: &str) -> usize {
    let hash = key.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // Spread once more: what the last byte changed is in a few bits alone.
    (hash.wrapping_mul(0x9E37_79B1) >> 16) as usize % KEPT
}
