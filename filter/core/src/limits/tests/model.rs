//! The formula of DESIGN.md section 3 as plainly as it can be said: a log of every charge, counted again each time.

pub struct Model {
    length: u64,
    start: u64,
    log: Vec<(u64, u64)>,
}

impl Model {
    pub fn new(length: u64) -> Self {
        Self { length, start: 0, log: Vec::new() }
    }

    /// What was charged in the `n`th period since the chain began.
    fn in_period(&self, n: Option<u64>) -> u64 {
        let charges = self.log.iter().filter(|(at, _)| Some((at - self.start) / self.length) == n);
        charges.map(|(_, amount)| amount).sum()
    }

    pub fn used(&self, now: u64) -> u64 {
        let n = (now - self.start) / self.length;
        let remaining = self.length - (now - self.start) % self.length;
        self.in_period(Some(n)) + (self.in_period(n.checked_sub(1)) * remaining).div_ceil(self.length)
    }

    pub fn charge(&mut self, now: u64, amount: u64) {
        let n = (now - self.start) / self.length;
        if self.in_period(Some(n)) == 0 && self.in_period(n.checked_sub(1)) == 0 {
            *self = Self { start: now, ..Self::new(self.length) };
        }
        self.log.push((now, amount));
    }
}
