//! The callers' slots: a fixed number of keys that hold the counters of all users, several users to a slot by hash. Shared
//! data has no delete, so memory must not follow the number of users. A slot exists from its first charge on.

use super::{packed::Room, tags::Subject};
use crate::shared::SharedData;

/// How many slots there are. With a million users of one counter each, a slot holds 61 on average, which is 1.1 KB.
pub const SLOTS: usize = 16_384;

/// A slot's bytes: room for some 120 counters. Two sizes alone, of which the allocator of Envoy wastes next to nothing: values that
/// grow counter by counter pass through dozens of its size classes, and leave memory in each (measured: twice what they hold).
/// Even where it had all slots of both sizes at once, they would take 54.5 MB, and 58 MB with keys and map nodes.
pub const SLOT_ROOM: Room = Room { most: LARGE, sizes: &[SMALL, LARGE] };
/// Each with the byte that ends a string in the host: 640 and 2,688, which are size classes.
const SMALL: usize = 639;
const LARGE: usize = 2_687;

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
