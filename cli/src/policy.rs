//! A policy file in, YAML or JSON; the same document as JSON out, which is what both plugin instances are configured
//! with, and the policy compiled from it. Never tells what a secret is.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_yaml_ng::Value;
use weir_core::config::{Compiled, Config, Environment, InvalidConfig, MissingSecrets, Problem};

/// Why there is no policy.
#[derive(Debug)]
pub enum Unusable {
    /// The file cannot be read.
    Unreadable { path: PathBuf, error: io::Error },
    /// It is neither YAML nor JSON.
    Malformed { path: PathBuf, error: serde_yaml_ng::Error },
    /// It is no policy that could come into force.
    Invalid(InvalidConfig),
}

impl Unusable {
    /// 1: the policy is wrong; 2: there is none to judge.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unreadable { .. } => ExitCode::from(2),
            Self::Malformed { .. } | Self::Invalid(_) => ExitCode::from(1),
        }
    }

    /// Says all of it on standard error, one line each.
    pub fn print(&self) {
        if let Self::Invalid(invalid) = self {
            print_warnings(&invalid.warnings);
        }
        for line in self.to_string().lines() {
            eprintln!("error: {line}");
        }
    }
}

/// On standard error, one line each.
pub fn print_warnings(warnings: &[Problem]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => write!(f, "{}: cannot be read: {error}", path.display()),
            Self::Malformed { path, error } => write!(f, "{}: neither YAML nor JSON: {error}", path.display()),
            Self::Invalid(invalid) => invalid.fmt(f),
        }
    }
}

/// Reads the policy at `path`, `-` for standard input, as JSON.
///
/// # Errors
///
/// [`Unusable::Unreadable`] and [`Unusable::Malformed`].
pub fn read(path: &Path) -> Result<String, Unusable> {
    let text = read_text(path).map_err(|error| Unusable::Unreadable { path: path.to_owned(), error })?;
    to_json(&text).map_err(|error| Unusable::Malformed { path: path.to_owned(), error })
}

/// Compiles a policy. Secrets come from this process's environment; one that is missing is a warning, because only
/// Envoy needs it.
///
/// # Errors
///
/// [`Unusable::Invalid`].
pub fn compile(json: &str) -> Result<Compiled, Unusable> {
    let environment = |name: &str| std::env::var(name).ok();
    compile_with(json, &environment, MissingSecrets::Warn)
}

/// Compiles a policy with these secrets.
///
/// # Errors
///
/// [`Unusable::Invalid`].
pub fn compile_with(json: &str, environment: &Environment<'_>, missing: MissingSecrets) -> Result<Compiled, Unusable> {
    Config::from_slice(json.as_bytes(), environment, missing).map_err(Unusable::Invalid)
}

fn read_text(path: &Path) -> io::Result<String> {
    if path == Path::new("-") { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(path) }
}

/// JSON is YAML too. Keys that stand twice are errors of the reader; anchors and `<<` are resolved.
fn to_json(text: &str) -> Result<String, serde_yaml_ng::Error> {
    let mut document: Value = serde_yaml_ng::from_str(text)?;
    document.apply_merge()?;
    serde_json::to_string(&document).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json() {
        for (text, expected) in [
            ("a: 1\nb: [x, 2.5]", Ok(r#"{"a":1,"b":["x",2.5]}"#)),
            (r#"{"a": {"b": true}}"#, Ok(r#"{"a":{"b":true}}"#)),
            ("base: &b {x: 1}\ncopy: {<<: *b, y: 2}", Ok(r#"{"base":{"x":1},"copy":{"y":2,"x":1}}"#)),
            ("5: [a]", Ok(r#"{"5":["a"]}"#)),
            ("", Ok("null")),
            ("a: 1\na: 2", Err("duplicate entry with key \"a\"")),
            ("a: {b: 1, b: 2}", Err("a: duplicate entry with key \"b\" at line 1 column 4")),
            ("a: [", Err("did not find expected node content at line 2 column 1, while parsing a flow node")),
        ] {
            let json = to_json(text).map_err(|error| error.to_string());
            assert_eq!(json, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }
}
