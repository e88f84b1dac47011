//! Who may do what: bearer tokens with a name and rights in, the one that a request presents out. Only their SHA-256 is held, and they are
//! compared as such, so that a comparison's time tells nothing about them.

use std::path::Path;

use hyper::header::{AUTHORIZATION, HeaderMap};
use sha2::{Digest, Sha256};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To see payloads: prompts and answers.
    Payloads,
    /// To see usage: the page and its numbers.
    Read,
    /// To send records.
    Write,
}

impl Right {
    const ALL: [Self; 3] = [Self::Payloads, Self::Read, Self::Write];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Payloads => "payloads",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// None at all: everybody on this machine may do everything.
#[derive(Debug, Default)]
pub struct Tokens(Vec<Token>);

#[derive(Debug)]
struct Token {
    sha256: [u8; 32],
    name: String,
    rights: Vec<Right>,
}

/// Why a request is not admitted.
#[derive(Debug, PartialEq, Eq)]
pub enum Denied {
    /// No token, or an unknown one.
    Unknown,
    /// A known one without the right.
    Without(Right),
}

impl Tokens {
    /// One token that may do everything.
    pub fn one(token: &str) -> Self {
        Self(vec![Token {
            sha256: Sha256::digest(token).into(),
            name: "token".to_owned(),
            rights: Right::ALL.to_vec(),
        }])
    }

    /// A file with one token a line: `TOKEN`, or `TOKEN NAME RIGHTS` with rights as in `write` or `read,payloads`. Blank lines and those
    /// that begin with `#` are skipped.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let lines = text.lines().enumerate().map(|(at, line)| (at, line.trim()));
        let wanted = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let tokens: Result<Vec<Token>, String> = wanted
            .map(|(at, line)| token(line).map_err(|why| format!("{}:{}: {why}", path.display(), at.saturating_add(1))))
            .collect();
        let tokens = tokens?;
        if tokens.is_empty() {
            return Err(format!("{}: expected a token a line, found none", path.display()));
        }
        Ok(Self(tokens))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of whoever asks, if he has the right.
    pub fn admit(&self, headers: &HeaderMap, right: Right) -> Result<&str, Denied> {
        if self.0.is_empty() {
            return Ok("anybody");
        }
        let given = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
        let Some((scheme, given)) = given else { return Err(Denied::Unknown) };
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return Err(Denied::Unknown);
        }
        let sha256: [u8; 32] = Sha256::digest(given).into();
        let token = self.0.iter().find(|token| token.sha256 == sha256).ok_or(Denied::Unknown)?;
        if token.rights.contains(&right) { Ok(&token.name) } else { Err(Denied::Without(right)) }
    }
}

fn token(line: &str) -> Result<Token, String> {
    let mut words = line.split_whitespace();
    let sha256 = Sha256::digest(words.next().unwrap_or_default()).into();
    let Some(name) = words.next() else {
        return Ok(Token { sha256, name: "token".to_owned(), rights: Right::ALL.to_vec() });
    };
    let expected = "expected `TOKEN NAME RIGHTS` with rights of write, read, payloads, separated by commas";
    let rights = words.next().ok_or(expected)?;
    if words.next().is_some() {
        return Err(expected.to_owned());
    }
    let right = |text: &str| {
        let found = Right::ALL.into_iter().find(|right| right.name() == text);
        found.ok_or_else(|| format!("found the right `{text}`, {expected}"))
    };
    Ok(Token { sha256, name: name.to_owned(), rights: rights.split(',').map(right).collect::<Result<_, _>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, text.parse().unwrap())])
    }

    #[test]
    fn rights_are_kept_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        std::fs::write(&path, "# comment\n\nsend gateway write\nsee alice read,payloads\nall\n").unwrap();
        let tokens = Tokens::read(&path).unwrap();
        for (given, right, want) in [
            ("Bearer send", Right::Write, Ok("gateway")),
            ("bearer send", Right::Read, Err(Denied::Without(Right::Read))),
            ("Bearer see", Right::Payloads, Ok("alice")),
            ("Bearer see", Right::Write, Err(Denied::Without(Right::Write))),
            ("Bearer all", Right::Payloads, Ok("token")),
            ("Bearer gateway", Right::Write, Err(Denied::Unknown)),
            ("Basic send", Right::Write, Err(Denied::Unknown)),
            ("x", Right::Write, Err(Denied::Unknown)),
        ] {
            assert_eq!(tokens.admit(&bearer(given), right), want, "{given}");
        }
        assert_eq!(tokens.admit(&HeaderMap::new(), Right::Read), Err(Denied::Unknown));
        assert_eq!(Tokens::default().admit(&HeaderMap::new(), Right::Payloads), Ok("anybody"));
    }

    #[test]
    fn a_bad_file_says_where() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        for (text, part) in [
            ("", "found none"),
            ("a b", "tokens:1: expected"),
            ("\na b c", "tokens:2: found the right `c`"),
            ("a b read x", ":1:"),
        ] {
            std::fs::write(&path, text).unwrap();
            let why = Tokens::read(&path).unwrap_err();
            assert!(why.contains(part) && !why.contains("a b"), "{why}");
        }
    }
}
