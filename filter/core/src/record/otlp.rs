//! Rows as log records of OTLP/HTTP in JSON: OpenTelemetry's GenAI names where it has one, `weir.*` for the rest. A column without a
//! value has no attribute.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Exchanged, Frame, Row, RowKind,
    columns::Columns,
    detail,
    line::Line,
    payload::{self, Bodies},
    usage_columns,
};
use crate::{
    api::Api,
    config::{Config, InferenceTable, Provider},
    decimal,
};

/// The event that OpenTelemetry's conventions have for a finished call.
const OPERATION: &str = "gen_ai.client.inference.operation.details";
/// A payload's own: its text has no convention that keeps it as it was sent. Nothing else begins like this.
pub const PAYLOAD_HEAD: &str = "{\"eventName\":\"weir.payload\"";

/// `POST` bodies: one resource, one scope.
pub fn frame(node: &str) -> Frame {
    let mut head = Line::new("{\"resourceLogs\":[{\"resource\":{\"attributes\":[");
    for (key, value) in [("service.name", "weir"), ("service.instance.id", node)] {
        head.comma();
        head.raw("{\"key\":");
        head.string(key);
        head.raw(",\"value\":{\"stringValue\":");
        head.string(value);
        head.raw("}}");
    }
    let head = head.finish("]},\"scopeLogs\":[{\"scope\":{\"name\":\"weir\"},\"logRecords\":[");
    Frame { head: String::from_utf8_lossy(&head).into_owned(), separator: ",\n", tail: "]}]}]}" }
}

/// The record of a request.
pub fn usage(exchanged: &Exchanged<'_>, counts: Option<&BTreeMap<u16, u64>>) -> Vec<u8> {
    let mut record = Record::new(exchanged, if counts.is_none() { OPERATION } else { "weir.refusals" });
    if counts.is_none() {
        record.call(exchanged);
    }
    usage_columns(&mut record, exchanged, counts.is_none());
    detail(&mut record, exchanged, counts.is_none());
    if let Some(counts) = counts {
        record.counts("\"counts\":", counts);
    }
    record.finish()
}

pub fn payload(exchanged: &Exchanged<'_>, table: &InferenceTable, bodies: &Bodies<'_>) -> Row {
    let mut record = Record::new(exchanged, "weir.payload");
    record.text("\"catalog\":", Some(&table.catalog));
    record.text("\"schema\":", Some(&table.schema));
    record.text("\"prefix\":", Some(&table.prefix));
    payload::columns(&mut record, exchanged, table, bodies);
    Row { kind: RowKind::Payload, status: exchanged.status, line: record.finish() }
}

/// A served entity's row, as it is in NDJSON.
pub fn entity(config: &Config, row: &Value, now: u64) -> Vec<u8> {
    let mut record = Record::begin("weir.served_entity", now, None);
    record.attribute("weir.config_hash", |line| string(line, &config.hash));
    for (key, value) in row.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        record.attribute(&format!("weir.{key}"), |line| any(line, value));
    }
    record.finish()
}

/// A log record under construction.
struct Record {
    line: Line,
    /// Within a column's own value, where names need no prefix.
    is_nested: bool,
}

impl Record {
    fn new(exchanged: &Exchanged<'_>, event: &str) -> Self {
        Self::begin(event, exchanged.received_at, exchanged.trace_id)
    }

    fn begin(event: &str, at: u64, trace_id: Option<&str>) -> Self {
        let mut line = Line::new("{\"eventName\":");
        line.string(event);
        line.raw(",\"timeUnixNano\":");
        line.string(&decimal::text(at));
        line.raw(",\"observedTimeUnixNano\":");
        line.string(&decimal::text(at));
        // INFO.
        line.raw(",\"severityNumber\":9");
        if let Some(trace_id) = trace_id {
            line.raw(",\"traceId\":");
            line.string(trace_id);
        }
        line.raw(",\"attributes\":[");
        Self { line, is_nested: false }
    }

    fn finish(self) -> Vec<u8> {
        self.line.finish("]}")
    }

    /// What the conventions have and no column says.
    fn call(&mut self, exchanged: &Exchanged<'_>) {
        let mut attribute = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                self.attribute(key, |line| string(line, value));
            }
        };
        attribute("gen_ai.operation.name", exchanged.operation.map(operation));
        attribute("gen_ai.provider.name", exchanged.entity.map(|entity| provider(&entity.provider)));
        attribute("gen_ai.request.model", exchanged.entity.map(|entity| entity.model.as_str()));
        if exchanged.status >= 400 {
            attribute("error.type", Some(&decimal::text(exchanged.status.into())));
        }
        if let Some(at) = exchanged.first_byte_at.filter(|_| exchanged.streaming) {
            let seconds = at.saturating_sub(exchanged.received_at) as f64 / 1e9;
            self.attribute("gen_ai.response.time_to_first_chunk", |line| number(line, "doubleValue", seconds.into()));
        }
    }

    fn attribute(&mut self, key: &str, value: impl FnOnce(&mut Line)) {
        let Self { line, .. } = self;
        line.comma();
        line.raw("{\"key\":");
        line.string(key);
        line.raw(",\"value\":{");
        value(line);
        line.raw("}}");
    }

    /// A column under the name that it has here.
    fn column(&mut self, key: &'static str, value: impl FnOnce(&mut Line)) {
        let name = key.trim_matches(['"', ':']);
        match gen_ai(name) {
            _ if self.is_nested => self.attribute(name, value),
            Some(name) => self.attribute(name, value),
            None => self.attribute(&format!("weir.{name}"), value),
        }
    }
}

