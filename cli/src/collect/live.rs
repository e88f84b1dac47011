//! `--print`: a stored record's line in, one line for human eyes out, on a thread of its own. A slow terminal loses lines (and is
//! told how many) but never holds up an acknowledgement. Control characters of a record never reach the terminal.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

/// Lines that wait for the terminal; more are left out.
const QUEUE: usize = 4096;

/// The way to the terminal.
pub struct Live {
    lines: SyncSender<Shown>,
    left_out: AtomicU64,
}

/// Done when everything has been written and the way is closed.
pub struct Written(Receiver<()>);

enum Shown {
    Record(Bytes),
    Text(String),
}

impl Live {
    pub fn start() -> io::Result<(Self, Written)> {
        let (lines, shown) = sync_channel(QUEUE);
        let (done, written) = sync_channel(1);
        std::thread::Builder::new().name("live".to_owned()).spawn(move || {
            for line in shown {
                let text = match line {
                    Shown::Record(line) => describe(&line, SystemTime::now()),
                    Shown::Text(text) => format!("{} {}", clock(SystemTime::now()), printable(&text)),
                };
                let _ = writeln!(io::stdout(), "{text}");
            }
            let _ = done.send(());
        })?;
        Ok((Self { lines, left_out: AtomicU64::new(0) }, Written(written)))
    }

    pub fn show(&self, line: Bytes) {
        self.send(Shown::Record(line));
    }

    pub fn say(&self, text: String) {
        self.send(Shown::Text(text));
    }

