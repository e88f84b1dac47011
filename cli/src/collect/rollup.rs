//! What the page shows, kept in memory: rows of `endpoint_usage_detail` in, sums per minute and per hour out, by endpoint, entity and user,
//! and the last requests. Its memory is bounded: when a bound is met the oldest users are summed up as one, and the sums stay right.

pub mod ingest;
pub mod load;
pub mod query;
pub mod recent;
mod spread;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::rows::Micros;
use recent::Recent;
pub use recent::Request;
pub use spread::Spread;

pub const MINUTE: Micros = 60_000_000;
pub const HOUR: Micros = 60 * MINUTE;
pub const DAY: Micros = 24 * HOUR;

/// Minutes are kept for 26 hours, hours for 93 days.
const MINUTES: i64 = 26 * 60;
const HOURS: i64 = 93 * 24;
/// Cells of a level, with the counts of refusals and fallbacks: some 100 bytes each with their place in the map, so 40 MB. With 100 users of 5 models that all call in every
/// hour, hours reach back 33 days before users are summed up.
const CELLS: usize = 400_000;
/// Spreads of a level: 608 bytes each, so 12 MB.
const SPREADS: usize = 20_000;
/// Names that are told apart; all later ones are `OTHERS`.
const NAMES: usize = 200_000;
/// A name is shown so far, in bytes. Whoever may write may write names of megabytes.
const LONGEST_NAME: usize = 200;

/// A name's number. The first is no name, the second stands for those that are not told apart.
pub type Name = u32;
pub const NONE: Name = 0;
pub const OTHERS: Name = 1;

pub struct Rollup {
    names: Names,
    minutes: Level,
    hours: Level,
    recent: Recent,
    pub rows: u64,
}

struct Names {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, Name>,
}

/// Sums of buckets of one width.
struct Level {
    width: Micros,
    /// How many buckets back the newest one.
    keep: i64,
    buckets: BTreeMap<i64, Bucket>,
    cells: usize,
    spreads: usize,
}

#[derive(Default)]
struct Bucket {
    cells: HashMap<Key, Sums>,
    spreads: HashMap<(Name, Name), Box<(Spread, Spread)>>,
    /// Refusals by limit, endpoint and user.
    refusals: HashMap<(Name, Name, Name), u64>,
    /// Failed attempts that were followed by another, by endpoint, entity and cause.
    fallbacks: HashMap<(Name, Name, Name), u64>,
    is_folded: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    pub endpoint: Name,
    pub entity: Name,
    pub user: Name,
}

#[derive(Clone, Copy, Default)]
pub struct Sums {
    pub requests: u64,
    /// By a limit, a permission or for want of an identity: status 401, 403, 404, 429 of the gateway itself.
    pub refused: u64,
    /// Status 5xx.
    pub failed: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost_usd: f64,
}

impl Sums {
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.refused = self.refused.saturating_add(other.refused);
        self.failed = self.failed.saturating_add(other.failed);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cost_usd += other.cost_usd;
    }
}

/// One request, as far as the sums go.
pub struct Facts<'a> {
    pub time: Micros,
    pub key: Key,
    pub sums: Sums,
    pub latency_ms: Option<i64>,
    pub first_byte_ms: Option<i64>,
    pub limit: Option<Name>,
    /// `(entity, cause)` of each attempt that was followed by another.
    pub fallbacks: &'a [(Name, Name)],
}

impl Rollup {
    pub fn new() -> Self {
        Self {
            names: Names::new(),
            minutes: Level::new(MINUTE, MINUTES),
            hours: Level::new(HOUR, HOURS),
            recent: Recent::default(),
            rows: 0,
        }
    }

    pub fn name(&mut self, text: Option<&str>) -> Name {
        text.map_or(NONE, |text| self.names.number(text))
    }

    pub fn text(&self, name: Name) -> &str {
        self.names.texts.get(name as usize).map_or("", |text| text)
    }

    pub fn find(&self, text: &str) -> Option<Name> {
        self.names.numbers.get(shown(text)).copied()
    }

    pub fn add(&mut self, facts: &Facts<'_>) {
        self.rows = self.rows.saturating_add(1);
        self.minutes.add(facts);
        self.hours.add(facts);
    }

