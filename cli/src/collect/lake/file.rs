//! One data file: a batch in, a Parquet file in the store and its entry for the log out; and back. On a local disk the file and its name
//! are synced before its entry is used: a log must never name a file that a power cut can take.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::kernel::Add;
use deltalake::logstore::ObjectStoreRef;
use deltalake::logstore::object_store::ObjectStoreExt as _;
use deltalake::logstore::object_store::path::Path as StorePath;
use deltalake::parquet::arrow::ArrowWriter;
use deltalake::parquet::arrow::ProjectionMask;
use deltalake::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use deltalake::parquet::basic::{Compression, ZstdLevel};
use deltalake::parquet::errors::ParquetError;
use deltalake::parquet::file::properties::WriterProperties;
use serde_json::json;

use super::LakeFailure;
use crate::collect::rows::{Micros, now};

/// A row group ends at this size, so that neither writing nor reading one takes much memory: 16 MiB before the last compression.
const ROW_GROUP_BYTES: usize = 16 * 1024 * 1024;

/// A file being put together.
pub struct Building {
    writer: ArrowWriter<Vec<u8>>,
    rows: usize,
    span: Option<(Micros, Micros)>,
    time: &'static str,
}

/// A whole file, and what its entry says of it.
pub struct Built {
    pub bytes: Bytes,
    stats: String,
}

impl Building {
    /// `zstd` packs by a third better than Snappy and costs some three times as much: for files that stay.
    pub fn new(schema: SchemaRef, time: &'static str, zstd: bool) -> Result<Self, ParquetError> {
        let compression = if zstd { Compression::ZSTD(ZstdLevel::try_new(3)?) } else { Compression::SNAPPY };
        let properties = WriterProperties::builder().set_compression(compression).build();
        let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
        Ok(Self { writer, rows: 0, span: None, time })
    }

    pub fn add(&mut self, rows: &RecordBatch) -> Result<(), ParquetError> {
        self.writer.write(rows)?;
        self.rows = self.rows.saturating_add(rows.num_rows());
        if let Some((first, last)) = super::batch::span(rows, self.time) {
            let (earliest, latest) = self.span.unwrap_or((first, last));
            self.span = Some((earliest.min(first), latest.max(last)));
        }
        if self.writer.in_progress_size() >= ROW_GROUP_BYTES {
            self.writer.flush()?;
        }
        Ok(())
    }

    pub fn finish(self) -> Result<Built, ParquetError> {
        let stats = stats(self.rows, self.time, self.span);
        Ok(Built { bytes: self.writer.into_inner()?.into(), stats })
    }
}

/// The log's statistics, by which readers skip files: times in milliseconds, as the protocol wants them, the last one rounded up.
fn stats(rows: usize, time: &str, span: Option<(Micros, Micros)>) -> String {
    let milliseconds = |micros: Micros| {
        let millis = u64::try_from(micros.div_euclid(1000)).unwrap_or_default();
        humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + std::time::Duration::from_millis(millis)).to_string()
    };
    match span {
        None => json!({ "numRecords": rows }),
        Some((first, last)) => json!({
            "numRecords": rows,
            "minValues": {time: milliseconds(first)},
            "maxValues": {time: milliseconds(last.saturating_add(999))},
            "nullCount": {time: 0},
        }),
    }
    .to_string()
}

/// Puts a file into the store, durably, and makes its entry. `path` is from the table's root.
pub async fn put(
    store: &ObjectStoreRef,
    local: Option<&Path>,
    path: &str,
    partition: Option<(&str, &str)>,
    built: Built,
) -> Result<Add, LakeFailure> {
    let failed = LakeFailure::at(path);
    let size = built.bytes.len();
    store.put(&StorePath::from(path), built.bytes.into()).await.map_err(failed)?;
    if let Some(root) = local {
        sync(root, path).map_err(LakeFailure::at(path))?;
    }
    Ok(Add {
        path: path.to_owned(),
        partition_values: partition
            .map(|(column, value)| HashMap::from([(column.to_owned(), Some(value.to_owned()))]))
            .unwrap_or_default(),
        size: i64::try_from(size).unwrap_or(i64::MAX),
        modification_time: now().div_euclid(1000),
        data_change: true,
        stats: Some(built.stats),
        ..Add::default()
    })
}

/// Puts a local file, its folder and the one above on disk.
pub fn sync(root: &Path, path: &str) -> std::io::Result<()> {
    let file: PathBuf = root.join(path);
    std::fs::File::open(&file)?.sync_all()?;
    for folder in file.ancestors().skip(1).take(2) {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// A file's bytes; `path` as the log has it, decoded.
pub async fn get(store: &ObjectStoreRef, path: &str) -> Result<Bytes, LakeFailure> {
    let failed = LakeFailure::at(path);
    let found = store.get(&StorePath::from(path)).await.map_err(&failed)?;
    found.bytes().await.map_err(failed)
}

/// A file's rows, `columns` of them (all where it is empty), in batches of at most `rows`.
pub fn read(bytes: Bytes, columns: &[&str], rows: usize) -> Result<ParquetRecordBatchReader, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(rows);
    let mask = match columns {
        [] => ProjectionMask::all(),
        columns => {
            let known = builder.schema().fields().iter().enumerate();
            let wanted = known.filter(|(_, field)| columns.contains(&field.name().as_str())).map(|(at, _)| at);
            ProjectionMask::roots(builder.parquet_schema(), wanted.collect::<Vec<_>>())
        }
    };
    builder.with_projection(mask).build()
}
