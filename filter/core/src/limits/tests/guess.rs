//! Values that a worker remembers: no store is lost by them, and nothing is decided by one that no store makes sure of.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{
    super::guess::{MOST, later, next},
    *,
};
use crate::host::Cas;

const KEYS: [&str; 3] = ["weir.e.chat", "weir.u.1", "weir.u.2"];

/// What a counter of one number looks like.
fn number(bytes: &[u8]) -> u64 {
    std::str::from_utf8(bytes).unwrap().parse().unwrap()
}

/// A number that was seen, and its version.
type Seen = (u64, Option<Cas>);

/// Guesses or loads, as admission does first.
fn look(data: &impl SharedData, key: &str, may_guess: bool) -> Seen {
    let guess = if may_guess { data.guess(key) } else { None };
    guess.or_else(|| data.load(key)).map_or((0, None), |(bytes, cas)| (number(&bytes), Some(cas)))
}

fn add(data: &impl SharedData, key: &str, (seen, cas): Seen) -> bool {
    let bytes = (seen + 1).to_string().into_bytes();
    match cas {
        Some(cas) => data.store(key, &bytes, cas).is_ok(),
        None => data.create(key, &bytes).is_ok(),
    }
}

#[test]
fn a_worker_alone_loads_once() {
    let (data, guesses) = (FakeSharedData::default(), Guesses::default());
    let data_of_one = guesses.over(&data);
    for _ in 0..50 {
        for key in KEYS {
            assert!(add(&data_of_one, key, look(&data_of_one, key, true)));
        }
    }
    assert_eq!(data.traffic(), (3, 150));
    assert!(KEYS.iter().all(|key| number(&data.contents_of(key)) == 50));
}

/// Workers look and store in any order, with others' stores and stores of other keys between: each addition counts once.
#[test]
fn nothing_is_lost_between_workers() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let data = FakeSharedData::default();
        let guesses = [Guesses::default(), Guesses::default(), Guesses::default()];
        let mut seen: [Option<(usize, Seen)>; 3] = [None; 3];
        let mut added = [0; 3];
        let (mut guessed, mut failed) = (0, 0);
        for _ in 0..2_000 {
            // The first worker is busier than the others: some of his guesses must come true.
            let worker = [0, 0, 0, 0, 0, 0, 1, 2][random.below(8) as usize];
            let own = guesses[worker].over(&data);
            if random.below(20) == 0 {
                // Behind the workers' backs.
                data.put("weir.tokens", b"1");
            }
            match seen[worker].take() {
                None => {
                    let key = random.below(3) as usize;
                    data.traffic();
                    seen[worker] = Some((key, look(&own, KEYS[key], true)));
                    guessed += usize::from(data.traffic().0 == 0);
                }
                Some((key, looked)) if add(&own, KEYS[key], looked) => added[key] += 1,
                Some((key, _)) => {
                    failed += 1;
                    seen[worker] = Some((key, look(&own, KEYS[key], false)));
                }
            }
        }
        for (key, added) in KEYS.iter().zip(added) {
            assert_eq!(number(&data.contents_of(key)), added, "seed {seed}");
        }
        assert!(guessed > 100, "seed {seed}: {guessed} guesses, {failed} failed");
    }
}

/// Two workers who store in turn: neither can guess, and both stop trying but for one time in 64.
#[test]
fn guesses_that_fail_pause() {
    let data = FakeSharedData::default();
    let guesses = [Guesses::default(), Guesses::default()];
    let mut failed = 0;
    for _ in 0..1_000 {
        for own in &guesses {
            let own = own.over(&data);
            if !add(&own, KEYS[0], look(&own, KEYS[0], true)) {
                failed += 1;
                assert!(add(&own, KEYS[0], look(&own, KEYS[0], false)));
            }
        }
    }
    assert_eq!(number(&data.contents_of(KEYS[0])), 2_000);
    assert!(failed < 2 * (6 + 1_000 / 64 + 1), "{failed}");
}

#[test]
fn long_values_are_not_kept() {
    let (data, guesses) = (FakeSharedData::default(), Guesses::default());
    let own = guesses.over(&data);
    own.create("long", &[b'1'; MOST + 1]).unwrap();
    own.create("short", &[b'1'; MOST]).unwrap();
    assert_eq!(own.guess("long"), None);
    assert!(own.guess("short").is_some());
}

#[test]
fn numbers_begin_again() {
    assert_eq!((next(7), next(Cas::MAX)), (8, 1));
    assert_eq!((later(5, 9), later(9, 5)), (9, 9));
    assert_eq!(later(0, Cas::MAX - 1), Cas::MAX - 1, "none was known");
    assert_eq!((later(Cas::MAX - 1, 3), later(3, Cas::MAX - 1)), (3, 3));
}

/// Two workers' admissions: whoever is refused was refused by what is there, and who is admitted without a store was, too.
#[test]
fn nobody_is_judged_by_a_guess() {
    let limits = compiled(vec![
        limit(LimitKey::EachUser, &[(Unit::Calls, 3), (Unit::InputTokens, 10)]),
        limit(LimitKey::Endpoint, &[(Unit::InputTokens, 100)]),
    ]);
    let (data, here, there) = (FakeSharedData::default(), Guesses::default(), Guesses::default());
    let ann = user("ann", &[]);
    let charge = admitted(admit(&limits, &here.over(&data), T0, &ann));
    settle(&limits, &here.over(&data), T0, &charge, spent(9, 0));
    // The other worker reserved too much, and gives it back: what the first one remembers would refuse.
    data.put(&slot(&ann), b"");
    admitted(admit(&limits, &here.over(&data), T0, &ann));
    // The endpoint's value is not stored at admission: it has to be loaded.
    let charge = admitted(admit(&limits, &there.over(&data), T0, &user("bob", &[])));
    settle(&limits, &there.over(&data), T0, &charge, spent(91, 0));
    refused(admit(&limits, &here.over(&data), T0, &user("eve", &[])));
}

#[test]
fn a_refusal_that_was_guessed_is_looked_at_again() {
    let (limits, data) = configured(vec![limit(LimitKey::EachUser, &[(Unit::Calls, 2)])]);
    let (guesses, ann) = (Guesses::default(), user("ann", &[]));
    for _ in 0..2 {
        admitted(admit(&limits, &guesses.over(&data), T0, &ann));
    }
    data.put(&slot(&ann), b"");
    admitted(admit(&limits, &guesses.over(&data), T0, &ann));
}
