//! Refusals before an endpoint was known: anybody can make them, as many as he likes, so that few of them have a row. The rest is
//! counted.

use std::collections::BTreeMap;

/// Rows a second; the rest is counted and goes as one row (DESIGN.md section 6).
const ROWS_PER_SECOND: u32 = 100;

#[derive(Debug, Default)]
pub struct Strangers {
    second: u64,
    rows: u32,
    pub uncounted: BTreeMap<u16, u64>,
}

impl Strangers {
    /// Whether this one gets a row of its own; else it is counted by its status.
    pub fn admit(&mut self, status: u16, now: u64) -> bool {
        let second = now / 1_000_000_000;
        if self.second != second {
            (self.second, self.rows) = (second, 0);
        }
        if self.rows < ROWS_PER_SECOND {
            self.rows = self.rows.saturating_add(1);
            return true;
        }
        let count = self.uncounted.entry(status).or_default();
        *count = count.saturating_add(1);
        false
    }
}
