//! Where rows become durable: the seam between receiving and storing. `journal` is the way to the tables, `ndjson` plain files.
//! A sink is called by one thread, one call at a time.

use std::fmt;
use std::io;
use std::path::Path;

use super::line::{Rejected, Row, RowId, Table};

/// What one call stores: all of it or nothing.
#[derive(Default, Debug)]
pub struct Batch {
    pub rows: Vec<Row>,
    pub rejected: Vec<Rejected>,
}

pub trait Sink: Send {
    /// Whether the sink merges a table's rows by itself, so that each shall come to it as often as it is sent.
    fn merges(&self, _table: Table) -> bool {
        false
    }

    /// Stores a batch. On `Ok` all of it survives the machine's sudden death; on `Err` none of it is stored, and the same
    /// batch may come again.
    fn append(&mut self, batch: &Batch) -> Result<(), SinkFailure>;

    /// Calls `remember` with the ids of rows that are stored, the latest last: at least the last `most` (all, where there are
    /// fewer).
    fn recall(&self, most: usize, remember: &mut dyn FnMut(RowId)) -> Result<(), SinkFailure>;
}

/// What failed, and where.
#[derive(Debug)]
pub struct SinkFailure {
    pub doing: &'static str,
    pub place: String,
    pub cause: io::Error,
}

impl SinkFailure {
    /// For `map_err` around one step on one path.
    pub fn at(doing: &'static str, place: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self { doing, place: place.display().to_string(), cause }
    }
}

impl fmt::Display for SinkFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.doing, self.place, self.cause)
    }
}

impl std::error::Error for SinkFailure {}
