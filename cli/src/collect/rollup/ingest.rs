//! Batches of `endpoint_usage_detail` in, facts for the sums out. The same way for rows that were just written and for those read back.

use deltalake::arrow::array::{
    Array, ArrowPrimitiveType, AsArray, BooleanArray, ListArray, MapArray, PrimitiveArray, RecordBatch, StringArray,
    StructArray,
};
use deltalake::arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};

use super::{Facts, Key, Name, Request, Rollup, Sums, shown};
use crate::collect::rows::Attempt;

/// The columns that are read.
pub const COLUMNS: [&str; 16] = [
    "databricks_request_id",
    "request_time",
    "requester",
    "status_code",
    "input_token_count",
    "output_token_count",
    "endpoint_name",
    "served_entity_name",
    "attempts",
    "latency_ms",
    "time_to_first_byte_ms",
    "cost_usd",
    "limit",
    "would_limit",
    "complete",
    "counts",
];

/// Attempts of a request that are shown and counted: Weir makes three at most.
const ATTEMPTS: usize = 8;

/// One batch's columns; one that is not there has no values.
pub struct Columns<'a> {
    ids: Option<&'a StringArray>,
    pub times: Option<&'a PrimitiveArray<TimestampMicrosecondType>>,
    pub requesters: Option<&'a StringArray>,
    statuses: Option<&'a PrimitiveArray<Int32Type>>,
    input: Option<&'a PrimitiveArray<Int64Type>>,
    output: Option<&'a PrimitiveArray<Int64Type>>,
    pub endpoints: Option<&'a StringArray>,
    pub entities: Option<&'a StringArray>,
    attempts: Option<&'a ListArray>,
    latency_ms: Option<&'a PrimitiveArray<Int64Type>>,
    first_byte_ms: Option<&'a PrimitiveArray<Int64Type>>,
    cost_usd: Option<&'a PrimitiveArray<Float64Type>>,
    limits: Option<&'a StringArray>,
    would_limits: Option<&'a StringArray>,
    complete: Option<&'a BooleanArray>,
    counts: Option<&'a MapArray>,
}

impl Rollup {
    pub fn ingest(&mut self, rows: &RecordBatch) {
        let columns = Columns::of(rows);
        let mut failed: Vec<(Name, Name)> = Vec::new();
        for at in 0..rows.num_rows() {
            let Some(time) = number(columns.times, at) else { continue };
            let counted = columns.counted(at);
            let limit = text(columns.limits, at);
            failed.clear();
            if columns.attempts_made(at) > 1 {
                let attempts = columns.attempts(at);
                let followed = attempts.split_last().map(|(_, before)| before).unwrap_or_default();
                failed.extend(followed.iter().map(|attempt| self.cause(attempt)));
            }
            let facts = Facts {
                time,
                key: Key {
                    endpoint: self.name(text(columns.endpoints, at)),
                    entity: self.name(text(columns.entities, at)),
                    user: self.name(text(columns.requesters, at)),
                },
                sums: columns.sums(at, counted),
                latency_ms: number(columns.latency_ms, at).filter(|_| counted == 0),
                first_byte_ms: number(columns.first_byte_ms, at),
                limit: limit.map(|limit| self.name(Some(limit))),
                fallbacks: &failed,
            };
            self.add(&facts);
            if counted == 0 && self.is_recent(time) {
                self.remember(columns.request(at));
            }
        }
    }

    /// Which entity failed, and of what.
    fn cause(&mut self, attempt: &Attempt) -> (Name, Name) {
        let status = attempt.status_code.map(|status| status.to_string());
        let cause = attempt.error.as_deref().or(status.as_deref());
        (self.name(attempt.served_entity_name.as_deref()), self.name(cause))
    }
}

