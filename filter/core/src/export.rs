//! The outbox: rows wait here until a collector has answered 2xx.

/// One NDJSON line, without the line's end, and what it is: that decides what goes first when the outbox is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub kind: RowKind,
    pub line: Vec<u8>,
}

/// In the order in which rows go when the outbox is full: the first one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKind {
    /// Refused before an endpoint was known.
    Stranger,
    Payload,
    Refusal,
    Usage,
    Entities,
}
