//! A callout.

/// A POST that the root context shall make.
#[derive(Debug, PartialEq, Eq)]
pub struct Post {
    pub cluster: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub timeout_ms: u64,
}
