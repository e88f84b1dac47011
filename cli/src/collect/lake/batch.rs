//! Lines of a segment in, Arrow batches per table and UTC day out. What cannot be a row becomes one of `quarantine`, so that no line can
//! keep the others from their tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use deltalake::arrow::array::{AsArray, BooleanArray, RecordBatch};
use deltalake::arrow::compute::filter_record_batch;
use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use deltalake::arrow::error::ArrowError;
use deltalake::arrow::json::ReaderBuilder;
use serde::Serialize;

use super::schema;
use crate::collect::line::{self, Record};
use crate::collect::rows::{AccessRow, EntityRow, Micros, PayloadRow, QuarantineRow, Usage, now};

/// A segment's rows by table, in the order in which they came.
#[derive(Default)]
pub struct Rows {
    pub usage: Vec<Usage>,
    /// By prefix.
    pub payloads: BTreeMap<String, Vec<PayloadRow>>,
    /// With the hash of the configuration that they are of.
    pub entities: Vec<(String, EntityRow)>,
    pub access: Vec<AccessRow>,
    pub quarantine: Vec<QuarantineRow>,
}

impl Rows {
    pub fn read(lines: &Bytes) -> Self {
        let mut rows = Self::default();
        for line in line::split(lines) {
            match line::parse(&line) {
                Ok(Record::Access(row)) => rows.access.push(row),
                Ok(Record::Entity { config_hash, row }) => rows.entities.push((config_hash, *row)),
                Ok(Record::Payload { prefix, row }) => rows.payloads.entry(prefix).or_default().push(*row),
                Ok(Record::Usage(usage)) => rows.usage.push(*usage),
                Err(reason) => rows.quarantine.push(quarantined(reason, &line)),
            }
        }
        rows
    }
}

/// A table's rows of one UTC day.
#[derive(Clone)]
pub struct Day {
    /// As in `2026-01-31`.
    pub date: String,
    pub rows: RecordBatch,
}

/// `endpoint_usage` and `endpoint_usage_detail` by day, without the date's column.
pub fn usage(rows: &[Usage]) -> Result<(Vec<Day>, Vec<Day>), ArrowError> {
    let row = DataType::Struct(schema::endpoint_usage().fields().clone());
    let both =
        Schema::new(vec![Field::new("row", row, true), Field::new("detail", DataType::Struct(schema::detail()), true)]);
    let batch = encode(&Arc::new(both), rows)?;
    let usage = RecordBatch::from(batch.column(0).as_struct());
    let detail = RecordBatch::from(batch.column(1).as_struct());
    let shared = schema::SHARED.map(|name| usage.column_by_name(name).cloned());
    let columns = shared.into_iter().flatten().chain(detail.columns().iter().cloned()).collect();
    let wide = RecordBatch::try_new(stored(&schema::endpoint_usage_detail()), columns)?;
    Ok((by_day(&usage, "request_time")?, by_day(&wide, "request_time")?))
}

/// Any other table's rows by the day of `time`, without the date's column.
pub fn days<T: Serialize>(schema: &SchemaRef, time: &str, rows: &[T]) -> Result<Vec<Day>, ArrowError> {
    by_day(&encode(&stored(schema), rows)?, time)
}

/// Rows as one batch.
pub fn encode<T: Serialize>(schema: &SchemaRef, rows: &[T]) -> Result<RecordBatch, ArrowError> {
    let mut decoder = ReaderBuilder::new(Arc::clone(schema)).with_batch_size(rows.len().max(1)).build_decoder()?;
    decoder.serialize(rows)?;
    Ok(decoder.flush()?.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(schema))))
}

