//! What a row is written with: its columns one by one, in whatever form a collector takes.

use std::collections::BTreeMap;

/// `key` is always the column's name as JSON with its colon: `"status_code":`.
pub trait Columns: Sized {
    fn text(&mut self, key: &'static str, value: Option<&str>);
    fn number(&mut self, key: &'static str, value: Option<u64>);
    /// Shortest digits that read back as the same number; nothing where it is no number.
    fn float(&mut self, key: &'static str, value: Option<f64>);
    fn flag(&mut self, key: &'static str, value: Option<bool>);
    fn texts(&mut self, key: &'static str, items: &[impl AsRef<str>]);
    /// Nothing where it is empty.
    fn map(&mut self, key: &'static str, map: &BTreeMap<String, String>);
    /// A list of objects, the members of each written by `write`.
    fn objects<T>(&mut self, key: &'static str, items: &[T], write: impl Fn(&mut Self, &T));
    /// Numbers by status.
    fn counts(&mut self, key: &'static str, counts: &BTreeMap<u16, u64>);
}
