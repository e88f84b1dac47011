//! Other workers between a load and its store: no call too many, none too few, and a verdict when tries run out.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{super::packed::Packed, *};

fn policy() -> Vec<Limit> {
    vec![
        limit(LimitKey::Endpoint, &[(Unit::Calls, 5), (Unit::Tokens, 100)]),
        limit(LimitKey::EachUser, &[(Unit::Calls, 5), (Unit::Tokens, 100)]),
    ]
}

#[test]
fn lost_swaps_are_tried_again() {
    for (prefix, lost) in [("weir.u", 1), ("weir.u", MAX_TRIES - 1), ("weir.e", 1), ("weir.e", MAX_TRIES - 1)] {
        let (limits, data) = configured(policy());
        data.lose(lost, prefix);
        let charge = admitted(admit(&limits, &data, T0, &user("a", &[])));
        assert_eq!(charge.requests.map(|r| r.remaining), Some(4), "{prefix} lost {lost}");
        data.lose(lost, prefix);
        settle(&limits, &data, T0, &charge, spent(100, 0));
        assert_eq!(refused(admit(&limits, &data, T0, &user("a", &[]))).used, 100, "charged once");
    }
}

#[test]
fn out_of_tries_is_contended_and_charges_nothing() {
    for prefix in ["weir.u", "weir.e"] {
        let (limits, data) = configured(policy());
        let alice = user("a", &[]);
        assert_eq!(count(&limits, &data, T0, &alice, 1), 1);
        data.traffic();
        data.lose(MAX_TRIES, prefix);
        assert_eq!(admit(&limits, &data, T0, &alice), Admission::Contended, "{prefix}");
        assert!(data.traffic().1 <= MAX_TRIES + 2, "bounded");
        assert_eq!(count(&limits, &data, T0, &alice, 9), 4, "{prefix}: the four that were left");
    }
}

#[test]
fn a_settlement_out_of_tries_says_so_and_charges_the_other_key() {
    for (prefix, who, limit) in [("weir.u", "b", 0), ("weir.e", "a", 1)] {
        let (limits, data) = configured(policy());
        let charge = admitted(admit(&limits, &data, T0, &user("a", &[])));
        data.lose(MAX_TRIES, prefix);
        assert!(limits.settle(&data, T0, &charge, spent(60, 40)).contended, "{prefix}");
        let refusal = refused(admit(&limits, &data, T0, &user(who, &[])));
        assert_eq!((refusal.limit, refusal.unit, refusal.used), (limit, Unit::Tokens, 100), "{prefix}");
    }
}

#[test]
fn a_competitor_who_takes_the_last_call_at_the_endpoint_gives_the_caller_his_own_back() {
    let (limits, data) = configured(policy());
    let (alice, limits) = (user("alice", &[]), Rc::new(limits));
    assert_eq!(count(&limits, &data, T0, &alice, 4), 4);
    let before = data.contents_of(&slot(&alice));
    let (competitor, once) = (limits.clone(), Cell::new(true));
    data.compete(move |data, key| {
        if key == "weir.e.chat" && once.take() {
            assert_eq!(count(&competitor, data, T0, &user("bob", &[]), 1), 1);
        }
    });
    let refusal = refused(admit(&limits, &data, T0, &alice));
    assert_eq!((refusal.limit, refusal.used, refusal.maximum), (0, 5, 5));
    assert_eq!(refusal.requests, Some(Standing { limit: 5, remaining: 0, reset_ms: 120_000 }));
    assert_eq!(data.contents_of(&slot(&alice)), before, "his slot is as it was");
}

