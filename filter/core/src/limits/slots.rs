//! The callers' slots: a fixed number of keys that hold the counters of all users, several users to a slot by hash. Shared
//! data has no delete, so memory must not follow the number of users. A slot exists from its first charge on.

use super::tags::Subject;
use crate::host::SharedData;

/// How many slots there are. With a million users of one counter each, a slot holds 61 on average, which is 2 KB to load.
pub const SLOTS: usize = 16_384;

/// How many counters a slot holds at most: 112 x 32 B in each of 16,384 slots are 58.7 MB, and about 61 MB with keys and
/// map nodes, which is what all users of one Envoy can ever take. One caller's own counters are at most 100 (20 limits of
/// 5 units).
pub const SLOT_CAPACITY: usize = 112;

/// What was done to the slots, for the gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// How many counters more the slots hold; less where negative.
    pub held: i64,
    /// Counters that still counted and had to go for others: their users begin again at 0.
    pub evicted: u64,
}

/// Marks this Envoy's shared data as known. True for the first configuration since the data is there: then the slots are
/// empty, whatever a gauge says that outlived the ones before.
pub fn is_first(data: &impl SharedData) -> bool {
    const MARK: &str = "weir.limits";
    data.load(MARK).is_none() && data.create(MARK, b"1").is_ok()
}

/// The key of the slot that holds a subject's counters.
pub(super) fn key_of(subject: Subject) -> String {
    key((subject.spread() % SLOTS as u64) as usize)
}

pub(super) fn key(slot: usize) -> String {
    // Not `format!`: each request makes one.
    let mut key = String::with_capacity(12);
    key.push_str("weir.u.");
    key.push_str(&slot.to_string());
    key
}
