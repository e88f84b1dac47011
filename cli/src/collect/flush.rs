//! From the journal into the tables: one thread takes the oldest segment, appends its rows to each table they belong to, and only then
//! has the journal forget it. What fails is tried again, from the same segment, for as long as it takes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deltalake::arrow::datatypes::SchemaRef;
use deltalake::arrow::error::ArrowError;

use super::journal::{Journal, Segment};
use super::lake::batch::{self, Day, Rows};
use super::lake::entities::Entities;
use super::lake::table::Table;
use super::lake::{Lake, LakeFailure, schema};
use super::rollup::load::{DETAIL, Shared};
use super::rows::{QuarantineRow, now};

/// Between two tries after a failure, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often old files are removed, at most.
const TIDY_EVERY: Duration = Duration::from_secs(3600);

pub struct Flusher {
    pub lake: Lake,
    pub journal: Journal,
    /// Where what is remembered of entities lies.
    pub folder: PathBuf,
    pub shared: Shared,
    pub stats: Arc<FlushStats>,
    pub pace: Pace,
    tables: BTreeMap<String, Open>,
    entities: Option<Entities>,
}

/// How often, and how long.
#[derive(Clone, Debug)]
pub struct Pace {
    pub commit_every: Duration,
    pub compact_every: Duration,
    pub vacuum_after: Duration,
    /// Days of rows that are kept; none: for ever.
    pub retention: Option<Duration>,
    pub payload_retention: Option<Duration>,
}

/// A table, and the last of the journal's segments that it has.
struct Open {
    table: Table,
    segment: i64,
}

/// Counts since the start.
#[derive(Default)]
pub struct FlushStats {
    /// Rows that came into their tables.
    pub rows: AtomicU64,
    pub segments: AtomicU64,
    pub failures: AtomicU64,
    pub compacted_files: AtomicU64,
    /// What went wrong last; empty while all is well.
    trouble: Mutex<String>,
}

impl FlushStats {
    pub fn trouble(&self) -> String {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says so once, when it changes.
    fn set_trouble(&self, trouble: &str) {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != trouble {
            let told = if trouble.is_empty() { "the tables are written again" } else { trouble };
            super::log(told);
            trouble.clone_into(&mut known);
        }
    }
}

impl Flusher {
    pub fn new(lake: Lake, journal: Journal, folder: PathBuf, shared: Shared, pace: Pace) -> Self {
        let stats = Arc::default();
        Self { lake, journal, folder, shared, stats, pace, tables: BTreeMap::new(), entities: None }
    }

