//! Keeps an engine that is down from costing every request its timeout: answers and failures in, whether it is worth asking
//! out. One per worker and configuration; it knows no engine and no clock.

use std::cell::Cell;

/// So many failures in a row open it: one or two are a hiccup, and each costs one request its timeout.
pub const FAILURES: u32 = 5;
/// While it is open, one request in this time asks all the same; an answer closes it.
pub const PROBE_MS: u64 = 500;

#[derive(Debug, Default)]
pub struct Circuit {
    /// In a row.
    failures: Cell<u32>,
    probed_at_ms: Cell<u64>,
}

/// What an outcome changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    None,
    Opened,
    Closed,
}

impl Circuit {
    /// Whether the engine shall be asked. While the circuit is open, that makes the one who hears `true` the probe.
    pub fn allows(&self, now_ms: u64) -> bool {
        if self.failures.get() < FAILURES {
            return true;
        }
        // Also after a clock that stepped back.
        let is_due = now_ms.abs_diff(self.probed_at_ms.get()) >= PROBE_MS;
        if is_due {
            self.probed_at_ms.set(now_ms);
        }
        is_due
    }

    pub fn answered(&self) -> Turn {
        if self.failures.replace(0) < FAILURES { Turn::None } else { Turn::Closed }
    }

    pub fn failed(&self, now_ms: u64) -> Turn {
        let failures = self.failures.get().saturating_add(1);
        self.failures.set(failures);
        if failures >= FAILURES {
            self.probed_at_ms.set(now_ms);
        }
        if failures == FAILURES { Turn::Opened } else { Turn::None }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn opens_after_failures_in_a_row_and_closes_with_an_answer() {
        let circuit = Circuit::default();
        for _ in 1..FAILURES {
            assert_eq!(circuit.failed(10_000), Turn::None);
        }
        assert_eq!(circuit.answered(), Turn::None, "not in a row");
        for _ in 1..FAILURES {
            assert_eq!(circuit.failed(10_000), Turn::None);
            assert!(circuit.allows(10_000));
        }
        assert_eq!(circuit.failed(10_000), Turn::Opened);
        assert!(!circuit.allows(10_000));
        assert!(!circuit.allows(10_000 + PROBE_MS - 1));
        assert!(circuit.allows(10_000 + PROBE_MS), "the probe");
        assert!(!circuit.allows(10_000 + PROBE_MS + 1), "one at a time");
        assert_eq!(circuit.failed(10_000 + PROBE_MS + 20), Turn::None);
        assert!(!circuit.allows(10_000 + 2 * PROBE_MS));
        assert!(circuit.allows(5_000), "the clock stepped back");
        assert_eq!(circuit.answered(), Turn::Closed);
        assert!(circuit.allows(10_000) && circuit.allows(10_000));
    }
}