    pub fn remember(&mut self, request: Request) {
        self.recent.add(request);
    }

    /// Whether a request of that time would be among the last ones.
    pub fn is_recent(&self, time: Micros) -> bool {
        self.recent.would_take(time)
    }
}

impl Names {
    fn new() -> Self {
        let mut names = Self { texts: Vec::new(), numbers: HashMap::new() };
        names.texts.push("".into());
        names.number("(others)");
        names
    }

    fn number(&mut self, text: &str) -> Name {
        let text = shown(text);
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        if self.texts.len() >= NAMES {
            return OTHERS;
        }
        let Ok(number) = Name::try_from(self.texts.len()) else { return OTHERS };
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }
}

impl Level {
    fn new(width: Micros, keep: i64) -> Self {
        Self { width, keep, buckets: BTreeMap::new(), cells: 0, spreads: 0 }
    }

    fn add(&mut self, facts: &Facts<'_>) {
        let at = facts.time.div_euclid(self.width);
        let newest = self.buckets.last_key_value().map_or(at, |(newest, _)| *newest);
        if at <= newest.saturating_sub(self.keep) {
            return;
        }
        let bucket = self.buckets.entry(at).or_default();
        let key = if bucket.is_folded { Key { user: OTHERS, ..facts.key } } else { facts.key };
        let (cells, spreads) = (bucket.size(), bucket.spreads.len());
        bucket.cells.entry(key).or_default().add(&facts.sums);
        let spread = bucket.spreads.entry((key.endpoint, key.entity)).or_default();
        facts.latency_ms.iter().for_each(|ms| spread.0.add(*ms));
        facts.first_byte_ms.iter().for_each(|ms| spread.1.add(*ms));
        if let Some(limit) = facts.limit {
            count(&mut bucket.refusals, (limit, key.endpoint, key.user));
        }
        for (entity, cause) in facts.fallbacks {
            count(&mut bucket.fallbacks, (key.endpoint, *entity, *cause));
        }
        self.cells = self.cells.saturating_add(bucket.size().saturating_sub(cells));
        self.spreads = self.spreads.saturating_add(bucket.spreads.len().saturating_sub(spreads));
        if self.cells > CELLS || self.spreads > SPREADS || at > newest {
            self.bound(at.max(newest));
        }
    }

    /// Drops what is too old, sums up users of the oldest buckets, and drops those if even that is too much.
    fn bound(&mut self, newest: i64) {
        while let Some((oldest, _)) = self.buckets.first_key_value()
            && (*oldest <= newest.saturating_sub(self.keep) || self.spreads > SPREADS)
        {
            self.drop_oldest();
        }
        while self.cells > CELLS {
            let Some(bucket) = self.buckets.values_mut().find(|bucket| !bucket.is_folded) else {
                self.drop_oldest();
                continue;
            };
            let before = bucket.size();
            bucket.fold();
            self.cells = self.cells.saturating_sub(before.saturating_sub(bucket.size()));
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, gone)) = self.buckets.pop_first() {
            self.cells = self.cells.saturating_sub(gone.size());
            self.spreads = self.spreads.saturating_sub(gone.spreads.len());
        }
    }
}

/// A name as far as it is kept, whole characters of it.
fn shown(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST_NAME)).unwrap_or(text)
}

impl Bucket {
    fn size(&self) -> usize {
        self.cells.len().saturating_add(self.refusals.len()).saturating_add(self.fallbacks.len())
    }

    /// Sums up all users as one.
    fn fold(&mut self) {
        for (key, sums) in std::mem::take(&mut self.cells) {
            self.cells.entry(Key { user: OTHERS, ..key }).or_default().add(&sums);
        }
        for ((limit, endpoint, _), n) in std::mem::take(&mut self.refusals) {
            let sum = self.refusals.entry((limit, endpoint, OTHERS)).or_default();
            *sum = sum.saturating_add(n);
        }
        self.is_folded = true;
    }
}

fn count<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u64>, key: K) {
    let n = counts.entry(key).or_default();
    *n = n.saturating_add(1);
}

#[cfg(test)]
mod tests;
