//! The folder that Envoy watches: files take their places by rename, so that Envoy never reads half of one; one `weir apply`
//! at a time; and what was there before can be put back. Files belong to whom the folder belongs, and nobody else reads them:
//! they may hold secrets.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// The folder, while this process alone may change it.
pub struct Folder {
    path: PathBuf,
    _lock: fs::File,
}

const LOCK: &str = ".weir-lock";

impl Folder {
    /// Waits for whoever else is at it; `None` when `bound` is over.
    ///
    /// # Errors
    ///
    /// Where there is no such folder, or it cannot be written.
    pub fn lock(path: &Path, bound: Duration) -> io::Result<Option<Self>> {
        let lock = fs::OpenOptions::new().create(true).write(true).truncate(false).open(path.join(LOCK))?;
        let end = Instant::now() + bound;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(Self { path: path.to_owned(), _lock: lock })),
                Err(fs::TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(Duration::from_millis(20)),
                Err(fs::TryLockError::WouldBlock) => return Ok(None),
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// `None`: there is no such file.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A file of JSON; `None` where there is none that can be read as such.
    pub fn read_json(&self, name: &str) -> Option<Value> {
        serde_json::from_slice(&self.read(name).ok()??).ok()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let next = self.path.join(format!(".{name}.next"));
        // One of a process that has died may belong to somebody else.
        fs::remove_file(&next)
            .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&next)?;
        let owner = fs::metadata(&self.path)?;
        if owner.uid() != file.metadata()?.uid() {
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(next, self.path.join(name))
    }

    /// Puts back what [`Folder::read`] gave.
    pub fn restore(&self, name: &str, before: Option<&[u8]>) -> io::Result<()> {
        match before {
            Some(bytes) => self.write(name, bytes),
            None => fs::remove_file(self.path.join(name)),
        }
    }
}