/// A table's columns as they are in its files: a partition's column is not.
pub fn stored(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().filter(|field| field.name() != schema::DATE).cloned();
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The first and the last of a batch's times.
pub fn span(rows: &RecordBatch, time: &str) -> Option<(Micros, Micros)> {
    let times = rows.column_by_name(time)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let times = times.iter().flatten();
    Some((times.clone().min()?, times.max()?))
}

fn by_day(rows: &RecordBatch, time: &str) -> Result<Vec<Day>, ArrowError> {
    let missing = || ArrowError::SchemaError(format!("no column {time} of times"));
    let Some((first, last)) = span(rows, time) else { return Ok(Vec::new()) };
    if day(first) == day(last) {
        return Ok(vec![Day { date: date(first), rows: rows.clone() }]);
    }
    let column = rows.column_by_name(time).ok_or_else(missing)?;
    let times = column.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(missing)?;
    let found: std::collections::BTreeSet<i64> = times.iter().flatten().map(day).collect();
    found
        .into_iter()
        .map(|wanted| {
            let mask: BooleanArray =
                times.iter().map(|time| Some(time.is_some_and(|time| day(time) == wanted))).collect();
            let date = date(wanted.saturating_mul(DAY));
            Ok(Day { date, rows: filter_record_batch(rows, &mask)? })
        })
        .collect()
}

const DAY: Micros = 86_400_000_000;

fn day(time: Micros) -> i64 {
    time.div_euclid(DAY)
}

/// A time's UTC date, as in `2026-01-31`.
pub fn date(time: Micros) -> String {
    let since = std::time::Duration::from_micros(u64::try_from(time).unwrap_or_default());
    let text = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string();
    text.get(..10).unwrap_or_default().to_owned()
}

fn quarantined(reason: String, line: &[u8]) -> QuarantineRow {
    let text = std::str::from_utf8(line).ok().map(str::to_owned);
    let line_base64 = text.is_none().then(|| STANDARD.encode(line));
    QuarantineRow { received_time: now(), reason, line: text, line_base64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage_at(id: &str, time: &str) -> String {
        format!(
            r#"{{"table":"endpoint_usage","row":{{"databricks_request_id":"{id}","request_time":"{time}","status_code":200,
            "usage_context":{{"team":"a"}}}},"detail":{{"attempts":[{{"served_entity_name":"x","latency_ms":5}}],"cost_usd":0.5,
            "groups":["g"],"counts":{{"401":3}}}}}}"#
        )
        .replace('\n', "")
    }

    #[test]
    fn rows_are_split_by_day_and_bad_lines_put_aside() {
        let lines = [
            usage_at("a", "2026-01-01T23:59:59.999999Z"),
            "nonsense".to_owned(),
            usage_at("b", "2026-01-02T00:00:00Z"),
            usage_at("c", "2026-01-01T00:00:00Z"),
        ];
        let rows = Rows::read(&Bytes::from(lines.join("\n")));
        assert_eq!((rows.usage.len(), rows.quarantine.len()), (3, 1));
        let (usage, detail) = usage(&rows.usage).unwrap();
        let counts = |days: &[Day]| days.iter().map(|day| (day.date.clone(), day.rows.num_rows())).collect::<Vec<_>>();
        let want = [("2026-01-01".to_owned(), 2), ("2026-01-02".to_owned(), 1)];
        assert_eq!((counts(&usage), counts(&detail)), (want.to_vec(), want.to_vec()));
        assert_eq!(usage[0].rows.num_columns(), 14);
        assert_eq!(detail[0].rows.schema(), stored(&schema::endpoint_usage_detail()));
        let ids = detail[0].rows.column(0).as_string::<i32>();
        assert_eq!((ids.value(0), ids.value(1)), ("a", "c"));
        let json = {
            let mut writer = deltalake::arrow::json::LineDelimitedWriter::new(Vec::new());
            writer.write(&detail[1].rows).unwrap();
            writer.finish().unwrap();
            String::from_utf8(writer.into_inner()).unwrap()
        };
        assert!(json.contains(r#""usage_context":{"team":"a"}"#) && json.contains(r#""counts":{"401":3}"#), "{json}");
        assert!(json.contains(r#""attempts":[{"served_entity_name":"x","latency_ms":5}]"#), "{json}");
    }
}
