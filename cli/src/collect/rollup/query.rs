//! The page's questions: a span of time, filters and what to split by in, JSON out. It walks sums, never rows.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{DAY, Key, Level, MINUTE, Name, OTHERS, Rollup, Spread, Sums};
use crate::collect::rows::Micros;

/// Lines of a chart, without the one for all others.
const LINES: usize = 6;
/// Rows of the tables beside it.
const ROWS: usize = 30;
/// Points of a chart, at most.
const POINTS: i64 = 170;

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum By {
    #[default]
    Endpoint,
    Entity,
    User,
}

/// A question. Times are microseconds since the epoch; an absent filter matches all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    pub from: Micros,
    pub to: Micros,
    pub by: By,
    pub endpoint: Option<String>,
    pub entity: Option<String>,
    pub user: Option<String>,
}

#[derive(Serialize)]
pub struct Answer<'a> {
    from: Micros,
    /// Microseconds from one point of the lines to the next.
    step: Micros,
    totals: Group<'a>,
    latency_ms: Percentiles,
    first_byte_ms: Percentiles,
    lines: Vec<Line<'a>>,
    groups: Vec<Group<'a>>,
    refusals: Vec<Refusal<'a>>,
    fallbacks: Vec<Fallback<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    requests: Vec<u64>,
    tokens: Vec<u64>,
    cost_usd: Vec<f64>,
}

#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    requests: u64,
    refused: u64,
    failed: u64,
    input_tokens: u64,
    output_tokens: u64,
    cost_usd: f64,
}

#[derive(Serialize)]
struct Percentiles {
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
}

#[derive(Serialize)]
struct Refusal<'a> {
    limit: &'a str,
    endpoint: &'a str,
    user: &'a str,
    count: u64,
    /// All that this user asked of this endpoint, so that one sees how much of it was refused.
    requests: u64,
    /// The minute, or for older spans the hour, of the latest one.
    last: Micros,
}

#[derive(Serialize)]
struct Fallback<'a> {
    endpoint: &'a str,
    entity: &'a str,
    cause: &'a str,
    count: u64,
}

/// What a question selects; a name that nobody has selects nothing.
struct Filter {
    endpoint: Option<Name>,
    entity: Option<Name>,
    user: Option<Name>,
}

impl Filter {
    fn takes(&self, key: Key) -> bool {
        self.endpoint.is_none_or(|wanted| wanted == key.endpoint)
            && self.entity.is_none_or(|wanted| wanted == key.entity)
            && self.user.is_none_or(|wanted| wanted == key.user)
    }
}

