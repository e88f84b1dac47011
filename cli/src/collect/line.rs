//! One NDJSON line, read: bytes in; its table, identity and values out, or the reason for quarantine. A line is stored as it
//! was received until its table is written: what is checked here is what the table can hold.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::rows::{AccessRow, EntityRow, PayloadRow, Usage};

/// The tables of DESIGN.md section 6, and the collector's own record of who looked at payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    EndpointUsage,
    Payload,
    PayloadAccess,
    ServedEntities,
}

impl Table {
    pub const ALL: [Self; 4] = [Self::EndpointUsage, Self::Payload, Self::PayloadAccess, Self::ServedEntities];
    /// Those that a gateway may send.
    const SENT: [Self; 3] = [Self::EndpointUsage, Self::Payload, Self::ServedEntities];

    pub const fn name(self) -> &'static str {
        match self {
            Self::EndpointUsage => "endpoint_usage",
            Self::Payload => "payload",
            Self::PayloadAccess => "payload_access",
            Self::ServedEntities => "served_entities",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }
}

/// What makes two lines the same row: the first 128 bits of the SHA-256 over the table and the row's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowId(pub u128);

impl RowId {
    pub fn new(table: Table, parts: &[&str]) -> Self {
        let mut hash = Sha256::new_with_prefix(table.name());
        for part in parts {
            hash.update([0]);
            hash.update(part);
        }
        Self(hash.finalize().iter().take(16).fold(0, |id, byte| id << 8 | u128::from(*byte)))
    }
}

/// A line that belongs into a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub table: Table,
    pub id: RowId,
    /// Without its newline.
    pub line: Bytes,
}

/// A line that belongs into no table, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub reason: String,
    pub line: Bytes,
}

/// A line's values.
#[derive(Debug)]
pub enum Record {
    Access(AccessRow),
    Entity {
        config_hash: String,
        row: Box<EntityRow>,
    },
    /// `prefix` names the table, `<prefix>_payload`.
    Payload {
        prefix: String,
        row: Box<PayloadRow>,
    },
    Usage(Box<Usage>),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    table: Option<String>,
    config_hash: Option<String>,
    prefix: Option<String>,
    #[serde(borrow)]
    row: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

/// Tells a received line's table and id.
pub fn read(line: Bytes) -> Result<Row, Rejected> {
    match parse(&line) {
        Ok(Record::Access(_)) => Err(Rejected { reason: unknown(Table::PayloadAccess.name()), line }),
        Ok(record) => Ok(Row { table: record.table(), id: record.id(), line }),
        Err(reason) => Err(Rejected { reason, line }),
    }
}

/// The lines of a body, each without its newline; blank ones are skipped, a last one may lack its newline.
pub fn split(body: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    lines.map(|line| body.slice_ref(line))
}

/// A line's values, or what is wrong with it.
pub fn parse(line: &[u8]) -> Result<Record, String> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(line).map_err(|error| format!("expected a record's JSON object: {error}"))?;
    let name = envelope.table.as_deref().ok_or("expected a `table`, found none")?;
    let table = Table::named(name).ok_or_else(|| unknown(name))?;
    let row = envelope.row.ok_or("expected a `row`, found none")?;
    match table {
        Table::EndpointUsage => {
            let row = typed(row, "row")?;
            let detail = envelope.detail.map(|detail| typed(detail, "detail")).transpose()?.unwrap_or_default();
            let usage = Usage { row, detail };
            id_is_there(&usage.row.databricks_request_id, "databricks_request_id")?;
            Ok(Record::Usage(Box::new(usage)))
        }
        Table::Payload => {
            let row: PayloadRow = typed(row, "row")?;
            id_is_there(&row.databricks_request_id, "databricks_request_id")?;
            Ok(Record::Payload { prefix: prefix(envelope.prefix)?, row: Box::new(row) })
        }
        Table::PayloadAccess => Ok(Record::Access(typed(row, "row")?)),
        Table::ServedEntities => {
            let row: EntityRow = typed(row, "row")?;
            id_is_there(&row.served_entity_id, "served_entity_id")?;
            let config_hash =
                envelope.config_hash.ok_or("config_hash: expected the configuration's hash, found none")?;
            Ok(Record::Entity { config_hash, row: Box::new(row) })
        }
    }
}

