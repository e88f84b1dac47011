//! The last requests, by their own time: whole rows for a person to look at. At most `KEPT` of them, whatever their order of arrival.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::collect::rows::{Attempt, Micros};

/// Requests kept: at some 1 KiB each, 5 MB.
const KEPT: usize = 5_000;

#[derive(Clone, Debug, Default, Serialize)]
pub struct Request {
    pub databricks_request_id: String,
    pub request_time: Micros,
    pub requester: Option<String>,
    pub status_code: Option<i32>,
    pub endpoint_name: Option<String>,
    pub served_entity_name: Option<String>,
    pub input_token_count: Option<i64>,
    pub output_token_count: Option<i64>,
    pub cost_usd: Option<f64>,
    pub latency_ms: Option<i64>,
    pub time_to_first_byte_ms: Option<i64>,
    pub limit: Option<String>,
    pub would_limit: Option<String>,
    pub complete: Option<bool>,
    pub attempts: Vec<Attempt>,
}

#[derive(Default)]
pub struct Recent {
    requests: BTreeMap<(Micros, u64), Request>,
    added: u64,
}

impl Recent {
    pub fn would_take(&self, time: Micros) -> bool {
        self.requests.len() < KEPT || self.requests.first_key_value().is_none_or(|((oldest, _), _)| *oldest < time)
    }

    pub fn add(&mut self, request: Request) {
        if self.would_take(request.request_time) {
            self.added = self.added.wrapping_add(1);
            self.requests.insert((request.request_time, self.added), request);
            if self.requests.len() > KEPT {
                self.requests.pop_first();
            }
        }
    }

    /// The latest first.
    pub fn iter(&self) -> impl Iterator<Item = &Request> {
        self.requests.values().rev()
    }
}
