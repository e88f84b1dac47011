//! What a collector opens before it listens: the place for its rows, and which rows are there already. Where it fails nothing is served.

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use deltalake::arrow::array::AsArray;

use super::flush::{Flusher, Pace};
use super::journal::Journal;
use super::lake::table::{Table, day_of};
use super::lake::{Lake, LakeFailure, file};
use super::line::{self, RowId};
use super::ndjson::NdjsonSink;
use super::page::View;
use super::rollup::load::{Loader, Shared};
use super::seen::{GENERATION, Seen};
use super::sink::{Sink, SinkFailure};
use super::{Args, Failure, Format, log};

/// How long a stop waits for the tables; what they do not have by then stays in the journal.
const LAST_FLUSH: Duration = Duration::from_secs(20);

pub struct Stored {
    pub sink: Box<dyn Sink>,
    pub seen: Seen,
    pub view: Option<View>,
    pub flusher: Option<Flushing>,
}

/// The thread that writes the tables.
pub struct Flushing {
    journal: Journal,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Flushing {
    /// Has it write what is in the journal, and waits for that.
    pub fn stop(self) {
        drop(self.stop);
        let deadline = std::time::Instant::now() + LAST_FLUSH;
        while !self.thread.is_finished() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !self.thread.is_finished() && self.journal.backlog().bytes > 0 {
            log("the tables could not be written in time; the rows stay in the journal for the next start");
        }
    }
}

pub fn open(args: &Args) -> Result<Stored, Failure> {
    match args.format {
        Format::Delta => open_tables(args),
        Format::Ndjson => open_lines(args),
    }
}

/// Opens a folder of lines, mends what a crash left, and reads back which rows are stored.
fn open_lines(args: &Args) -> Result<Stored, Failure> {
    let failed = |failure: SinkFailure| Failure(1, failure.to_string());
    let (sink, repairs) = NdjsonSink::open(args.out.as_ref()).map_err(failed)?;
    for repair in repairs {
        log(&format!("{}: cut {} bytes of a torn last line", repair.path.display(), repair.cut_bytes));
    }
    let mut seen = Seen::new(GENERATION);
    sink.recall(GENERATION, &mut |id| seen.insert(id)).map_err(failed)?;
    Ok(Stored { sink: Box::new(sink), seen, view: None, flusher: None })
}

fn open_tables(args: &Args) -> Result<Stored, Failure> {
    let failed = |failure: SinkFailure| Failure(1, failure.to_string());
    let unreachable = |failure: LakeFailure| Failure(1, failure.to_string());
    let lake = Lake::made(&args.out).map_err(unreachable)?.keeping(args.vacuum_after);
    let folder: PathBuf = match (&args.journal, lake.local()) {
        (Some(folder), _) => folder.clone(),
        (None, Some(local)) => local.join(".journal"),
        (None, None) => return Err(Failure(2, "--journal is needed where --out is a URL: a local folder".to_owned())),
    };
    let journal = Journal::open(&folder, args.journal_bytes).map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure(1, format!("no runtime: {error}")))?;
    let mut seen = Seen::new(GENERATION);
    runtime.block_on(recall(&lake, GENERATION, &mut |id| seen.insert(id))).map_err(unreachable)?;
    journal.recall(GENERATION, &mut |id| seen.insert(id)).map_err(failed)?;
    let shared = Shared::new();
    let loader = runtime.block_on(Loader::open(&lake, journal.id())).map_err(unreachable)?;
    drop(runtime);
    let pace = Pace {
        commit_every: args.commit_every,
        compact_every: args.compact_every,
        vacuum_after: args.vacuum_after,
        retention: args.retention,
        payload_retention: args.payload_retention,
    };
    let kept = journal.clone();
    let flusher = Flusher::new(lake.clone(), journal.clone(), folder, shared.clone(), pace);
    let view = View { shared: shared.clone(), journal: journal.clone(), lake, flush: flusher.stats.clone() };
    let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let no_thread = |error: std::io::Error| Failure(1, format!("no thread: {error}"));
    named("loader").spawn(move || loader.run(shared)).map_err(no_thread)?;
    let (stop, stopped) = channel();
    let thread = named("tables").spawn(move || flusher.run(&stopped)).map_err(no_thread)?;
    let flusher = Some(Flushing { journal: kept, stop, thread });
    Ok(Stored { sink: Box::new(journal), seen, view: Some(view), flusher })
}

/// Calls `remember` with the ids of the rows that came into the tables last, at least `most` of them where there are so many.
async fn recall(lake: &Lake, most: usize, remember: &mut dyn FnMut(RowId)) -> Result<(), LakeFailure> {
    let mut files = Vec::new();
    for name in lake.names().await? {
        let kind = match name.as_str() {
            "endpoint_usage" => line::Table::EndpointUsage,
            name if name.ends_with("_payload") => line::Table::Payload,
            _ => continue,
        };
        if let Some(table) = Table::existing(lake, &name).await? {
            let state = table.snapshot().map_err(LakeFailure::at(&name))?;
            for view in state.log_data().iter() {
                let path = view.path().into_owned();
                files.push((day_of(&path).to_owned(), view.modification_time(), kind, table.clone(), path));
            }
        }
    }
    files.sort_by(|a, b| (&b.0, b.1).cmp(&(&a.0, a.1)));
    let mut known: Vec<Vec<RowId>> = Vec::new();
    let mut count = 0usize;
    for (_, _, kind, table, path) in files {
        if count >= most {
            break;
        }
        let bytes = file::get(&table.object_store(), &path).await?;
        let mut ids = Vec::new();
        for rows in file::read(bytes, &["databricks_request_id"], 8192).map_err(LakeFailure::at(&path))? {
            let rows = rows.map_err(LakeFailure::at(&path))?;
            let column = rows.columns().first().and_then(|column| column.as_string_opt::<i32>());
            ids.extend(column.into_iter().flatten().flatten().map(|id| RowId::new(kind, &[id])));
        }
        count = count.saturating_add(ids.len());
        known.push(ids);
    }
    known.into_iter().rev().flatten().for_each(remember);
    Ok(())
}
