//! A row on its way to a collector, and what it is worth.

/// One line, without the line's end, and what it is: that decides what goes first when the outbox is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub kind: RowKind,
    /// The request's; 0 where the row is about none.
    pub status: u16,
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

impl RowKind {
    pub(crate) const ALL: [Self; 5] = [Self::Stranger, Self::Payload, Self::Refusal, Self::Usage, Self::Entities];
}

/// How lines become a body. A separator ends in a line's end, which stands in no line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub head: String,
    pub separator: &'static str,
    pub tail: &'static str,
}

impl Frame {
    pub const NDJSON: Self = Self { head: String::new(), separator: "\n", tail: "\n" };
}
