//! What tests ask of a collector's tables beside their rows: whether a credential lies in them.

use std::path::Path;

/// Arguments for [`crate::scripts::tables`] that have it look for these in every column of every row.
pub fn without<'a>(credentials: &[&'a str]) -> Vec<&'a str> {
    credentials.iter().flat_map(|credential| ["--without", credential]).collect()
}

/// The files under a folder that hold some bytes.
pub fn files_with(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let found = entries.flat_map(|path| {
        let has = |path: &Path| {
            std::fs::read(path).is_ok_and(|content| content.windows(bytes.len()).any(|window| window == bytes))
        };
        match path.is_dir() {
            true => files_with(&path, bytes),
            false => has(&path).then(|| path.display().to_string()).into_iter().collect(),
        }
    });
    found.collect()
}
