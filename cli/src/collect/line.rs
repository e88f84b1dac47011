//! One NDJSON line, read: bytes in; its table and identity out, or the reason for quarantine. It reads no more of a line than
//! that, so that what is stored stays byte for byte what was received.

use bytes::Bytes;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The tables of DESIGN.md section 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    EndpointUsage,
    Payload,
    ServedEntities,
}

impl Table {
    pub const ALL: [Self; 3] = [Self::EndpointUsage, Self::Payload, Self::ServedEntities];

    pub const fn name(self) -> &'static str {
        match self {
            Self::EndpointUsage => "endpoint_usage",
            Self::Payload => "payload",
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
    fn new(table: Table, parts: &[&str]) -> Self {
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

#[derive(Deserialize)]
struct Envelope {
    table: Option<String>,
    config_hash: Option<String>,
    row: Option<Ids>,
}

#[derive(Deserialize)]
struct Ids {
    databricks_request_id: Option<String>,
    served_entity_id: Option<String>,
}

/// Tells a line's table and id.
pub fn read(line: Bytes) -> Result<Row, Rejected> {
    match identify(&line) {
        Ok((table, id)) => Ok(Row { table, id, line }),
        Err(reason) => Err(Rejected { reason, line }),
    }
}

/// The lines of a body, each without its newline; blank ones are skipped, a last one may lack its newline.
pub fn split(body: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    lines.map(|line| body.slice_ref(line))
}

fn identify(line: &[u8]) -> Result<(Table, RowId), String> {
    let envelope: Envelope =
        serde_json::from_slice(line).map_err(|error| format!("expected a record's JSON object: {error}"))?;
    let name = envelope.table.ok_or("expected a `table`, found none")?;
    let known = || Table::ALL.map(Table::name).join(", ");
    let table = Table::named(&name).ok_or_else(|| format!("table: expected one of {}, found `{name}`", known()))?;
    let row = envelope.row.ok_or("expected a `row`, found none")?;
    let id = match table {
        Table::EndpointUsage | Table::Payload => {
            let request = row.databricks_request_id.filter(|id| !id.is_empty());
            RowId::new(table, &[&request.ok_or("row.databricks_request_id: expected the row's id, found none")?])
        }
        Table::ServedEntities => {
            let entity = row.served_entity_id.filter(|id| !id.is_empty());
            let entity = entity.ok_or("row.served_entity_id: expected the row's id, found none")?;
            let config = envelope.config_hash.ok_or("config_hash: expected the configuration's hash, found none")?;
            RowId::new(table, &[&entity, &config])
        }
    };
    Ok((table, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_find_their_table() {
        for (line, found) in [
            (
                r#"{"table":"endpoint_usage","row":{"databricks_request_id":"a"},"detail":{"x":[1]}}"#,
                Ok(Table::EndpointUsage),
            ),
            (r#"{"table":"payload","row":{"databricks_request_id":"a"}}"#, Ok(Table::Payload)),
            (
                r#"{"table":"served_entities","config_hash":"c","row":{"served_entity_id":"e"}}"#,
                Ok(Table::ServedEntities),
            ),
            (r#"{"table":"served_entities","row":{"served_entity_id":"e"}}"#, Err("config_hash")),
            (r#"{"table":"served_entities","config_hash":"c","row":{}}"#, Err("row.served_entity_id")),
            (r#"{"table":"endpoint_usage","row":{"databricks_request_id":null}}"#, Err("row.databricks_request_id")),
            (r#"{"table":"endpoint_usage","row":{"databricks_request_id":""}}"#, Err("row.databricks_request_id")),
            (r#"{"table":"endpoint_usage"}"#, Err("expected a `row`")),
            (r#"{"table":"users","row":{}}"#, Err("found `users`")),
            (r#"{"row":{}}"#, Err("expected a `table`")),
            (r#"[1]"#, Err("expected a record's JSON object")),
            (r#"{"table":"endpo"#, Err("expected a record's JSON object")),
            ("\u{0}", Err("expected a record's JSON object")),
        ] {
            match (read(Bytes::from(line)), found) {
                (Ok(row), Ok(table)) => assert_eq!((row.table, row.line), (table, Bytes::from(line))),
                (Err(rejected), Err(part)) => assert!(rejected.reason.contains(part), "{line}: {}", rejected.reason),
                (got, _) => panic!("{line}: {got:?}"),
            }
        }
    }

    #[test]
    fn ids_tell_rows_apart() {
        let id = |line: &str| read(Bytes::from(line.to_owned())).unwrap().id;
        let usage =
            |extra: &str| format!(r#"{{"table":"endpoint_usage","row":{{"databricks_request_id":"a"}}{extra}}}"#);
        assert_eq!(id(&usage("")), id(&usage(r#","detail":{}"#)));
        assert_ne!(id(&usage("")), id(&usage("").replace("endpoint_usage", "payload")));
        let entity = |e: &str, c: &str| {
            id(&format!(r#"{{"table":"served_entities","config_hash":"{c}","row":{{"served_entity_id":"{e}"}}}}"#))
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