    fn send(&self, line: Shown) {
        let missing = self.left_out.load(Ordering::Relaxed);
        if missing > 0 && self.lines.try_send(Shown::Text(format!("({missing} records stored, not shown)"))).is_ok() {
            self.left_out.store(0, Ordering::Relaxed);
        }
        if self.lines.try_send(line).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Written {
    /// Waits for the last line, but not for a terminal that has stopped reading.
    pub fn wait(self, at_most: Duration) {
        let _ = self.0.recv_timeout(at_most);
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Record {
    table: Option<String>,
    row: Row,
    detail: Detail,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Row {
    databricks_request_id: Option<String>,
    requester: Option<String>,
    status_code: Option<i64>,
    request_time: Option<String>,
    input_token_count: Option<u64>,
    output_token_count: Option<u64>,
    endpoint_name: Option<String>,
    served_entity_name: Option<String>,
    entity_name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Detail {
    endpoint_name: Option<String>,
    served_entity_name: Option<String>,
    attempts: Option<Vec<Attempt>>,
    latency_ms: Option<f64>,
    token_source: Option<String>,
    limit: Value,
    would_limit: Value,
    complete: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Attempt {
    served_entity_name: Option<String>,
    status_code: Option<i64>,
    error: Option<String>,
}

/// One record as one line, for instance
/// `12:03:04 alice@example.com  chat/primary  200  in 12 out 34 tokens  210 ms  (reported)  fallback: primary 503`.
fn describe(line: &[u8], arrived: SystemTime) -> String {
    let record: Record = match serde_json::from_slice(line) {
        Ok(record) => record,
        // Stored all the same: only its id had to be right.
        Err(error) => return printable(&format!("{} a record of an unknown shape: {error}", clock(arrived))),
    };
    let time = record.row.request_time.as_deref().and_then(|time| time.get(11..19)).map(str::to_owned);
    let time = time.unwrap_or_else(|| clock(arrived));
    let id = || record.row.databricks_request_id.as_deref().unwrap_or("-");
    let told = match record.table.as_deref() {
        Some("endpoint_usage") => usage(&record.row, &record.detail),
        Some("served_entities") => format!(
            "serving {}  {}",
            joined(&record.row.endpoint_name, &record.row.served_entity_name),
            record.row.entity_name.as_deref().unwrap_or("-")
        ),
        _ => format!("payload of request {}", id()),
    };
    printable(&format!("{time} {told}"))
}

fn usage(row: &Row, detail: &Detail) -> String {
    let mut parts = vec![row.requester.clone().unwrap_or_else(|| "-".to_owned())];
    parts.push(joined(&detail.endpoint_name, &detail.served_entity_name));
    parts.push(row.status_code.map_or("-".to_owned(), |status| status.to_string()));
    if detail.limit.is_null() {
        let (input, output) = (row.input_token_count.unwrap_or(0), row.output_token_count.unwrap_or(0));
        parts.push(format!("in {input} out {output} tokens"));
    } else {
        parts.push(format!("refused: {}", limit(&detail.limit)));
    }
    parts.extend(detail.latency_ms.map(|ms| format!("{ms:.0} ms")));
    parts.extend(detail.token_source.as_ref().filter(|_| detail.limit.is_null()).map(|source| format!("({source})")));
    if let Some([failed @ .., _]) = detail.attempts.as_deref()
        && !failed.is_empty()
    {
        parts.push(format!("fallback: {}", failed.iter().map(attempt).collect::<Vec<_>>().join(", ")));
    }
    if !detail.would_limit.is_null() && detail.would_limit.as_array().is_none_or(|limits| !limits.is_empty()) {
        parts.push(format!("would be refused: {}", limit(&detail.would_limit)));
    }
    if detail.complete == Some(false) {
        parts.push("incomplete".to_owned());
    }
    parts.join("  ")
}

fn attempt(attempt: &Attempt) -> String {
    let outcome = match (&attempt.error, attempt.status_code) {
        (_, Some(status)) => status.to_string(),
        (Some(error), None) => error.clone(),
        (None, None) => "-".to_owned(),
    };
    format!("{} {outcome}", attempt.served_entity_name.as_deref().unwrap_or("-"))
}

/// Which limit: a text as it stands, an object as its values, a list one by one.
fn limit(limit: &Value) -> String {
    match limit {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let values = fields.iter().filter(|(_, value)| !value.is_null());
            values.map(|(key, value)| format!("{key} {}", self::limit(value))).collect::<Vec<_>>().join(" ")
        }
        Value::Array(limits) => limits.iter().map(self::limit).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn joined(endpoint: &Option<String>, entity: &Option<String>) -> String {
    match (endpoint, entity) {
        (Some(endpoint), Some(entity)) => format!("{endpoint}/{entity}"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => "-".to_owned(),
    }
}

/// Hour, minute and second in UTC, as the records have it.
fn clock(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string().get(11..19).unwrap_or_default().to_owned()
}

fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_at_a_glance() {
        let row = r#""request_time":"2026-01-02T12:03:04.000001Z","requester":"alice@example.com","databricks_request_id":"r1""#;
        for (line, want) in [
            (
                format!(
                    r#"{{"table":"endpoint_usage","row":{{{row},"status_code":200,"input_token_count":12,"output_token_count":34}},
                    "detail":{{"endpoint_name":"chat","served_entity_name":"second","latency_ms":210,"token_source":"reported","limit":null,"complete":true,
                    "attempts":[{{"served_entity_name":"primary","status_code":503}},{{"served_entity_name":"second","status_code":200}}]}}}}"#
                ),
                "12:03:04 alice@example.com  chat/second  200  in 12 out 34 tokens  210 ms  (reported)  fallback: primary 503",
            ),
            (
                format!(
                    r#"{{"table":"endpoint_usage","row":{{{row},"status_code":429,"input_token_count":0,"output_token_count":0}},
                    "detail":{{"endpoint_name":"chat","limit":"user: 60 calls per minute","latency_ms":0.2,"token_source":null,"attempts":[]}}}}"#
                ),
                "12:03:04 alice@example.com  chat  429  refused: user: 60 calls per minute  0 ms",
            ),
            (
                format!(
                    r#"{{"table":"endpoint_usage","row":{{{row},"status_code":200}},"detail":{{"complete":false,
                    "would_limit":[{{"key":"user_group","calls":5,"name":null}}],
                    "attempts":[{{"served_entity_name":"a","status_code":null,"error":"reset"}},{{}}]}}}}"#
                ),
                "12:03:04 alice@example.com  -  200  in 0 out 0 tokens  fallback: a reset  \
                 would be refused: calls 5 key user_group  incomplete",
            ),
            (
                r#"{"table":"endpoint_usage","row":{"requester":"a\u001b[2Jb","status_code":401}}"#.to_owned(),
                "00:00:01 a?[2Jb  -  401  in 0 out 0 tokens",
            ),
            (
                r#"{"table":"served_entities","row":{"endpoint_name":"chat","served_entity_name":"a","entity_name":"gpt-4o"}}"#.to_owned(),
                "00:00:01 serving chat/a  gpt-4o",
            ),
            (format!(r#"{{"table":"payload","row":{{{row}}}}}"#), "12:03:04 payload of request r1"),
        ] {
            assert_eq!(describe(line.as_bytes(), SystemTime::UNIX_EPOCH + Duration::from_secs(1)), want);
        }
        assert!(describe(br#"{"row":{"status_code":"x"}}"#, SystemTime::UNIX_EPOCH).contains("unknown shape"));
    }
}
