//! The journal: what was received and is in no table yet, as numbered segments of lines on the local disk. A batch is acknowledged when
//! it is here and synced; a segment goes when its rows are in the tables. A segment's number only rises, also over restarts: the
//! tables remember by it what they have.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;

use super::files::{Appended, day_files, lock, make_dir, mend, sync_dir};
use super::line::{RowId, Table};
use super::sink::{Batch, Sink, SinkFailure};

/// A segment that has grown to this takes no further batch, so that its rows fit into memory: 32 MiB, and a group more.
const SEGMENT_BYTES: u64 = 32 * 1024 * 1024;

/// Shared by the thread that appends and the one that empties it.
#[derive(Clone)]
pub struct Journal(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    /// Names this journal in the tables' transactions.
    id: String,
    most_bytes: u64,
    state: Mutex<State>,
    _lock: fs::File,
}

struct State {
    open: Option<Open>,
    closed: VecDeque<Segment>,
    /// The number that the next segment gets.
    next: i64,
}

struct Open {
    number: i64,
    file: Appended,
    since: SystemTime,
}

/// A segment that takes no further lines.
#[derive(Clone, Debug)]
pub struct Segment {
    pub number: i64,
    pub path: PathBuf,
    pub bytes: u64,
    /// When its first line came, or for one that was found at the start its file's time.
    pub since: SystemTime,
}

/// What waits for the tables.
pub struct Backlog {
    pub bytes: u64,
    pub since: Option<SystemTime>,
}

impl Journal {
    /// Opens a folder, made if need be; mends what a crash left half written. Holds at most `most_bytes`.
    pub fn open(dir: &Path, most_bytes: u64) -> Result<Self, SinkFailure> {
        make_dir(dir)?;
        let lock = lock(dir)?;
        let id = identity(dir)?;
        sync_dir(dir)?;
        let mut closed = VecDeque::new();
        let mut next = 1;
        for path in day_files(dir)? {
            let Some(number) = number_of(&path) else { continue };
            mend(&path)?;
            next = number.saturating_add(1);
            let about = path.metadata().map_err(SinkFailure::at("look at", &path))?;
            let since = about.modified().unwrap_or_else(|_| SystemTime::now());
            closed.push_back(Segment { number, path, bytes: about.len(), since });
        }
        let state = Mutex::new(State { open: None, closed, next });
        Ok(Self(Arc::new(Shared { dir: dir.to_owned(), id, most_bytes, state, _lock: lock })))
    }

    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The oldest segment with lines; the open one is closed if there is no other.
    pub fn oldest(&self) -> Option<Segment> {
        let mut state = self.state();
        if state.closed.iter().all(|segment| segment.bytes == 0) {
            state.close(&self.0.dir);
        }
        state.closed.iter().find(|segment| segment.bytes > 0).cloned()
    }

    /// A segment's lines.
    pub fn lines(&self, segment: &Segment) -> Result<Bytes, SinkFailure> {
        fs::read(&segment.path).map(Bytes::from).map_err(SinkFailure::at("read", &segment.path))
    }

    /// Forgets a segment whose rows are in the tables. The latest one stays as an empty file: its name keeps the count.
    pub fn done(&self, segment: &Segment) -> Result<(), SinkFailure> {
        let mut state = self.state();
        let latest = state.next.saturating_sub(1) == segment.number;
        if latest {
            let file = fs::OpenOptions::new().write(true).open(&segment.path);
            file.and_then(|file| file.set_len(0)).map_err(SinkFailure::at("empty", &segment.path))?;
            state.closed.iter_mut().filter(|known| known.number == segment.number).for_each(|known| known.bytes = 0);
        }
        let emptied = |known: &Segment| known.number < segment.number || (known.number == segment.number && !latest);
        for known in state.closed.iter().filter(|known| emptied(known)) {
            fs::remove_file(&known.path).map_err(SinkFailure::at("remove", &known.path))?;
        }
        state.closed.retain(|known| !emptied(known));
        Ok(())
    }

