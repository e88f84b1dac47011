//! The callers' slots: created once, bounded, shared by several users.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{super::packed::Packed, *};

#[test]
fn created_once_and_only_where_absent() {
    let data = FakeSharedData::default();
    data.put("weir.u.5", b"kept");
    create_slots(&data);
    assert_eq!((data.creations.take(), data.contents()["weir.u.5"].as_slice()), (SLOTS - 1, &b"kept"[..]));
    assert!(data.contents().values().all(|value| !value.is_empty()), "a host may show an empty value as absent");
    data.traffic();
    create_slots(&data);
    assert_eq!((data.creations.take(), data.traffic()), (0, (1, 0)), "one load where all exist");

    let limits = Limits::new("chat", vec![limit(LimitKey::Endpoint, &[(Unit::Calls, 1)])]);
    limits.create_keys(&data);
    assert_eq!(count(&limits, &data, T0, &user("a", &[]), 2), 1);
    limits.create_keys(&data);
    assert_eq!(count(&limits, &data, T0, &user("a", &[]), 2), 0, "a reload wipes nothing");
    Limits::new("users", vec![limit(LimitKey::EachUser, &[(Unit::Calls, 1)])]).create_keys(&data);
    assert_eq!(data.creations.take(), 1, "no key where nothing would lie there");
}

#[test]
fn a_full_slot_forgets_who_has_been_idle_longest() {
    let (limits, data) = configured(vec![per(Period::Hour, LimitKey::EachUser, &[(Unit::Calls, 1)])]);
    let alice = user("alice", &[]);
    let slot = slot(&alice);
    let mut others = Packed::default();
    for tag in 0..SLOT_CAPACITY as u64 {
        others.charge(tag, Period::Hour, T0 + 1_000 * (tag ^ 1), 1, SLOT_CAPACITY);
    }
    data.put(&slot, &others.write(T0 + 1_000));
    let now = T0 + 1_800_000;
    let (number, bytes) = (slot[7..].parse().unwrap(), 1 + SLOT_CAPACITY * ENTRY_BYTES);
    assert_eq!(fill(&data, now, number..number + 1), Fill { slots: 1, full: 1, counters: SLOT_CAPACITY, bytes });
    assert_eq!(count(&limits, &data, now, &alice, 2), 1, "one more has room");
    let value = data.contents_of(&slot);
    assert_eq!(value.len(), bytes, "and the slot has not grown");
    let held = Packed::read(&value, now);
    let lost: Vec<_> = (0..SLOT_CAPACITY as u64).filter(|tag| held.window(*tag).current == 0).collect();
    assert_eq!(lost, [1], "charged first of all");
}

#[test]
fn fill_counts_what_counts() {
    let (limits, data) = configured(vec![limit(LimitKey::EachUser, &[(Unit::Calls, 9)])]);
    for n in 0..50 {
        count(&limits, &data, T0, &user(&format!("user-{n}"), &[]), 1);
    }
    let used = fill(&data, T0, 0..SLOTS + 9);
    assert_eq!((used.slots, used.full, used.counters), (SLOTS, 0, 50));
    assert_eq!(used.bytes, SLOTS + 50 * ENTRY_BYTES);
    assert_eq!(fill(&data, T0 + 2 * MINUTE, 0..SLOTS).counters, 0);
}

#[test]
fn memory_stays_within_what_is_promised() {
    let value = 1 + SLOT_CAPACITY * ENTRY_BYTES;
    assert!(SLOTS * (value + 150) < 64_000_000, "with 150 bytes for the key and the map's node");
    const { assert!(SLOT_CAPACITY >= 80, "20 limits of 4 units") };
}