impl<'a> Columns<'a> {
    pub fn of(rows: &'a RecordBatch) -> Self {
        fn column<'a, T>(
            rows: &'a RecordBatch,
            name: &str,
            as_type: fn(&'a dyn Array) -> Option<&'a T>,
        ) -> Option<&'a T> {
            rows.column_by_name(name).and_then(|column| as_type(column.as_ref()))
        }
        let texts = |name| column(rows, name, |array| array.as_string_opt::<i32>());
        let longs = |name| column(rows, name, |array| array.as_primitive_opt::<Int64Type>());
        Self {
            ids: texts("databricks_request_id"),
            times: column(rows, "request_time", |array| array.as_primitive_opt()),
            requesters: texts("requester"),
            statuses: column(rows, "status_code", |array| array.as_primitive_opt()),
            input: longs("input_token_count"),
            output: longs("output_token_count"),
            endpoints: texts("endpoint_name"),
            entities: texts("served_entity_name"),
            attempts: column(rows, "attempts", |array| array.as_list_opt()),
            latency_ms: longs("latency_ms"),
            first_byte_ms: longs("time_to_first_byte_ms"),
            cost_usd: column(rows, "cost_usd", |array| array.as_primitive_opt()),
            limits: texts("limit"),
            would_limits: texts("would_limit"),
            complete: column(rows, "complete", |array| array.as_boolean_opt()),
            counts: column(rows, "counts", |array| array.as_map_opt()),
        }
    }

    /// What a row adds; `counted` as that tells.
    pub fn sums(&self, at: usize, counted: u64) -> Sums {
        let positive = |n: Option<i64>| u64::try_from(n.unwrap_or(0)).unwrap_or(0);
        let status = number(self.statuses, at);
        // Without an attempt the gateway itself answered.
        let refused = text(self.limits, at).is_some()
            || (self.attempts_made(at) == 0
                && status.is_some_and(|status| (400..500).contains(&status) && status != 499));
        Sums {
            requests: counted.max(1),
            refused: if counted > 0 { counted } else { u64::from(refused) },
            failed: u64::from(status.is_some_and(|status| status >= 500)),
            input_tokens: positive(number(self.input, at)),
            output_tokens: positive(number(self.output, at)),
            cost_usd: number(self.cost_usd, at).unwrap_or(0.0),
        }
    }

    fn request(&self, at: usize) -> Request {
        let own = |column| text(column, at).map(shown).map(str::to_owned);
        Request {
            databricks_request_id: own(self.ids).unwrap_or_default(),
            request_time: number(self.times, at).unwrap_or_default(),
            requester: own(self.requesters),
            status_code: number(self.statuses, at),
            endpoint_name: own(self.endpoints),
            served_entity_name: own(self.entities),
            input_token_count: number(self.input, at),
            output_token_count: number(self.output, at),
            cost_usd: number(self.cost_usd, at),
            latency_ms: number(self.latency_ms, at),
            time_to_first_byte_ms: number(self.first_byte_ms, at),
            limit: own(self.limits),
            would_limit: own(self.would_limits),
            complete: self.complete.filter(|column| column.is_valid(at)).map(|column| column.value(at)),
            attempts: self.attempts(at),
        }
    }

    fn attempts_made(&self, at: usize) -> i32 {
        self.attempts.filter(|list| list.is_valid(at)).map_or(0, |list| list.value_length(at))
    }

    fn attempts(&self, at: usize) -> Vec<Attempt> {
        let Some(list) = self.attempts.filter(|list| list.is_valid(at)) else { return Vec::new() };
        let items = list.value(at);
        let Some(items) = items.as_struct_opt() else { return Vec::new() };
        (0..items.len().min(ATTEMPTS)).map(|at| attempt(items, at)).collect()
    }

    /// How many refusals a row stands for that is no request of its own.
    pub fn counted(&self, at: usize) -> u64 {
        let Some(map) = self.counts.filter(|map| map.is_valid(at)) else { return 0 };
        let entries = map.value(at);
        let counts = entries.columns().get(1).and_then(|values| values.as_primitive_opt::<Int64Type>());
        let counts = counts.into_iter().flat_map(|counts| counts.iter().flatten());
        counts.fold(0, |sum, n| sum.saturating_add(u64::try_from(n).unwrap_or(0)))
    }
}

/// A column's value, if there is one.
pub fn text(column: Option<&StringArray>, at: usize) -> Option<&str> {
    column.filter(|column| column.is_valid(at)).map(|column| column.value(at))
}

pub fn number<T: ArrowPrimitiveType>(column: Option<&PrimitiveArray<T>>, at: usize) -> Option<T::Native> {
    column.filter(|column| column.is_valid(at)).map(|column| column.value(at))
}

fn attempt(items: &StructArray, at: usize) -> Attempt {
    let texts = |name| items.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let status = items.column_by_name("status_code").and_then(|column| column.as_primitive_opt::<Int32Type>());
    let latency = items.column_by_name("latency_ms").and_then(|column| column.as_primitive_opt::<Int64Type>());
    Attempt {
        served_entity_name: text(texts("served_entity_name"), at).map(shown).map(str::to_owned),
        status_code: number(status, at),
        error: text(texts("error"), at).map(shown).map(str::to_owned),
        latency_ms: number(latency, at),
    }
}