    pub fn backlog(&self) -> Backlog {
        self.state().backlog()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self, dir: &Path) {
        if let Some(open) = self.open.take_if(|open| open.file.durable() > 0) {
            let path = dir.join(file_name(open.number));
            self.closed.push_back(Segment { number: open.number, path, bytes: open.file.durable(), since: open.since });
        }
    }

    fn backlog(&self) -> Backlog {
        let closed = self.closed.iter().filter(|segment| segment.bytes > 0);
        let open = self.open.iter().filter(|open| open.file.durable() > 0);
        let bytes = closed.clone().map(|segment| segment.bytes).chain(open.clone().map(|open| open.file.durable()));
        Backlog {
            bytes: bytes.fold(0, u64::saturating_add),
            since: closed.map(|segment| segment.since).chain(open.map(|open| open.since)).min(),
        }
    }

    fn open(&mut self, dir: &Path) -> Result<&mut Open, SinkFailure> {
        if self.open.as_ref().is_some_and(|open| open.file.durable() >= SEGMENT_BYTES) {
            self.close(dir);
        }
        if self.open.is_none() {
            let file = Appended::open(dir, ".", &format!("{:020}", self.next))?;
            self.open = Some(Open { number: self.next, file, since: SystemTime::now() });
            self.next = self.next.saturating_add(1);
        }
        let gone = || SinkFailure::at("open", dir)(io::ErrorKind::NotFound.into());
        self.open.as_mut().ok_or_else(gone)
    }
}

impl Sink for Journal {
    fn merges(&self, table: Table) -> bool {
        table == Table::ServedEntities
    }

    fn append(&mut self, batch: &Batch) -> Result<(), SinkFailure> {
        let lines = batch.rows.iter().map(|row| &row.line).chain(batch.rejected.iter().map(|rejected| &rejected.line));
        let bytes = lines.flat_map(|line| [line.as_ref(), b"\n"]).collect::<Vec<_>>().concat();
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = state.backlog().bytes;
        if waiting.saturating_add(bytes.len() as u64) > self.0.most_bytes {
            let why = format!("it is full: {waiting} bytes wait for the tables, which cannot be written at the moment");
            return Err(SinkFailure::at("append to the journal", &self.0.dir)(io::Error::other(why)));
        }
        let open = state.open(&self.0.dir)?;
        if open.file.durable() == 0 {
            open.since = SystemTime::now();
        }
        // What an earlier failure could not cut off would stand in the way of these lines.
        open.file.roll_back()?;
        let written = open.file.write(&bytes).and_then(|()| open.file.sync());
        match written {
            Ok(()) => open.file.keep(),
            Err(_) => {
                // If this fails too, the next append tries again first.
                let _ = open.file.roll_back();
            }
        }
        written
    }

    /// The rows that no table has yet; the tables know the rest.
    fn recall(&self, _most: usize, remember: &mut dyn FnMut(RowId)) -> Result<(), SinkFailure> {
        let segments: Vec<Segment> = self.state().closed.iter().cloned().collect();
        for segment in segments {
            for line in super::line::split(&self.lines(&segment)?) {
                if let Ok(record) = super::line::parse(&line)
                    && !self.merges(record.table())
                {
                    remember(record.id());
                }
            }
        }
        Ok(())
    }
}

fn file_name(number: i64) -> String {
    format!("{number:020}.ndjson")
}

fn number_of(path: &Path) -> Option<i64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// The folder's own name, made once: 128 random bits in hexadecimal digits.
fn identity(dir: &Path) -> Result<String, SinkFailure> {
    let path = dir.join("id");
    match fs::read_to_string(&path) {
        Ok(id) if id.len() == 32 => return Ok(id),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(SinkFailure::at("read", &path)(error)),
    }
    let mut random = [0u8; 16];
    let failed = SinkFailure::at("read", Path::new("/dev/urandom"));
    fs::File::open("/dev/urandom").and_then(|mut file| io::Read::read_exact(&mut file, &mut random)).map_err(failed)?;
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let write = |path: &Path| {
        let mut file = fs::File::create(path)?;
        io::Write::write_all(&mut file, id.as_bytes())?;
        file.sync_all()
    };
    write(&path).map_err(SinkFailure::at("write", &path))?;
    Ok(id)
}

#[cfg(test)]
mod tests;
