//! How durations are spread: milliseconds in, percentiles out, in 72 counters. A percentile is at most 19 % above the true one.

/// Four to an octave, from 1 ms to 2^18 ms (262 s); longer ones are in the last.
const COUNTERS: usize = 72;

#[derive(Clone)]
pub struct Spread([u32; COUNTERS]);

impl Default for Spread {
    fn default() -> Self {
        Self([0; COUNTERS])
    }
}

impl Spread {
    pub fn add(&mut self, ms: i64) {
        if let Some(counter) = self.0.get_mut(place(ms)) {
            *counter = counter.saturating_add(1);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for (counter, n) in self.0.iter_mut().zip(&other.0) {
            *counter = counter.saturating_add(*n);
        }
    }

    /// The duration that `percent` of all do not exceed; none where nothing was counted.
    pub fn percentile(&self, percent: u64) -> Option<f64> {
        let total: u64 = self.0.iter().map(|n| u64::from(*n)).sum();
        let wanted = total.saturating_mul(percent).div_ceil(100).max(1);
        let mut sum = 0u64;
        let at = self.0.iter().position(|n| {
            sum = sum.saturating_add(u64::from(*n));
            sum >= wanted
        })?;
        Some(upper(at))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped, and small"
)]
fn place(ms: i64) -> usize {
    let octaves = (ms.max(1) as f64).log2();
    ((octaves * 4.0).ceil() as usize).min(COUNTERS - 1)
}

/// The largest duration of a counter, ms.
#[expect(clippy::cast_precision_loss, reason = "72 at most")]
fn upper(at: usize) -> f64 {
    (at as f64 / 4.0).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_near_the_true_ones() {
        let mut spread = Spread::default();
        assert_eq!(spread.percentile(50), None);
        for ms in 1..=1000 {
            spread.add(ms);
        }
        for (percent, truth) in [(1, 10.0), (50, 500.0), (90, 900.0), (99, 990.0), (100, 1000.0)] {
            let got = spread.percentile(percent).unwrap();
            assert!(got >= truth && got <= truth * 1.19, "p{percent}: {got}");
        }
        spread.add(-5);
        spread.add(i64::MAX);
        assert_eq!(spread.percentile(100), Some(upper(COUNTERS - 1)));
    }
}
