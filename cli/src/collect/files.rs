//! Files that only grow: opening one so that its name survives a crash, appending, syncing, cutting back, and mending the end
//! of one that a crash left torn. Lengths are bytes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::sink::SinkFailure;

/// A file being appended to, and how much of it is durable.
pub struct Appended {
    pub name: String,
    path: PathBuf,
    file: File,
    durable: u64,
    written: u64,
}

impl Appended {
    /// Opens `dir/<folder>/<name>.ndjson`; where folder or file are new, their names are on disk before this returns.
    pub fn open(dir: &Path, folder: &str, name: &str) -> Result<Self, SinkFailure> {
        let folder = dir.join(folder);
        if !folder.is_dir() {
            fs::create_dir(&folder).map_err(SinkFailure::at("create", &folder))?;
            sync_dir(dir)?;
        }
        let path = folder.join(format!("{name}.ndjson"));
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(SinkFailure::at("open", &path))?;
        // Also where the file was there: the process that made it may have died before this.
        sync_dir(&folder)?;
        let durable = file.metadata().map_err(SinkFailure::at("look at", &path))?.len();
        Ok(Self { name: name.to_owned(), path, file, durable, written: 0 })
    }

    /// Bytes that are on disk.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SinkFailure> {
        // Counted before it is known how much arrives: a failed write may have left a part.
        self.written = self.written.saturating_add(bytes.len() as u64);
        self.file.write_all(bytes).map_err(SinkFailure::at("append to", &self.path))
    }

    pub fn sync(&mut self) -> Result<(), SinkFailure> {
        self.file.sync_data().map_err(SinkFailure::at("sync", &self.path))
    }

    /// What was written and synced stays.
    pub fn keep(&mut self) {
        self.durable = self.durable.saturating_add(std::mem::take(&mut self.written));
    }

    /// What was written since the last `keep` goes. Costs nothing when that is nothing.
    pub fn roll_back(&mut self) -> Result<(), SinkFailure> {
        if self.written > 0 {
            self.file.set_len(self.durable).map_err(SinkFailure::at("cut back", &self.path))?;
            self.written = 0;
        }
        Ok(())
    }
}

/// Makes a folder with all above it, and puts their names on disk.
pub fn make_dir(dir: &Path) -> Result<(), SinkFailure> {
    fs::create_dir_all(dir).map_err(SinkFailure::at("create", dir))?;
    match dir.parent() {
        // A bare name is a folder in the current one.
        Some(parent) if parent.as_os_str().is_empty() => sync_dir(Path::new(".")),
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// A lock on a folder, held while this process lives. The file is open for reading alone: one that is open for writing would keep
/// its disk from being made read-only, as who looks after a failing one does.
pub fn lock(dir: &Path) -> Result<File, SinkFailure> {
    let path = dir.join(".lock");
    let file = File::create(&path).and_then(|_| File::open(&path)).map_err(SinkFailure::at("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(SinkFailure::at("lock", &path)(error)),
        Err(TryLockError::WouldBlock) => {
            Err(SinkFailure::at("lock", &path)(io::Error::other("another collector writes into this folder")))
        }
    }
}

/// Puts a folder's list of names on disk.
pub fn sync_dir(dir: &Path) -> Result<(), SinkFailure> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(SinkFailure::at("sync", dir))
}

/// The `.ndjson` files of a folder, by name; none when there is no such folder.
pub fn day_files(folder: &Path) -> Result<Vec<PathBuf>, SinkFailure> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SinkFailure::at("read", folder)(error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
    let mut paths = paths.map_err(SinkFailure::at("read", folder))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
    paths.sort();
    Ok(paths)
}

/// Cuts a file after its last newline and says how many bytes went. What remains is on disk: a process that was killed may have
/// left rows that only the kernel holds, and a row that is read back counts as stored.
pub fn mend(path: &Path) -> Result<u64, SinkFailure> {
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(SinkFailure::at("open", path))?;
    let length = file.metadata().map_err(SinkFailure::at("look at", path))?.len();
    let whole = whole_lines(&mut file, length).map_err(SinkFailure::at("read", path))?;
    if whole < length {
        file.set_len(whole).map_err(SinkFailure::at("repair", path))?;
    }
    file.sync_all().map_err(SinkFailure::at("sync", path))?;
    Ok(length.saturating_sub(whole))
}

/// How many bytes of a file are whole lines, looked for from its end.
fn whole_lines(file: &mut File, length: u64) -> io::Result<u64> {
    const STEP: u64 = 65_536;
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let mut part = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.take(end.saturating_sub(start)).read_to_end(&mut part)?;
        if let Some(newline) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start.saturating_add(newline as u64).saturating_add(1));
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_lines_are_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.ndjson");
        let long = "y".repeat(200_000);
        for (content, left) in [
            ("", ""),
            ("one\n", "one\n"),
            ("one\ntwo", "one\n"),
            ("torn", ""),
            (&format!("one\n{long}"), "one\n"),
            (&format!("{long}\ntorn"), &format!("{long}\n")),
        ] {
            fs::write(&path, content).unwrap();
            let cut = mend(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), *left);
            assert_eq!(cut, (content.len() - left.len()) as u64);
        }
    }
}
