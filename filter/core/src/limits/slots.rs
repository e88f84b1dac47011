//! The callers' slots: a fixed number of keys that hold the counters of all users, several users to a slot by hash.
//! Created at configure, never on a request: shared data has no delete, so memory must not follow the number of users.

use std::ops::Range;

use super::{
    packed::{self, Packed},
    tags::Subject,
};
use crate::host::SharedData;

/// How many slots there are. With a million users of one counter each, a slot holds 61 on average, which is 2 KB to load.
pub const SLOTS: usize = 16_384;

/// How many counters a slot holds at most: 112 x 32 B in each of 16,384 slots are 58.7 MB, and about 61 MB with keys and
/// map nodes, which is what all users of one Envoy can ever take. One caller's own counters are at most 80 (20 limits of
/// 4 units).
pub const SLOT_CAPACITY: usize = 112;

/// Creates the slots that are absent. In order, and the last one is asked for first: where it exists all do, so that this
/// is one call in every VM but the first.
pub fn create_slots(data: &impl SharedData) {
    if data.load(&key(SLOTS - 1)).is_some() {
        return;
    }
    for slot in 0..SLOTS {
        create_absent(data, &key(slot));
    }
}

/// Creating wipes what is there, so it asks first.
pub(super) fn create_absent(data: &impl SharedData, key: &str) {
    if data.load(key).is_none() {
        data.create(key, packed::EMPTY);
    }
}

/// How full some of the slots are, for a gauge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Slots that were looked at.
    pub slots: usize,
    /// Of these, the ones whose next new counter evicts one that still counts.
    pub full: usize,
    /// Counters that still count.
    pub counters: usize,
    /// Bytes of the values, expired counters too.
    pub bytes: usize,
}

/// Looks at some of the slots. One load for each: walk through `0..SLOTS` a few hundred at a tick.
pub fn fill(data: &impl SharedData, now_ms: u64, slots: Range<usize>) -> Fill {
    let mut fill = Fill::default();
    for slot in slots.start..slots.end.min(SLOTS) {
        let Some((bytes, _)) = data.load(&key(slot)) else { continue };
        let mut packed = Packed::read(&bytes, now_ms);
        packed.drop_expired(now_ms);
        fill.slots = fill.slots.saturating_add(1);
        fill.full = fill.full.saturating_add(usize::from(packed.len() >= SLOT_CAPACITY));
        fill.counters = fill.counters.saturating_add(packed.len());
        fill.bytes = fill.bytes.saturating_add(bytes.len());
    }
    fill
}

/// The key of the slot that holds a subject's counters.
pub(super) fn key_of(subject: Subject) -> String {
    key((subject.spread() % SLOTS as u64) as usize)
}

fn key(slot: usize) -> String {
    format!("weir.u.{slot}")
}