    /// Runs until `stop` is closed; then once more, for what is in the journal, without waiting for a store that fails.
    pub fn run(mut self, stop: &Receiver<()>) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let (mut compacted, mut tidied) = (Instant::now(), None::<Instant>);
        let mut pause = self.pace.commit_every;
        loop {
            let stopping = !matches!(stop.recv_timeout(pause), Err(RecvTimeoutError::Timeout));
            let emptied = runtime.block_on(self.empty(stopping));
            pause = match &emptied {
                Ok(()) => self.pace.commit_every,
                Err(_) => (pause.max(Duration::from_millis(500)) * 2).min(LONGEST_PAUSE),
            };
            self.stats.set_trouble(&emptied.map_err(|failure| failure.to_string()).err().unwrap_or_default());
            if stopping {
                return;
            }
            if compacted.elapsed() >= self.pace.compact_every {
                runtime.block_on(self.compact());
                compacted = Instant::now();
            }
            if tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY_EVERY.min(self.pace.vacuum_after)) {
                runtime.block_on(self.tidy());
                tidied = Some(Instant::now());
            }
        }
    }

    async fn empty(&mut self, wholly: bool) -> Result<(), LakeFailure> {
        let begin = Instant::now();
        while let Some(segment) = self.journal.oldest() {
            let bytes = segment.bytes;
            if let Err(failure) = self.flush(&segment).await {
                self.stats.failures.fetch_add(1, Ordering::Relaxed);
                // What is known of the tables may be wrong now: they are opened again, and say which segments they have.
                self.tables.clear();
                self.entities = None;
                return Err(failure);
            }
            self.journal.done(&segment).map_err(|failure| LakeFailure::new("journal", &failure))?;
            self.stats.segments.fetch_add(1, Ordering::Relaxed);
            // What came meanwhile may wait for the next time, so that its file is not a tiny one; and however much waits, small files are
            // put together in time.
            if (bytes < 1024 * 1024 || begin.elapsed() >= self.pace.compact_every) && !wholly {
                break;
            }
        }
        Ok(())
    }

    async fn flush(&mut self, segment: &Segment) -> Result<(), LakeFailure> {
        let lines = self.journal.lines(segment).map_err(|failure| LakeFailure::new("journal", &failure))?;
        let mut rows = Rows::read(&lines);
        drop(lines);
        if !rows.usage.is_empty() {
            let (usage, detail) = match batch::usage(&rows.usage) {
                Ok(days) => days,
                // Checked when they came, so this does not happen; but one row must not keep all others from their table.
                Err(_) => {
                    let good = sound(std::mem::take(&mut rows.usage), &mut rows.quarantine, |row| {
                        batch::usage(std::slice::from_ref(row)).map(drop)
                    });
                    batch::usage(&good).map_err(LakeFailure::at(DETAIL))?
                }
            };
            let fresh =
                self.append(segment, DETAIL, schema::endpoint_usage_detail(), "request_time", detail.clone()).await?;
            if fresh {
                detail.iter().for_each(|day| self.shared.with(|rollup| rollup.ingest(&day.rows)));
            }
            self.append(segment, "endpoint_usage", schema::endpoint_usage(), "request_time", usage).await?;
        }
        for (prefix, rows) in &rows.payloads {
            let name = format!("{prefix}_payload");
            let days = batch::days(&schema::payload(), "request_time", rows).map_err(LakeFailure::at(&name))?;
            self.append(segment, &name, schema::payload(), "request_time", days).await?;
        }
        if !rows.entities.is_empty() {
            self.entities().await?.merge(&rows.entities).await?;
        }
        if !rows.access.is_empty() {
            let (schema, name) = (schema::payload_access(), "payload_access");
            let days = batch::days(&schema, "access_time", &rows.access).map_err(LakeFailure::at(name))?;
            self.append(segment, name, schema, "access_time", days).await?;
        }
        if !rows.quarantine.is_empty() {
            let (schema, name) = (schema::quarantine(), "quarantine");
            let days = batch::days(&schema, "received_time", &rows.quarantine).map_err(LakeFailure::at(name))?;
            self.append(segment, name, schema, "received_time", days).await?;
        }
        Ok(())
    }

    /// Appends a segment's rows to a table that does not have them; says whether it had not.
    async fn append(
        &mut self,
        segment: &Segment,
        name: &str,
        schema: SchemaRef,
        time: &'static str,
        days: Vec<Day>,
    ) -> Result<bool, LakeFailure> {
        let journal = self.journal.clone();
        let open = self.opened(name, schema, time).await?;
        if open.segment >= segment.number {
            return Ok(false);
        }
        let rows: usize = days.iter().map(|day| day.rows.num_rows()).sum();
        open.table.append(journal.id(), segment.number, days).await?;
        open.segment = segment.number;
        self.stats.rows.fetch_add(rows as u64, Ordering::Relaxed);
        Ok(true)
    }

    /// Opens the tables that got no row since the start.
    async fn open_all(&mut self) -> Result<(), LakeFailure> {
        for name in self.lake.names().await? {
            let (schema, time) = match name.as_str() {
                DETAIL => (schema::endpoint_usage_detail(), "request_time"),
                "endpoint_usage" => (schema::endpoint_usage(), "request_time"),
                "payload_access" => (schema::payload_access(), "access_time"),
                "quarantine" => (schema::quarantine(), "received_time"),
                name if name.ends_with("_payload") => (schema::payload(), "request_time"),
                "served_entities" => {
                    self.entities().await?;
                    continue;
                }
                _ => continue,
            };
            self.opened(&name, schema, time).await?;
        }
        Ok(())
    }

    async fn opened(&mut self, name: &str, schema: SchemaRef, time: &'static str) -> Result<&mut Open, LakeFailure> {
        if !self.tables.contains_key(name) {
            let table = Table::open(&self.lake, name, schema, time).await?;
            let segment = table.last_segment(self.journal.id()).await?.unwrap_or(0);
            self.tables.insert(name.to_owned(), Open { table, segment });
        }
        self.tables.get_mut(name).ok_or_else(|| LakeFailure::new(name, &"not open"))
    }

    async fn entities(&mut self) -> Result<&mut Entities, LakeFailure> {
        let name = "served_entities";
        if self.entities.is_none() {
            let table = Table::open(&self.lake, name, schema::served_entities(), "change_time").await?;
            self.entities = Some(Entities::new(table, &self.folder));
        }
        self.entities.as_mut().ok_or_else(|| LakeFailure::new(name, &"not open"))
    }

    async fn compact(&mut self) {
        for open in self.tables.values_mut() {
            match open.table.compact(self.pace.compact_every).await {
                Ok(files) => {
                    self.stats.compacted_files.fetch_add(files as u64, Ordering::Relaxed);
                }
                Err(failure) => super::log(&format!("small files are left for the next time: {failure}")),
            }
        }
    }

    /// Lets days go that are past their retention, and files that nothing needs.
    async fn tidy(&mut self) {
        if let Err(failure) = self.open_all().await {
            super::log(&format!("some tables are not looked after for now: {failure}"));
        }
        for (name, open) in &mut self.tables {
            let is_payload = name.ends_with("_payload");
            let kept =
                if is_payload { self.pace.payload_retention.or(self.pace.retention) } else { self.pace.retention };
            let tidied = async {
                if let Some(kept) = kept {
                    let kept = i64::try_from(kept.as_micros()).unwrap_or(i64::MAX);
                    open.table.expire(&batch::date(now().saturating_sub(kept))).await?;
                }
                open.table.vacuum().await
            };
            if let Err(failure) = tidied.await {
                super::log(&format!("old files are left for the next time: {failure}"));
            }
        }
        if let Some(entities) = &mut self.entities
            && let Err(failure) = entities.vacuum().await
        {
            super::log(&format!("old files are left for the next time: {failure}"));
        }
    }
}

/// The rows that can be encoded; the others are put aside.
fn sound<T: serde::Serialize>(
    rows: Vec<T>,
    quarantine: &mut Vec<QuarantineRow>,
    encode: impl Fn(&T) -> Result<(), ArrowError>,
) -> Vec<T> {
    let mut good = Vec::with_capacity(rows.len());
    for row in rows {
        match encode(&row) {
            Ok(()) => good.push(row),
            Err(error) => quarantine.push(QuarantineRow {
                received_time: now(),
                reason: error.to_string(),
                line: serde_json::to_string(&row).ok(),
                line_base64: None,
            }),
        }
    }
    good
}