impl Record {
    pub fn table(&self) -> Table {
        match self {
            Self::Access(_) => Table::PayloadAccess,
            Self::Entity { .. } => Table::ServedEntities,
            Self::Payload { .. } => Table::Payload,
            Self::Usage(_) => Table::EndpointUsage,
        }
    }

    pub fn id(&self) -> RowId {
        match self {
            Self::Access(row) => {
                let time = row.access_time.to_string();
                RowId::new(self.table(), &[&time, &row.who, &row.peer, &row.databricks_request_id])
            }
            Self::Entity { config_hash, row } => RowId::new(self.table(), &[&row.served_entity_id, config_hash]),
            Self::Payload { row, .. } => RowId::new(self.table(), &[&row.databricks_request_id]),
            Self::Usage(usage) => RowId::new(self.table(), &[&usage.row.databricks_request_id]),
        }
    }
}

fn unknown(name: &str) -> String {
    format!("table: expected one of {}, found `{name}`", Table::SENT.map(Table::name).join(", "))
}

fn typed<'a, T: Deserialize<'a>>(json: &'a RawValue, place: &str) -> Result<T, String> {
    serde_json::from_str(json.get()).map_err(|error| format!("{place}: {error}"))
}

fn id_is_there(id: &str, name: &str) -> Result<(), String> {
    if id.is_empty() { Err(format!("row.{name}: expected the row's id, found none")) } else { Ok(()) }
}

