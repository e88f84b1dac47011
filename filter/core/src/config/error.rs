//! What is wrong with a policy: where, what was found, what was expected. Never holds a secret's value.

use std::fmt;

/// One finding in a policy, an error or a warning. Its `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `endpoints[0].ai_gateway.rate_limits[2].calls`; empty for the document itself.
    pub path: String,
    /// What stands there, ready to be read: `` `-5` ``, `nothing`, `a list`.
    pub found: String,
    /// What should stand there; may say what to do.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the policy" } else { &self.path };
        write!(f, "{path}: found {}, expected {}", self.found, self.expected)
    }
}

/// A policy that cannot come into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConfig {
    /// All that is wrong, in the order of reading; at least one.
    pub problems: Vec<Problem>,
    /// As in [`super::Compiled::warnings`].
    pub warnings: Vec<Problem>,
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidConfig {}