impl Rollup {
    pub fn answer(&self, query: &Query) -> Answer<'_> {
        // Minutes where they reach: for spans of at most 26 hours that are not older.
        let newest = self.minutes.buckets.last_key_value().map_or(0, |(newest, _)| newest.saturating_mul(MINUTE));
        let reach = newest.saturating_sub(self.minutes.keep.saturating_sub(1).saturating_mul(MINUTE));
        let level = if query.from >= reach { &self.minutes } else { &self.hours };
        let widths = [1, 5, 15, 60, 360, 1440].map(|minutes: i64| minutes.saturating_mul(MINUTE));
        let span = query.to.saturating_sub(query.from);
        let fits = |width: &Micros| *width >= level.width && span / *width <= POINTS;
        let step = widths.into_iter().find(fits).unwrap_or(DAY);
        let from = query.from.div_euclid(step).saturating_mul(step);
        let number = |text: &Option<String>| text.as_deref().map(|text| self.find(text).unwrap_or(Name::MAX));
        let filter =
            Filter { endpoint: number(&query.endpoint), entity: number(&query.entity), user: number(&query.user) };
        let groups = level.groups(from, query.to, query.by, &filter);
        let spread = level.spread(from, query.to, &filter);
        Answer {
            from,
            step,
            totals: self.group(OTHERS, &total(&groups)),
            latency_ms: Percentiles::of(&spread.0),
            first_byte_ms: Percentiles::of(&spread.1),
            lines: self.lines(level, &groups, (from, query.to, step), query.by, &filter),
            groups: groups.iter().take(ROWS).map(|(name, sums)| self.group(*name, sums)).collect(),
            refusals: self.refusals(level, from, query.to, &filter),
            fallbacks: self.fallbacks(level, from, query.to, &filter),
        }
    }

    /// The last requests that match, the latest first.
    pub fn last(&self, query: &Query, refused: bool, most: usize) -> Vec<&super::Request> {
        let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        let matching = self.recent.iter().filter(|request| {
            is(&query.endpoint, &request.endpoint_name)
                && is(&query.entity, &request.served_entity_name)
                && is(&query.user, &request.requester)
                && (!refused || request.limit.is_some() || request.status_code.is_none_or(|status| status >= 400))
        });
        matching.take(most).collect()
    }

    /// Totals of each of the last `days` days (UTC), the oldest first, with the day's first microsecond.
    pub fn days(&self, now: Micros, days: i64) -> Vec<(Micros, Sums)> {
        let today = now.div_euclid(DAY);
        let first = today.saturating_sub(days.saturating_sub(1));
        let filter = Filter { endpoint: None, entity: None, user: None };
        (first..=today)
            .map(|day| {
                let from = day.saturating_mul(DAY);
                (from, total(&self.hours.groups(from, from.saturating_add(DAY), By::Endpoint, &filter)))
            })
            .collect()
    }

    fn lines(
        &self,
        level: &Level,
        groups: &[(Name, Sums)],
        (from, to, step): (Micros, Micros, Micros),
        by: By,
        filter: &Filter,
    ) -> Vec<Line<'_>> {
        let points = usize::try_from(to.saturating_sub(from).div_euclid(step).saturating_add(1)).unwrap_or(0);
        let mut shown: Vec<Name> =
            groups.iter().map(|(name, _)| *name).filter(|name| *name != OTHERS).take(LINES).collect();
        if groups.len() > shown.len() {
            shown.push(OTHERS);
        }
        let at: HashMap<Name, usize> = shown.iter().enumerate().map(|(at, name)| (*name, at)).collect();
        let mut lines: Vec<Vec<Sums>> = shown.iter().map(|_| vec![Sums::default(); points]).collect();
        for (bucket_at, bucket) in level.range(from, to) {
            let time = bucket_at.saturating_mul(level.width);
            let point = usize::try_from(time.saturating_sub(from).div_euclid(step)).unwrap_or(usize::MAX);
            for (key, sums) in bucket.cells.iter().filter(|(key, _)| filter.takes(**key)) {
                let line = at.get(&name_of(*key, by)).or_else(|| at.get(&OTHERS));
                let cell = line.and_then(|line| lines.get_mut(*line)).and_then(|line| line.get_mut(point));
                cell.into_iter().for_each(|cell| cell.add(sums));
            }
        }
        shown
            .into_iter()
            .zip(lines)
            .map(|(name, sums)| Line {
                name: self.text(name),
                requests: sums.iter().map(|sums| sums.requests).collect(),
                tokens: sums.iter().map(|sums| sums.input_tokens.saturating_add(sums.output_tokens)).collect(),
                cost_usd: sums.iter().map(|sums| sums.cost_usd).collect(),
            })
            .collect()
    }

    fn refusals(&self, level: &Level, from: Micros, to: Micros, filter: &Filter) -> Vec<Refusal<'_>> {
        let mut counts: HashMap<(Name, Name, Name), u64> = HashMap::new();
        let mut last: HashMap<(Name, Name, Name), Micros> = HashMap::new();
        let mut asked: HashMap<(Name, Name), u64> = HashMap::new();
        for (at, bucket) in level.range(from, to) {
            for ((limit, endpoint, user), n) in &bucket.refusals {
                if filter.takes(Key { endpoint: *endpoint, entity: filter.entity.unwrap_or_default(), user: *user }) {
                    let count = counts.entry((*limit, *endpoint, *user)).or_default();
                    *count = count.saturating_add(*n);
                    last.insert((*limit, *endpoint, *user), at.saturating_mul(level.width));
                }
            }
            for (key, sums) in &bucket.cells {
                let requests = asked.entry((key.endpoint, key.user)).or_default();
                *requests = requests.saturating_add(sums.requests);
            }
        }
        let refusal = |((limit, endpoint, user), count)| Refusal {
            limit: self.text(limit),
            endpoint: self.text(endpoint),
            user: self.text(user),
            count,
            requests: asked.get(&(endpoint, user)).copied().unwrap_or(count),
            last: last.get(&(limit, endpoint, user)).copied().unwrap_or(from),
        };
        most(counts).into_iter().map(refusal).collect()
    }

    fn fallbacks(&self, level: &Level, from: Micros, to: Micros, filter: &Filter) -> Vec<Fallback<'_>> {
        let mut counts: HashMap<(Name, Name, Name), u64> = HashMap::new();
        for (_, bucket) in level.range(from, to) {
            for ((endpoint, entity, cause), n) in &bucket.fallbacks {
                if filter.takes(Key { endpoint: *endpoint, entity: *entity, user: filter.user.unwrap_or_default() }) {
                    let count = counts.entry((*endpoint, *entity, *cause)).or_default();
                    *count = count.saturating_add(*n);
                }
            }
        }
        let fallback = |((endpoint, entity, cause), count)| Fallback {
            endpoint: self.text(endpoint),
            entity: self.text(entity),
            cause: self.text(cause),
            count,
        };
        most(counts).into_iter().map(fallback).collect()
    }

    fn group(&self, name: Name, sums: &Sums) -> Group<'_> {
        Group {
            name: self.text(name),
            requests: sums.requests,
            refused: sums.refused,
            failed: sums.failed,
            input_tokens: sums.input_tokens,
            output_tokens: sums.output_tokens,
            cost_usd: sums.cost_usd,
        }
    }
}