#[test]
fn a_rollback_takes_back_its_own_period_also_when_that_has_become_the_previous_one() {
    let (limits, data) = configured(policy());
    let (alice, limits) = (user("alice", &[]), Rc::new(limits));
    let held = |data: &FakeSharedData, now| {
        let own = limits.applicable(&user("alice", &[]), Tokens::default());
        let calls = own.iter().find(|held| held.counter.place == Place::Caller).unwrap().counter.tag;
        let value = data.contents_of(&slot(&user("alice", &[])));
        Packed::read(&value, now).window(calls)
    };
    assert_eq!(count(&limits, &data, T0, &alice, 2), 2);
    let (competitor, once) = (limits.clone(), Cell::new(true));
    data.compete(move |data, key| {
        if key == "weir.e.chat" && once.take() {
            // A worker whose clock has passed the border charges the same user, and others fill the endpoint.
            let later = T0 + MINUTE;
            assert_eq!(count(&competitor, data, later, &user("alice", &[]), 1), 1);
            assert_eq!(count(&competitor, data, later, &user("bob", &[]), 2), 2);
        }
    });
    refused(admit(&limits, &data, T0 + MINUTE - 1, &alice));
    let window = held(&data, T0 + MINUTE);
    assert_eq!((window.start_ms, window.current, window.previous), (T0 + MINUTE, 1, 2));
}

#[test]
fn a_rollback_out_of_tries_counts_one_too_many_for_the_caller_alone() {
    let (limits, data) = configured(policy());
    let alice = user("alice", &[]);
    let stores = Cell::new(0);
    data.compete(move |data, key| {
        stores.set(stores.get() + 1);
        // All but the very first store lose: the endpoint's tries, then the rollback's.
        if stores.get() > 1 && stores.get() <= 1 + 2 * MAX_TRIES {
            let value = data.contents_of(key);
            data.put(key, &value);
        }
    });
    assert_eq!(admit(&limits, &data, T0, &alice), Admission::Contended);
    assert_eq!(count(&limits, &data, T0, &alice, 9), 4, "one early, never one too many");
    assert_eq!(count(&limits, &data, T0, &user("bob", &[]), 9), 1, "the endpoint's count is exact");
}

#[test]
fn interleaved_workers_admit_exactly_the_limit() {
    for seed in 0..40 {
        let (limits, data) = configured(vec![
            limit(LimitKey::Endpoint, &[(Unit::Calls, 100)]),
            limit(LimitKey::EachUser, &[(Unit::Calls, 30)]),
            limit(group("g"), &[(Unit::Calls, 50)]),
        ]);
        let workers = Rc::new(Workers { limits, admitted: RefCell::default(), random: RefCell::new(Random(seed)) });
        let (others, depth) = (workers.clone(), Cell::new(0));
        data.compete(move |data, _| {
            // Another worker's whole request between this one's load and store, and others' within that one's.
            if depth.get() < 7 && others.random.borrow_mut().below(2) == 0 {
                depth.set(depth.get() + 1);
                others.call(data);
                depth.set(depth.get() - 1);
            }
        });
        for _ in 0..400 {
            workers.call(&data);
        }
        let admitted = workers.admitted.borrow();
        assert_eq!(admitted.iter().sum::<usize>(), 100, "seed {seed}: the endpoint's");
        assert!(admitted[0] + admitted[1] <= 50, "seed {seed}: the group's, {admitted:?}");
        assert!(admitted.iter().all(|n| *n <= 30), "seed {seed}: {admitted:?}");
    }
}

struct Workers {
    limits: Limits,
    admitted: RefCell<[usize; 4]>,
    random: RefCell<Random>,
}

impl Workers {
    /// A call by one of four users, the first two of them in the group.
    fn call(&self, data: &FakeSharedData) {
        let who = self.random.borrow_mut().below(4) as usize;
        let caller = user(["a", "b", "c", "d"][who], if who < 2 { &["g"] } else { &[] });
        match admit(&self.limits, data, T0, &caller) {
            Admission::Admitted(_) => self.admitted.borrow_mut()[who] += 1,
            Admission::Refused(_) => {}
            Admission::Contended => panic!("contended"),
        }
    }
}
