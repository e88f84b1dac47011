//! The sink that appends lines to `DIR/<table>/<date>.ndjson`, byte for byte as they came, and what is rejected to
//! `DIR/quarantine/<date>.ndjson` with the reason. The date is that of arrival, UTC. It never leaves half of a batch: what
//! fails is cut off again, before anything else is written. It is for programs that read lines: `--format ndjson`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;

use super::files::{Appended, day_files, lock, make_dir, mend, sync_dir};
use super::line::{self, Rejected, RowId, Table};
use super::sink::{Batch, Sink, SinkFailure};

const QUARANTINE: &str = "quarantine";

pub struct NdjsonSink {
    dir: PathBuf,
    open: BTreeMap<&'static str, Appended>,
    /// Held while this process lives: two collectors in one folder would not know of each other's rows.
    _lock: File,
}

/// A torn line that was cut off at the start.
pub struct Repair {
    pub path: PathBuf,
    pub cut_bytes: u64,
}

impl NdjsonSink {
    /// Opens a folder, made if need be, and cuts off what a crash left half written.
    pub fn open(dir: &Path) -> Result<(Self, Vec<Repair>), SinkFailure> {
        make_dir(dir)?;
        let lock = lock(dir)?;
        sync_dir(dir)?;
        let mut repairs = Vec::new();
        for table in Table::ALL.map(Table::name).into_iter().chain([QUARANTINE]) {
            let folder = dir.join(table);
            if folder.is_dir() {
                sync_dir(&folder)?;
            }
            for path in day_files(&folder)? {
                let cut_bytes = mend(&path)?;
                if cut_bytes > 0 {
                    repairs.push(Repair { path, cut_bytes });
                }
            }
        }
        Ok((Self { dir: dir.to_owned(), open: BTreeMap::new(), _lock: lock }, repairs))
    }

    /// The file that takes a table's rows of a day.
    fn file(&mut self, table: &'static str, date: &str) -> Result<&mut Appended, SinkFailure> {
        let stale = self.open.get(table).is_none_or(|file| file.name != date);
        if stale {
            self.open.insert(table, Appended::open(&self.dir, table, date)?);
        }
        let gone = || SinkFailure::at("open", &self.dir.join(table))(io::ErrorKind::NotFound.into());
        self.open.get_mut(table).ok_or_else(gone)
    }

    fn write(&mut self, date: &str, content: &BTreeMap<&'static str, Vec<u8>>) -> Result<(), SinkFailure> {
        for (table, bytes) in content {
            self.file(table, date)?.write(bytes)?;
        }
        content.keys().try_for_each(|table| self.file(table, date)?.sync())
    }

    /// Cuts every file back to what is durable.
    fn roll_back(&mut self) -> Result<(), SinkFailure> {
        self.open.values_mut().try_for_each(Appended::roll_back)
    }
}

impl Sink for NdjsonSink {
    fn append(&mut self, batch: &Batch) -> Result<(), SinkFailure> {
        let now = SystemTime::now();
        let time = humantime::format_rfc3339_micros(now).to_string();
        let date = time.get(..10).unwrap_or_default();
        let mut content: BTreeMap<&'static str, Vec<u8>> = BTreeMap::new();
        for row in &batch.rows {
            add_line(content.entry(row.table.name()).or_default(), &row.line);
        }
        for rejected in &batch.rejected {
            add_line(content.entry(QUARANTINE).or_default(), &quarantined(rejected, &time));
        }
        // What an earlier failure could not cut off would stand in the way of these lines.
        self.roll_back()?;
        let written = self.write(date, &content);
        match written {
            Ok(()) => self.open.values_mut().for_each(Appended::keep),
            Err(_) => {
                // If this fails too, the next append tries again first.
                let _ = self.roll_back();
            }
        }
        written
    }

    fn recall(&self, most: usize, remember: &mut dyn FnMut(RowId)) -> Result<(), SinkFailure> {
        let mut files = Vec::new();
        for table in Table::ALL {
            files.extend(day_files(&self.dir.join(table.name()))?);
        }
        files.sort_by(|a, b| b.file_name().cmp(&a.file_name()));
        let (mut counted, mut wanted) = (0usize, 0usize);
        for path in &files {
            if counted >= most {
                break;
            }
            each_line(path, |_| counted = counted.saturating_add(1))?;
            wanted = wanted.saturating_add(1);
        }
        for path in files.iter().take(wanted).rev() {
            each_line(path, |line| {
                if let Ok(row) = line::read(Bytes::copy_from_slice(line)) {
                    remember(row.id);
                }
            })?;
        }
        Ok(())
    }
}

fn add_line(content: &mut Vec<u8>, line: &[u8]) {
    content.extend_from_slice(line);
    content.push(b'\n');
}

fn quarantined(rejected: &Rejected, received: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Quarantined<'a> {
        received: &'a str,
        reason: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        line_base64: Option<String>,
    }
    let line = std::str::from_utf8(&rejected.line).ok();
    let line_base64 = line.is_none().then(|| STANDARD.encode(&rejected.line));
    serde_json::to_vec(&Quarantined { received, reason: &rejected.reason, line, line_base64 }).unwrap_or_default()
}

fn each_line(path: &Path, mut see: impl FnMut(&[u8])) -> Result<(), SinkFailure> {
    let file = File::open(path).map_err(SinkFailure::at("open", path))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(SinkFailure::at("read", path))? == 0 {
            return Ok(());
        }
        see(line.strip_suffix(b"\n").unwrap_or(&line));
    }
}

#[cfg(test)]
mod tests;