impl Level {
    fn range(&self, from: Micros, to: Micros) -> impl Iterator<Item = (i64, &super::Bucket)> {
        let (first, last) = (from.div_euclid(self.width), to.saturating_sub(1).max(from).div_euclid(self.width));
        self.buckets.range(first..=last).map(|(at, bucket)| (*at, bucket))
    }

    /// Sums by group, the one with the most requests first.
    fn groups(&self, from: Micros, to: Micros, by: By, filter: &Filter) -> Vec<(Name, Sums)> {
        let mut groups: HashMap<Name, Sums> = HashMap::new();
        for (_, bucket) in self.range(from, to) {
            for (key, sums) in bucket.cells.iter().filter(|(key, _)| filter.takes(**key)) {
                groups.entry(name_of(*key, by)).or_default().add(sums);
            }
        }
        let mut groups: Vec<(Name, Sums)> = groups.into_iter().collect();
        groups.sort_by_key(|(name, sums)| (std::cmp::Reverse(sums.requests), *name));
        groups
    }

    /// How latency and the time to the first byte are spread. Users are not told apart in it.
    fn spread(&self, from: Micros, to: Micros, filter: &Filter) -> (Spread, Spread) {
        let mut sum = (Spread::default(), Spread::default());
        for (_, bucket) in self.range(from, to) {
            for ((endpoint, entity), spread) in &bucket.spreads {
                let user = filter.user.unwrap_or_default();
                if filter.takes(Key { endpoint: *endpoint, entity: *entity, user }) {
                    sum.0.merge(&spread.0);
                    sum.1.merge(&spread.1);
                }
            }
        }
        sum
    }
}

impl Percentiles {
    fn of(spread: &Spread) -> Self {
        let percentile = |percent| spread.percentile(percent);
        Self { p50: percentile(50), p90: percentile(90), p99: percentile(99) }
    }
}

fn name_of(key: Key, by: By) -> Name {
    match by {
        By::Endpoint => key.endpoint,
        By::Entity => key.entity,
        By::User => key.user,
    }
}

fn total(groups: &[(Name, Sums)]) -> Sums {
    groups.iter().fold(Sums::default(), |mut total, (_, sums)| {
        total.add(sums);
        total
    })
}

fn most<K: Ord + Copy>(counts: HashMap<K, u64>) -> Vec<(K, u64)> {
    let mut counts: Vec<(K, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(key, n)| (std::cmp::Reverse(*n), *key));
    counts.truncate(ROWS);
    counts
}
