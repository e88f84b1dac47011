//! The callers' slots: created by the first charge, bounded, shared by several users.

use std::{cell::Cell, ops::Range, rc::Rc};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{
    super::{packed::Packed, slots::key},
    *,
};

/// How full the slots are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Slots that exist.
    pub slots: usize,
    /// Counters that still count.
    pub counters: usize,
    /// Bytes of the values, expired counters too.
    pub bytes: usize,
}

pub fn fill(data: &impl SharedData, now_ms: u64, slots: Range<usize>) -> Fill {
    let mut fill = Fill::default();
    for (bytes, _) in slots.filter_map(|slot| data.load(&key(slot))) {
        let mut packed = Packed::read(&bytes, now_ms);
        packed.drop_expired(now_ms);
        fill.slots += 1;
        fill.counters += packed.len();
        fill.bytes += bytes.len();
    }
    fill
}

#[test]
fn no_key_exists_before_it_is_charged() {
    let (limits, data) = configured(vec![
        limit(LimitKey::Endpoint, &[(Unit::Calls, 2)]),
        limit(LimitKey::EachUser, &[(Unit::Calls, 1)]),
    ]);
    assert!(limits.overview(&data, T0, &user("a", &[])).iter().all(|row| row.used == 0));
    assert!(data.contents().is_empty(), "looking creates nothing");
    assert_eq!(count(&limits, &data, T0, &user("a", &[]), 9), 1);
    assert_eq!(data.contents().keys().collect::<Vec<_>>(), ["weir.e.chat", &slot(&user("a", &[]))]);
    let blocked = compiled(vec![limit(LimitKey::EachUser, &[(Unit::Calls, 0)])]);
    refused(admit(&blocked, &data, T0, &user("somebody else", &[])));
    assert_eq!(data.contents().len(), 2, "nor does a refusal");
}

#[test]
fn of_two_that_create_a_key_at_once_none_is_wiped() {
    for contested in ["weir.u", "weir.e"] {
        let calls = |key| limit(key, &[(Unit::Calls, 5)]);
        let (limits, data) = configured(vec![calls(LimitKey::Endpoint), calls(LimitKey::EachUser)]);
        let (limits, once) = (Rc::new(limits), Cell::new(true));
        let other = limits.clone();
        data.compete(move |data, key| {
            if key.starts_with(contested) && once.take() {
                assert_eq!(count(&other, data, T0, &user("a", &[]), 3), 3);
            }
        });
        assert_eq!(count(&limits, &data, T0, &user("a", &[]), 9), 2, "{contested}");
    }
}

#[test]
fn the_mark_is_set_once() {
    let data = FakeSharedData::default();
    assert_eq!([is_first(&data), is_first(&data)], [true, false]);
    data.contents().values().for_each(|value| assert!(!value.is_empty(), "a host may show an empty value as absent"));
}

#[test]
fn a_full_slot_forgets_who_has_been_idle_longest() {
    let (limits, data) = configured(vec![per(Period::Hour, LimitKey::EachUser, &[(Unit::Calls, 1)])]);
    let alice = user("alice", &[]);
    let slot = slot(&alice);
    let mut others = Packed::default();
    // A byte for the layout, and 18 for a counter of a few.
    let most = (SLOT_ROOM.most as u64 - 1) / 18;
    for tag in 0..most {
        others.charge(tag, Period::Hour, T0 + 1_000 * (tag ^ 1), 1);
    }
    data.put(&slot, &others.write(T0 + 1_000, SLOT_ROOM));
    let now = T0 + 1_800_000;
    let (number, bytes, counters) = (slot[7..].parse().unwrap(), SLOT_ROOM.most, most as usize);
    assert_eq!(fill(&data, now, number..number + 1), Fill { slots: 1, counters, bytes });
    let decision = limits.admit(&data, now, &alice, Tokens::default());
    admitted(decision.admission);
    assert_eq!(decision.changed, Changed { held: 0, evicted: 1 }, "one more has room");
    let value = data.contents_of(&slot);
    assert_eq!(value.len(), bytes, "and the slot has not grown");
    let held = Packed::read(&value, now);
    let lost: Vec<_> = (0..most).filter(|tag| held.window(*tag).current == 0).collect();
    assert_eq!(lost, [1], "charged first of all");
}

#[test]
fn what_changes_is_told_for_the_gauge() {
    let (limits, data) = configured(vec![
        limit(LimitKey::EachUser, &[(Unit::Calls, 2), (Unit::Tokens, 9)]),
        limit(LimitKey::Endpoint, &[(Unit::Calls, 9)]),
    ]);
    let mut held = 0;
    let mut random = Random(1);
    for step in 0..2_000 {
        let (who, now) = (user(&format!("user-{}", random.below(40)), &[]), T0 + step * 700);
        let decision = limits.admit(&data, now, &who, Tokens::default());
        held += decision.changed.held;
        if let Admission::Admitted(charge) = decision.admission {
            held += limits.settle(&data, now, &charge, spent(1, 0)).changed.held;
        }
        assert_eq!(held, fill_of_all(&data), "step {step}");
    }
    assert!(held > 0);
}

/// Counters in all slots, expired ones too.
fn fill_of_all(data: &FakeSharedData) -> i64 {
    let slots = data.contents().into_iter().filter(|(key, _)| key.starts_with("weir.u"));
    slots.map(|(_, value)| Packed::read(&value, 0).len() as i64).sum()
}

/// Each size's class with what a page of 8 KiB holds of it: also where all slots were there twice, once in each size.
#[test]
fn memory_stays_within_what_is_promised() {
    let page = |size: usize| 8_192_usize.div_ceil(8_192 / (size + 1));
    let values: usize = SLOT_ROOM.sizes.iter().map(|size| SLOTS * page(*size)).sum();
    assert!(values + SLOTS * 150 < 64_000_000, "with 150 bytes for the key and the map's node: {values}");
    // 20 limits of 5 units, of numbers of 5 bytes each.
    const { assert!(SLOT_ROOM.most > 1 + 100 * (ENTRY_BYTES + 2 + 8)) };
    // One user of a million has 61 with him, and more than 120 are never seen.
    const { assert!(SLOT_ROOM.most > 120 * (ENTRY_BYTES + 2)) };
}
