//! How the sums come to be after a start, and how they learn of other collectors' rows: files of `endpoint_usage_detail` are read, the latest
//! day first, in the background; then the table's log is looked at every few seconds for files of others.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deltalake::DeltaTable;

use super::ingest::COLUMNS;
use super::{DAY, HOURS, Rollup};
use crate::collect::lake::batch::date;
use crate::collect::lake::table::{Table, day_of};
use crate::collect::lake::{Lake, LakeFailure, file};
use crate::collect::rows::now;

/// The table that holds all that the page shows.
pub const DETAIL: &str = "endpoint_usage_detail";

/// How often other collectors' files are looked for. Less than a minute, after which they may be compacted.
const EVERY: Duration = Duration::from_secs(5);
/// Rows that are added at a time, during which a question waits.
const ROWS: usize = 8192;

/// The sums, shared with those who ask and with the one who writes.
#[derive(Clone)]
pub struct Shared {
    rollup: Arc<Mutex<Rollup>>,
    /// Whether all that was in the table at the start has been read.
    loaded: Arc<AtomicBool>,
}

impl Shared {
    pub fn new() -> Self {
        Self { rollup: Arc::new(Mutex::new(Rollup::new())), loaded: Arc::new(AtomicBool::new(false)) }
    }

    pub fn with<T>(&self, ask: impl FnOnce(&mut Rollup) -> T) -> T {
        ask(&mut self.rollup.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Relaxed)
    }
}

/// Reads what is in the table, now and later. The files of this moment are read before this process writes, all later ones of its
/// own (named after its journal) come by the writer's own way.
pub struct Loader {
    lake: Lake,
    journal: String,
    table: Option<DeltaTable>,
    known: HashSet<String>,
}

impl Loader {
    pub async fn open(lake: &Lake, journal: &str) -> Result<Self, LakeFailure> {
        let table = Table::existing(lake, DETAIL).await?;
        let known = table.as_ref().map(paths).unwrap_or_default();
        Ok(Self { lake: lake.clone(), journal: journal.to_owned(), table, known })
    }

    /// Runs until the process ends.
    pub fn run(mut self, shared: Shared) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let mut files: Vec<String> = self.known.iter().cloned().collect();
            files.sort_by(|a, b| day_of(b).cmp(day_of(a)));
            self.ingest(&files, &shared).await;
            shared.loaded.store(true, Ordering::Relaxed);
            loop {
                tokio::time::sleep(EVERY).await;
                match self.news().await {
                    Ok(files) => self.ingest(&files, &shared).await,
                    Err(failure) => {
                        crate::collect::log(&format!("the page lacks other collectors' rows for now: {failure}"))
                    }
                }
            }
        });
    }

    /// Other collectors' files that were added since the last look.
    async fn news(&mut self) -> Result<Vec<String>, LakeFailure> {
        match &mut self.table {
            Some(table) => table.update_state().await.map_err(LakeFailure::at(DETAIL))?,
            None => self.table = Table::existing(&self.lake, DETAIL).await?,
        }
        let current = self.table.as_ref().map(paths).unwrap_or_default();
        let is_new = |path: &&String| {
            let name = path.rsplit('/').next().unwrap_or_default();
            !self.known.contains(*path) && !name.starts_with(&self.journal) && !name.starts_with("compacted-")
        };
        let news = current.iter().filter(is_new).cloned().collect();
        self.known = current;
        Ok(news)
    }

    async fn ingest(&self, files: &[String], shared: &Shared) {
        let Some(table) = &self.table else { return };
        let oldest = date(now().saturating_sub(DAY.saturating_mul(HOURS / 24)));
        for path in files.iter().filter(|path| day_of(path) >= oldest.as_str()) {
            // A file may have been compacted and removed since; its rows were then in the sums of whoever wrote them.
            let read = async {
                let bytes = file::get(&table.object_store(), path).await?;
                for rows in file::read(bytes, &COLUMNS, ROWS).map_err(LakeFailure::at(path))? {
                    let rows = rows.map_err(LakeFailure::at(path))?;
                    shared.with(|rollup| rollup.ingest(&rows));
                }
                Ok::<_, LakeFailure>(())
            };
            if let Err(failure) = read.await {
                crate::collect::log(&format!("the page lacks the rows of a file: {failure}"));
            }
        }
    }
}

fn paths(table: &DeltaTable) -> HashSet<String> {
    let files = table.snapshot().map(|state| state.log_data().iter().map(|view| view.path().into_owned()).collect());
    files.unwrap_or_default()
}
