//! What a million users cost: the figures of `docs/decisions/0002-limits-in-shared-data.md`.
#![cfg(not(target_arch = "wasm32"))]

use std::time::Instant;

use super::{slots::fill, *};

const USERS: u64 = 1_000_000;
/// They come within this time; a counter of a minute counts for up to two.
const SPREAD_MS: u64 = 100_000;

/// `cargo test --release -p weir-core a_million_users -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods)]
fn a_million_users() {
    let one = vec![limit(LimitKey::EachUser, &[(Unit::Calls, 1_000)])];
    let three = vec![limit(
        LimitKey::EachUser,
        &[(Unit::Calls, 1_000), (Unit::InputTokens, 1_000_000), (Unit::OutputTokens, 1_000_000)],
    )];
    for limits in [one, three] {
        let counters = limits[0].units.len();
        let (limits, data) = configured(limits);
        let start = Instant::now();
        for number in 0..USERS {
            let who = user(&format!("user-{number}@example.com"), &[]);
            let now = T0 + number * SPREAD_MS / USERS;
            let Admission::Admitted(charge) = admit(&limits, &data, now, &who) else { panic!("refused") };
            settle(&limits, &data, now, &charge, spent(1, 1));
        }
        let each = start.elapsed() / u32::try_from(USERS).unwrap();
        let fill = fill(&data, T0 + SPREAD_MS, 0..SLOTS);
        println!("{counters} counters each: {fill:?}, {each:?} for an admission and its settlement");
        assert!(fill.bytes <= SLOTS * SLOT_ROOM.most, "bounded");
    }
}
