//! Which worker sends the served entities of a configuration: one, elected by compare-and-swap on one shared key. A
//! worker that has claimed them and died lets its claim run out.

use crate::shared::SharedData;

const KEY: &str = "weir.entities";
/// A claim that has not been confirmed by then is anybody's.
const CLAIM_MS: u64 = 30_000;

/// What the election says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// This worker sends them, and confirms.
    Won,
    /// Another one is at it: ask again later.
    Pending,
    /// They have been sent.
    Settled,
}

/// Creates the key where it is absent: at configure.
pub fn create_key(data: &impl SharedData) {
    if data.load(KEY).is_none() {
        data.create(KEY, b"").ok();
    }
}

/// Claims the entities of the configuration with this `hash`.
pub fn elect(data: &impl SharedData, hash: &str, now_ms: u64) -> Lease {
    let Some((value, cas)) = data.load(KEY) else { return Lease::Pending };
    match Claim::read(&value).filter(|claim| claim.hash == hash) {
        Some(Claim { sent: true, .. }) => Lease::Settled,
        Some(claim) if now_ms.saturating_sub(claim.at_ms) < CLAIM_MS && claim.at_ms <= now_ms => Lease::Pending,
        _ => match data.store(KEY, format!("{hash} {now_ms} claimed").as_bytes(), cas) {
            Ok(()) => Lease::Won,
            Err(_) => Lease::Pending,
        },
    }
}

/// Says that they have been acknowledged. Losing this race costs a second copy, which the collector removes.
pub fn confirm(data: &impl SharedData, hash: &str, now_ms: u64) {
    if let Some((_, cas)) = data.load(KEY) {
        data.store(KEY, format!("{hash} {now_ms} sent").as_bytes(), cas).ok();
    }
}

struct Claim<'a> {
    hash: &'a str,
    at_ms: u64,
    sent: bool,
}

impl<'a> Claim<'a> {
    fn read(value: &'a [u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(value).ok()?.split(' ');
        let (hash, at_ms, state) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
        Some(Self { hash, at_ms, sent: state == "sent" })
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn one_worker_sends_each_configuration_once() {
        let data = FakeHost::default();
        assert_eq!(elect(&data, "a", 0), Lease::Pending, "the key is made at configure");
        create_key(&data);
        create_key(&data);
        assert_eq!(elect(&data, "a", 1_000), Lease::Won);
        assert_eq!(elect(&data, "a", 1_001), Lease::Pending);
        assert_eq!(elect(&data, "a", 31_000), Lease::Won, "the first one died");
        confirm(&data, "a", 31_001);
        assert_eq!(elect(&data, "a", 99_000), Lease::Settled);
        assert_eq!(elect(&data, "b", 99_000), Lease::Won, "a new configuration");
        data.failing_stores.set(1);
        assert_eq!(elect(&data, "c", 99_000), Lease::Pending, "lost the race");
        data.data.borrow_mut().insert(KEY.to_owned(), (b"\xff".to_vec(), 9));
        assert_eq!(elect(&data, "c", 99_000), Lease::Won);
    }
}