/// The prefix becomes a folder's name, so nothing but letters, digits, `_` and `-` may be in it. 128 is more than any catalog allows.
fn prefix(found: Option<String>) -> Result<String, String> {
    let prefix = found.ok_or("prefix: expected the payload table's prefix, found none")?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if prefix.is_empty() || prefix.len() > 128 || !prefix.bytes().all(allowed) {
        return Err("prefix: expected 1 to 128 letters, digits, `_` or `-`".to_owned());
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = r#""request_time":"2026-01-02T12:03:04.000005Z""#;

    #[test]
    fn lines_find_their_table() {
        let usage = |row: &str| format!(r#"{{"table":"endpoint_usage","row":{{{row}}}}}"#);
        let payload =
            |prefix: &str| format!(r#"{{"table":"payload",{prefix}"row":{{"databricks_request_id":"a",{TIME}}}}}"#);
        let entity = |hash: &str, id: &str| {
            format!(r#"{{"table":"served_entities",{hash}"row":{{{id}"endpoint_name":"chat"}}}}"#)
        };
        let (hash, id) = (r#""config_hash":"c","#, r#""served_entity_id":"e","#);
        let a = r#""databricks_request_id":"a""#;
        for (line, found) in [
            (usage(&format!("{a},{TIME}")), Ok(Table::EndpointUsage)),
            (payload(r#""prefix":"chat","#), Ok(Table::Payload)),
            (entity(hash, id), Ok(Table::ServedEntities)),
            (entity("", id), Err("config_hash")),
            (entity(hash, ""), Err("row.served_entity_id")),
            (usage(&format!(r#""databricks_request_id":"",{TIME}"#)), Err("row.databricks_request_id: expected")),
            (usage(&format!(r#""databricks_request_id":null,{TIME}"#)), Err("row: invalid type: null")),
            (usage(TIME), Err("row.databricks_request_id: expected")),
            (usage(a), Err("row: missing field `request_time`")),
            (usage(&format!(r#"{a},"request_time":"today""#)), Err("expected a time in RFC 3339, found `today`")),
            (usage(&format!(r#"{a},"request_time":"1970-01-01T00:00:00Z""#)), Err("from 2020 on")),
            (usage(&format!(r#"{a},"request_time":"9999-01-01T00:00:00Z""#)), Err("at most a day ahead")),
            (usage(&format!(r#"{a},{TIME},"status_code":"200""#)), Err("row: invalid type: string")),
            (usage(&format!(r#"{a},{TIME},"usage_context":{{"a":1}}"#)), Err("row: invalid type: integer")),
            (payload(""), Err("prefix: expected the payload table's prefix")),
            (payload(r#""prefix":"../x","#), Err("prefix: expected 1 to 128")),
            (payload(r#""prefix":"","#), Err("prefix: expected 1 to 128")),
            (r#"{"table":"endpoint_usage"}"#.to_owned(), Err("expected a `row`")),
            (r#"{"table":"users","row":{}}"#.to_owned(), Err("found `users`")),
            (
                format!(
                    r#"{{"table":"payload_access","row":{{"access_time":"2026-01-02T00:00:00Z","who":"x","peer":"y",{a}}}}}"#
                ),
                Err("table: expected one of endpoint_usage, payload, served_entities, found `payload_access`"),
            ),
            (r#"{"row":{}}"#.to_owned(), Err("expected a `table`")),
            ("[1]".to_owned(), Err("expected a record's JSON object")),
            (r#"{"table":"endpo"#.to_owned(), Err("expected a record's JSON object")),
            ("\u{0}".to_owned(), Err("expected a record's JSON object")),
        ] {
            match (read(Bytes::from(line.clone())), found) {
                (Ok(row), Ok(table)) => assert_eq!((row.table, row.line), (table, Bytes::from(line))),
                (Err(rejected), Err(part)) => assert!(rejected.reason.contains(part), "{line}: {}", rejected.reason),
                (got, _) => panic!("{line}: {got:?}"),
            }
        }
    }

    #[test]
    fn richer_details_are_kept_as_json() {
        let line = format!(
            r#"{{"table":"endpoint_usage","row":{{"databricks_request_id":"a",{TIME}}},
            "detail":{{"would_limit":["a","b"],"limit":"user","guardrail":null,"latency_ms":1.6,"new":{{}}}}}}"#
        );
        let Ok(Record::Usage(usage)) = parse(line.as_bytes()) else { panic!() };
        assert_eq!(usage.row.request_time, 1_767_355_384_000_005);
        assert_eq!(usage.detail.would_limit.as_deref(), Some(r#"["a","b"]"#));
        assert_eq!((usage.detail.limit.as_deref(), usage.detail.guardrail), (Some("user"), None));
        assert_eq!(usage.detail.latency_ms, Some(2));
    }

    #[test]
    fn ids_tell_rows_apart() {
        let id = |line: &str| read(Bytes::from(line.to_owned())).unwrap().id;
        let usage = |extra: &str| {
            format!(r#"{{"table":"endpoint_usage","prefix":"x","row":{{"databricks_request_id":"a",{TIME}}}{extra}}}"#)
        };
        assert_eq!(id(&usage("")), id(&usage(r#","detail":{}"#)));
        assert_ne!(id(&usage("")), id(&usage("").replace("endpoint_usage", "payload")));
        let entity = |e: &str, c: &str| {
            let row = format!(r#"{{"served_entity_id":"{e}","endpoint_name":"x"}}"#);
            id(&format!(r#"{{"table":"served_entities","config_hash":"{c}","row":{row}}}"#))
        };
        assert_ne!(entity("a", "1"), entity("a", "2"));
        assert_ne!(entity("ab", "c"), entity("a", "bc"));
    }

    #[test]
    fn a_body_is_split_into_lines() {
        let body = Bytes::from("one\n\n  \r\ntwo\r\nthree");
        assert_eq!(split(&body).collect::<Vec<_>>(), ["one", "two\r", "three"]);
    }
}
