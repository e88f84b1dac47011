//! How many tokens of a served entity's own tokenizer stand for one of o200k_base: learnt from what its provider reports, as
//! a ratio of sums that forget slowly. One value in the shared data for each entity, so that workers share what they learn
//! and a reload keeps it. A provider that reports nonsense moves it within bounds, and never makes a count fail.

use super::Count;
use crate::{
    config::{ServedEntity, Tokenizer},
    shared::SharedData,
};

/// What a new sample weighs once there are many; of the first n, each weighs 1/n.
const WEIGHT: f64 = 0.05;

/// No tokenizer of a known model is further off than this, either way, on ordinary text.
const MOST: f64 = 4.0;

/// One request of so many is counted to learn from it: a count costs what ten host calls do.
pub const ONE_OF: u64 = 32;

/// Shorter prompts say more of a template's overhead than of a tokenizer.
const FEWEST_TOKENS: u64 = 32;

/// Two sums and the number of samples, little-endian, 8 bytes each.
const BYTES: usize = 24;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Learnt {
    samples: u64,
    reported: f64,
    counted: f64,
}

fn key(entity_id: &str) -> String {
    format!("weir.token_ratio.{entity_id}")
}

/// Makes the entity's key where there is none: requests make none.
pub fn create_key(host: &impl SharedData, entity_id: &str) {
    let key = key(entity_id);
    if host.load(&key).is_none() {
        // Another worker was faster: so be it.
        let _exists = host.create(&key, &Learnt::default().write());
    }
}

/// 1 until something has been learnt.
pub fn ratio(host: &impl SharedData, entity_id: &str) -> f64 {
    host.load(&key(entity_id)).map_or(1.0, |(value, _)| Learnt::read(&value).ratio())
}

/// A count of o200k_base's tokens in the entity's own.
pub fn in_own_tokens(count: Count, entity: &ServedEntity, host: &impl SharedData) -> Count {
    match entity.tokenizer {
        Tokenizer::O200kBase => count,
        Tokenizer::Ratio => count.scaled(ratio(host, &entity.id)),
    }
}

/// Learns from one request. A sample that meets another worker's is lost: the next one is as good.
pub fn learn(host: &impl SharedData, entity_id: &str, counted: u64, reported: u64) {
    if counted < FEWEST_TOKENS || reported == 0 {
        return;
    }
    let key = key(entity_id);
    let Some((value, cas)) = host.load(&key) else { return };
    let _lost = host.store(&key, &Learnt::read(&value).with(counted as f64, reported as f64).write(), cas);
}

impl Learnt {
    fn ratio(self) -> f64 {
        let ratio = self.reported / self.counted;
        if ratio.is_finite() { ratio.clamp(1.0 / MOST, MOST) } else { 1.0 }
    }

    fn with(self, counted: f64, reported: f64) -> Self {
        let samples = self.samples.saturating_add(1);
        let weight = WEIGHT.max(1.0 / samples as f64);
        let reported = reported.clamp(counted / MOST, counted * MOST);
        let mixed = |old: f64, new: f64| old + (new - old) * weight;
        Self { samples, reported: mixed(self.reported, reported), counted: mixed(self.counted, counted) }
    }

    fn write(self) -> [u8; BYTES] {
        let mut value = [0; BYTES];
        let parts = [self.samples.to_le_bytes(), self.reported.to_le_bytes(), self.counted.to_le_bytes()];
        for (to, part) in value.chunks_exact_mut(8).zip(parts) {
            to.copy_from_slice(&part);
        }
        value
    }

    /// What is no such value is as if nothing had been learnt.
    fn read(value: &[u8]) -> Self {
        let part = |index: usize| value.get(index * 8..).and_then(|rest| rest.first_chunk()).copied();
        let learnt = (|| {
            Some(Self {
                samples: u64::from_le_bytes(part(0)?),
                reported: f64::from_le_bytes(part(1)?),
                counted: f64::from_le_bytes(part(2)?),
            })
        })();
        learnt
            .filter(|learnt| learnt.reported.is_finite() && learnt.counted.is_finite() && learnt.counted >= 0.0)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn a_constant_factor_is_learnt_at_once() {
        let host = FakeHost::default();
        create_key(&host, "e");
        assert_eq!(ratio(&host, "e"), 1.0);
        for counted in [40, 4000, 77, 1000] {
            learn(&host, "e", counted, counted * 5 / 4);
            create_key(&host, "e");
        }
        assert!((ratio(&host, "e") - 1.25).abs() < 0.01, "{}", ratio(&host, "e"));
        assert_eq!(ratio(&host, "another"), 1.0);
    }

    #[test]
    fn nonsense_stays_within_bounds() {
        let host = FakeHost::default();
        create_key(&host, "e");
        for _ in 0..1000 {
            learn(&host, "e", 100, u64::MAX);
        }
        assert_eq!(ratio(&host, "e"), MOST);
        for _ in 0..1000 {
            learn(&host, "e", 100, 1);
            learn(&host, "e", 100, 0);
            learn(&host, "e", 1, 1000);
        }
        assert!((ratio(&host, "e") - 1.0 / MOST).abs() < 1e-9);
        for value in [&b""[..], &[0xff; 24], b"short"] {
            let (_, cas) = host.load(&key("e")).unwrap();
            host.store(&key("e"), value, cas).unwrap();
            assert_eq!(ratio(&host, "e"), 1.0);
        }
    }

    #[test]
    fn a_change_is_followed() {
        let host = FakeHost::default();
        create_key(&host, "e");
        (0..500).for_each(|_| learn(&host, "e", 100, 100));
        (0..100).for_each(|_| learn(&host, "e", 100, 150));
        assert!((ratio(&host, "e") - 1.5).abs() < 0.01);
    }
}
