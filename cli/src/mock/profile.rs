//! Who a mock is: what its answers are made of beside a request and its orders.

use std::sync::atomic::{AtomicU64, Ordering};

use super::credentials::Keys;

pub struct Profile {
    pub name: String,
    pub models: Vec<String>,
    pub keys: Keys,
    /// How often a token was asked for.
    pub tokens: Counter,
}

/// A number that counts up.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The next number; the first is 1.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