/// Columns that OpenTelemetry has a name for.
fn gen_ai(column: &str) -> Option<&'static str> {
    Some(match column {
        "input_token_count" => "gen_ai.usage.input_tokens",
        "output_token_count" => "gen_ai.usage.output_tokens",
        "cached_input_tokens" => "gen_ai.usage.cache_read.input_tokens",
        "cache_write_input_tokens" => "gen_ai.usage.cache_write.input_tokens",
        "finish_reason" => "gen_ai.response.finish_reasons",
        "reasoning_tokens" => "gen_ai.usage.reasoning.output_tokens",
        "request_streaming" => "gen_ai.request.stream",
        "requester" => "user.name",
        "status_code" => "http.response.status_code",
        _ => return None,
    })
}

/// `gen_ai.operation.name`.
fn operation(api: Api) -> &'static str {
    match api {
        Api::Chat | Api::Messages | Api::Responses => "chat",
        Api::Completions => "text_completion",
        Api::Embeddings => "embeddings",
        Api::CountTokens => "count_tokens",
        Api::Predict => "predict",
    }
}

/// `gen_ai.provider.name`, where the conventions know the provider.
fn provider(provider: &Provider) -> &'static str {
    match provider {
        Provider::Azure { .. } => "azure.ai.openai",
        Provider::Model { .. } => "custom",
        Provider::Databricks => "databricks",
        other => other.name(),
    }
}

impl Columns for Record {
    fn text(&mut self, key: &'static str, value: Option<&str>) {
        let Some(value) = value else { return };
        match key {
            "\"finish_reason\":" => self.column(key, |line| strings(line, &[value])),
            _ => self.column(key, |line| string(line, value)),
        }
    }

    fn number(&mut self, key: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.column(key, |line| whole(line, value));
        }
    }

    fn float(&mut self, key: &'static str, value: Option<f64>) {
        if let Some(value) = value.and_then(serde_json::Number::from_f64) {
            self.column(key, |line| number(line, "doubleValue", Value::Number(value)));
        }
    }

    fn flag(&mut self, key: &'static str, value: Option<bool>) {
        if let Some(value) = value {
            self.column(key, |line| number(line, "boolValue", value.into()));
        }
    }

    fn texts(&mut self, key: &'static str, items: &[impl AsRef<str>]) {
        self.column(key, |line| strings(line, items));
    }

    fn map(&mut self, key: &'static str, map: &BTreeMap<String, String>) {
        if !map.is_empty() {
            self.column(key, |line| members(line, map.iter(), |line, value| string(line, value)));
        }
    }

    fn objects<T>(&mut self, key: &'static str, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.column(key, |line| {
            line.raw("\"arrayValue\":{\"values\":[");
            for item in items {
                line.comma();
                line.raw("{\"kvlistValue\":{\"values\":[");
                let mut inner = Self { line: std::mem::replace(line, Line::new("")), is_nested: true };
                write(&mut inner, item);
                *line = inner.line;
                line.raw("]}}");
            }
            line.raw("]}");
        });
    }

    fn counts(&mut self, key: &'static str, counts: &BTreeMap<u16, u64>) {
        let counts: Vec<_> = counts.iter().map(|(status, count)| (status.to_string(), *count)).collect();
        self.column(key, |line| {
            members(line, counts.iter().map(|(status, count)| (status, count)), |line, count| whole(line, *count));
        });
    }
}

fn string(line: &mut Line, value: &str) {
    line.raw("\"stringValue\":");
    line.string(value);
}

/// Protobuf's JSON writes 64 bits as a text.
fn whole(line: &mut Line, value: u64) {
    line.raw("\"intValue\":");
    line.string(&decimal::text(value));
}

fn number(line: &mut Line, kind: &str, value: Value) {
    line.string(kind);
    line.raw(":");
    line.raw(&value.to_string());
}

fn strings(line: &mut Line, items: &[impl AsRef<str>]) {
    line.raw("\"arrayValue\":{\"values\":[");
    for item in items {
        line.comma();
        line.raw("{");
        string(line, item.as_ref());
        line.raw("}");
    }
    line.raw("]}");
}

fn members<'m, V: 'm>(line: &mut Line, map: impl Iterator<Item = (&'m String, &'m V)>, write: impl Fn(&mut Line, &V)) {
    line.raw("\"kvlistValue\":{\"values\":[");
    for (name, value) in map {
        line.comma();
        line.raw("{\"key\":");
        line.string(name);
        line.raw(",\"value\":{");
        write(line, value);
        line.raw("}}");
    }
    line.raw("]}");
}

/// A value of a served entity's row: a text, or a struct of texts.
fn any(line: &mut Line, value: &Value) {
    match value {
        Value::String(text) => string(line, text),
        Value::Object(map) => members(line, map.iter(), any),
        other => string(line, &other.to_string()),
    }
}
