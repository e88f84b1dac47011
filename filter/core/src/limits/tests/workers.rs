//! Workers as threads over one map behind one mutex, which is what Envoy has: exactly the limit is admitted with 1, 2 and
//! 8 of them, from the very first charge on, and how often a compare-and-swap is lost.
#![cfg(not(target_arch = "wasm32"))]

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use super::*;
use crate::host::{Cas, CasMismatch};

type Values = HashMap<String, (Vec<u8>, Cas)>;

/// As `shared_data.cc` does it: versions count up over all keys, and one that does not exist is created whatever the
/// version.
#[derive(Default)]
struct Shared {
    /// And the last version that was given.
    map: Mutex<(Values, Cas)>,
    stores: AtomicU64,
    lost: AtomicU64,
}

impl SharedData for Shared {
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        let found = self.map.lock().unwrap().0.get(key).cloned();
        // A real worker computes something here: let others in as often as can be.
        thread::yield_now();
        found
    }

    fn store(&self, key: &str, value: &[u8], cas: Cas) -> Result<(), CasMismatch> {
        let (map, last) = &mut *self.map.lock().unwrap();
        self.stores.fetch_add(1, Relaxed);
        if map.get(key).is_some_and(|(_, current)| *current != cas) {
            self.lost.fetch_add(1, Relaxed);
            return Err(CasMismatch);
        }
        *last += 1;
        map.insert(key.to_owned(), (value.to_vec(), *last));
        Ok(())
    }

    fn create(&self, key: &str, value: &[u8]) -> Result<(), CasMismatch> {
        self.store(key, value, Cas::MAX)
    }
}

fn admitted_by(workers: usize, limits: impl Fn() -> Limits + Sync, data: &Shared, reserved: Tokens) -> (usize, usize) {
    let work = |worker: usize| {
        let (limits, guesses, mut admitted, mut contended) = (limits(), Guesses::default(), 0, 0);
        for call in 0..4_000 / workers {
            let who = user(["ann", "bob"][(worker + call) % 2], &["g"]);
            match limits.admit(&guesses.over(data), T0, &who, reserved).admission {
                Admission::Admitted(_) => admitted += 1,
                Admission::Refused(_) => {}
                Admission::Contended => contended += 1,
            }
        }
        (admitted, contended)
    };
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|worker| scope.spawn(move || work(worker))).collect();
        let counts = threads.into_iter().map(|thread| thread.join().unwrap());
        counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    })
}

/// `cargo test --release -p weir-core with_1_2_and_8_workers -- --nocapture` shows the figures of docs/limits.md.
#[test]
fn exactly_the_limit_with_1_2_and_8_workers() {
    for workers in [1, 2, 8] {
        let data = Shared::default();
        let all = || {
            compiled(vec![
                limit(LimitKey::Endpoint, &[(Unit::Calls, 1_000)]),
                limit(LimitKey::EachUser, &[(Unit::Calls, 700)]),
            ])
        };
        let (admitted, contended) = admitted_by(workers, all, &data, Tokens::default());
        let (stores, lost) = (data.stores.load(Relaxed), data.lost.load(Relaxed));
        println!("{workers} workers: {admitted} admitted, {stores} stores, {lost} lost, {contended} contended");
        assert_eq!(admitted, 1_000, "{workers} workers; {contended} contended");
    }
}

#[test]
fn a_reservation_is_never_passed_by_8_workers() {
    let data = Shared::default();
    let rules = Rules { reserve: Some(Reserve { default_max_tokens: 7, cap: 7 }), ..Rules::default() };
    let all = || Limits::new("chat", vec![limit(group("g"), &[(Unit::OutputTokens, 1_000)])], rules);
    let (admitted, _) = admitted_by(8, all, &data, spent(0, 7));
    assert_eq!(admitted, 142, "142 x 7 = 994");
}
