//! The texts that counts are proved on: the corpus, fuzz strings, and every character.

use std::path::Path;

use crate::fuzz;

/// What stands between two texts of a file of the corpus.
pub const BETWEEN: char = '\u{c}';

/// Each file's name without its ending, and its texts, in the order of names.
pub fn corpus(folder: &Path) -> Vec<(String, Vec<String>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, text.split(BETWEEN).map(str::to_owned).collect())
        })
        .collect()
}

/// Each file's name and its texts in two halves, for what is timed: such as a counter has seen before, and such as not.
pub fn halves(folder: &Path) -> Vec<(String, Vec<String>, Vec<String>)> {
    let apart = |(name, texts): (String, Vec<String>)| {
        let of = |first: usize| texts.iter().skip(first).step_by(2).cloned().collect();
        (name, of(0), of(1))
    };
    corpus(folder).into_iter().map(apart).collect()
}

/// All texts of a kind: `corpus`, `fuzz` or `characters`. `folder` is this crate's.
pub fn of_kind(kind: &str, folder: &Path) -> Vec<String> {
    match kind {
        "corpus" => corpus(&folder.join("corpus")).into_iter().flat_map(|(_, texts)| texts).collect(),
        "fuzz" => (0..fuzz::STRINGS as u64).map(fuzz::string).collect(),
        "characters" => (0..fuzz::BLOCKS).map(fuzz::characters).collect(),
        _ => panic!("no texts of kind {kind}: corpus, fuzz or characters"),
    }
}

/// The counts that `reference.py` wrote: one after the other, seven bits a byte, the lowest first.
pub fn expected(kind: &str, folder: &Path) -> Vec<u64> {
    let path = folder.join("expected").join(kind).with_extension("counts");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut counts = Vec::new();
    let (mut count, mut shift) = (0, 0);
    for byte in bytes {
        count |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            counts.push(count);
            (count, shift) = (0, 0);
        }
    }
    counts
}
