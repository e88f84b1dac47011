//! The filter's file, as `weir render` and `weir check` find it: whether it is a filter of Weir's, of this version. Its
//! custom section `weir.version` says so. A file that is not here may be where Envoy runs, so that is a warning.

use std::{fmt, path::Path};

/// What every module begins with, and the version of the format.
const MAGIC: &[u8] = b"\0asm\x01\0\0\0";
const SECTION: &str = "weir.version";
const OWN: &str = env!("CARGO_PKG_VERSION");

/// What is the matter with the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It may be elsewhere.
    NotHere(String),
    NoModule,
    /// Without the section.
    NotWeirs,
    OfVersion(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHere(why) => {
                write!(
                    f,
                    "cannot be read here ({why}): Envoy looks for it from its own working directory, and does not start without it"
                )
            }
            Self::NoModule => write!(f, "found no WebAssembly module, expected the `weir.wasm` of Weir {OWN}"),
            Self::NotWeirs => {
                write!(f, "found a module that is no filter of Weir's, expected the `weir.wasm` of Weir {OWN}")
            }
            Self::OfVersion(version) => write!(
                f,
                "found the filter of Weir {version}, expected that of {OWN}, as this `weir` is: take both of one release"
            ),
        }
    }
}

/// Of the file at `path`.
///
/// # Errors
///
/// [`Unfit`]
pub fn examine(path: &Path) -> Result<(), Unfit> {
    let module = std::fs::read(path).map_err(|error| Unfit::NotHere(error.to_string()))?;
    let sections = module.strip_prefix(MAGIC).ok_or(Unfit::NoModule)?;
    match version(sections) {
        None => Err(Unfit::NotWeirs),
        Some(version) if version == OWN => Ok(()),
        Some(version) => Err(Unfit::OfVersion(version.to_owned())),
    }
}

/// A section is its kind, its length and its content; a custom one's (kind 0) begins with its name.
fn version(mut rest: &[u8]) -> Option<&str> {
    while let Some((kind, behind)) = rest.split_first() {
        let (length, behind) = number(behind)?;
        let (content, behind) = behind.split_at_checked(length)?;
        rest = behind;
        if *kind != 0 {
            continue;
        }
        let (name_length, content) = number(content)?;
        let (name, content) = content.split_at_checked(name_length)?;
        if name == SECTION.as_bytes() {
            return std::str::from_utf8(content).ok();
        }
    }
    None
}

/// LEB128, at most 32 bits.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f).checked_shl(u32::try_from(at).ok()?.checked_mul(7)?)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at.checked_add(1)?..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(sections: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (kind, content) in sections {
            // Two bytes, as linkers write it.
            bytes.extend([*kind, content.len() as u8 | 0x80, 0]);
            bytes.extend_from_slice(content);
        }
        bytes
    }

    #[test]
    fn a_file_says_whose_it_is() {
        let own = [&[12][..], b"weir.version", OWN.as_bytes()].concat();
        let other = b"\x0cweir.version0.0.0-other";
        for (bytes, expected) in [
            (module(&[(1, b"types"), (0, b"\x04name..."), (0, &own)]), Ok(())),
            (module(&[(0, other)]), Err(Unfit::OfVersion("0.0.0-other".into()))),
            (module(&[(1, b"types"), (0, b"\x04name...")]), Err(Unfit::NotWeirs)),
            (module(&[(0, &own)])[..20].to_vec(), Err(Unfit::NotWeirs)),
            (b"\x7fELF".to_vec(), Err(Unfit::NoModule)),
            (Vec::new(), Err(Unfit::NoModule)),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            assert_eq!(examine(file.path()), expected);
        }
        assert!(matches!(examine(Path::new("/nowhere/weir.wasm")), Err(Unfit::NotHere(_))));
    }
}
