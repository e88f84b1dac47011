//! Reads a [`Node`] by its keys: a [`Field`] is a value that knows its path, an [`Object`] knows which keys were asked
//! for. A reading that fails has reported why and is `None`; readers go on, so that all problems are reported at once.

use std::{borrow::Cow, cell::RefCell, fmt, ops::RangeInclusive, rc::Rc};

use super::{
    document::{Node, show_text},
    error::Problem,
    variables::Variables,
};

/// Keys of the contract that no release knows yet, wherever they stand.
pub(super) const LATER: &[&str] = &["sticky", "max_concurrency", "queue", "cooldown", "ramp", "priority"];

/// What one compilation has found so far.
pub(super) struct Findings<'a> {
    pub problems: RefCell<Vec<Problem>>,
    pub warnings: RefCell<Vec<Problem>>,
    pub variables: Variables<'a>,
}

/// Where a value stands. Written out only when there is something to say about it.
#[derive(Clone)]
pub(super) struct Path<'a>(Option<Rc<(Path<'a>, Step<'a>)>>);

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub node: &'a Node<'a>,
    pub path: Path<'a>,
    pub findings: &'a Findings<'a>,
}

/// An object that is being read. [`Object::close`] reports what nobody asked for.
pub(super) struct Object<'a> {
    entries: &'a [(Cow<'a, str>, Node<'a>)],
    path: Path<'a>,
    findings: &'a Findings<'a>,
    known: Vec<&'static str>,
}

impl<'a> Field<'a> {
    pub fn root(node: &'a Node<'a>, findings: &'a Findings<'a>) -> Self {
        Self { node, path: Path(None), findings }
    }

    /// Reports the value itself.
    pub fn reject(&self, expected: impl Into<String>) {
        self.report(self.node.show(), expected);
    }

    /// Reports that the value is wrong without showing it.
    pub fn reject_unseen(&self, expected: impl Into<String>) {
        self.report("a value that is not shown here", expected);
    }

    pub fn reject_unbuilt(&self, feature: &str) {
        self.reject(format!("no such key: {feature} is not built yet"));
    }

    pub fn report(&self, found: impl Into<String>, expected: impl Into<String>) {
        self.findings.problems.borrow_mut().push(self.path.problem(found.into(), expected.into()));
    }

    pub fn warn(&self, found: impl Into<String>, expected: impl Into<String>) {
        self.findings.warnings.borrow_mut().push(self.path.problem(found.into(), expected.into()));
    }

    pub fn object(&self) -> Option<Object<'a>> {
        let Node::Object(entries) = self.node else {
            self.report(self.node.kind(), "an object");
            return None;
        };
        let object = Object { entries, path: self.path.clone(), findings: self.findings, known: Vec::new() };
        object.report_duplicates();
        Some(object)
    }

    /// Keys that the operator chose, with their values.
    pub fn entries(&self) -> Option<Vec<(&'a str, Field<'a>)>> {
        let object = self.object()?;
        Some(object.entries.iter().map(|(key, node)| (&**key, object.field(key, node))).collect())
    }

    pub fn items(&self) -> Option<Vec<Field<'a>>> {
        let Node::List(nodes) = self.node else {
            self.report(self.node.kind(), "a list");
            return None;
        };
        let item = |(index, node)| Field { node, path: self.path.join(Step::Index(index)), findings: self.findings };
        Some(nodes.iter().enumerate().map(item).collect())
    }

    /// Reads every item of a list, also after one that is wrong.
    pub fn each<T>(&self, read: impl FnMut(&Field<'a>) -> Option<T>) -> Option<Vec<T>> {
        all(self.items()?.iter().map(read))
    }

    /// As [`Field::each`], of a list that must not be empty.
    pub fn some<T>(&self, read: impl FnMut(&Field<'a>) -> Option<T>) -> Option<Vec<T>> {
        if matches!(self.node, Node::List(items) if items.is_empty()) {
            self.reject("at least one entry");
            return None;
        }
        self.each(read)
    }

    /// A text that is not empty.
    pub fn text(&self) -> Option<&'a str> {
        match self.node {
            Node::Text(text) if !text.is_empty() => Some(text),
            _ => {
                self.reject("a text that is not empty");
                None
            }
        }
    }

    pub fn owned(&self) -> Option<String> {
        self.text().map(str::to_owned)
    }

    /// A text that passes `valid`.
    pub fn matching(&self, expected: &str, valid: impl Fn(&str) -> bool) -> Option<&'a str> {
        let text = self.text()?;
        if !valid(text) {
            self.reject(expected);
            return None;
        }
        Some(text)
    }

    pub fn flag(&self) -> Option<bool> {
        let Node::Flag(flag) = self.node else {
            self.reject("`true` or `false`");
            return None;
        };
        Some(*flag)
    }

    pub fn whole(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let whole = self.node.whole().filter(|whole| range.contains(whole));
        if whole.is_none() {
            self.reject(match (range.start(), range.end()) {
                (least, &u64::MAX) => format!("a whole number of at least {least}"),
                (least, most) => format!("a whole number from {least} to {most}"),
            });
        }
        whole
    }

    /// A number of bytes, at most 1 GiB: on wasm32 too it is a `usize`, and Envoy's buffers are rendered at twice that.
    pub fn bytes(&self, least: u64) -> Option<usize> {
        self.whole(least..=1 << 30).and_then(|bytes| usize::try_from(bytes).ok())
    }

    pub fn amount(&self) -> Option<f64> {
        match self.node {
            Node::Number(number) => number.as_f64().filter(|amount| *amount >= 0.0),
            _ => None,
        }
        .or_else(|| {
            self.reject("a number of at least 0");
            None
        })
    }

    /// One of `words`, each with what it stands for.
    pub fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let chosen = match self.node {
            Node::Text(text) => words.iter().find(|(word, _)| word == text),
            _ => None,
        };
        if chosen.is_none() {
            self.reject(one_of(words.iter().map(|(word, _)| *word)));
        }
        chosen.map(|(_, value)| *value)
    }
}

impl<'a> Object<'a> {
    /// The value of `key`, where it is present.
    pub fn take(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.known.push(key);
        let (key, node) = self.entries.iter().find(|(name, _)| name == key)?;
        Some(self.field(key, node))
    }

    /// A key that must be there.
    pub fn read<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&Field<'a>) -> Option<T>,
    ) -> Option<T> {
        let Some(field) = self.take(key) else {
            self.report_missing(key, expected);
            return None;
        };
        read(&field)
    }

    /// A key with a default.
    pub fn read_or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Field<'a>) -> Option<T>,
    ) -> Option<T> {
        self.take(key).map_or(Some(default), |field| read(&field))
    }

    /// A key that may be absent: then `Some(None)`.
    pub fn read_if<T>(&mut self, key: &'static str, read: impl FnOnce(&Field<'a>) -> Option<T>) -> Option<Option<T>> {
        self.take(key).map_or(Some(None), |field| read(&field).map(Some))
    }

    /// Keys that belong here and are nobody's business.
    pub fn pass_over(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
    }

    /// Keys that steer Databricks' own platform: accepted, of no effect.
    pub fn warn_of_platform_keys(&mut self, keys: &[&'static str]) {
        for key in keys {
            if let Some(field) = self.take(key) {
                field.warn("a key of Databricks' own platform", "nothing: it has no effect in Weir");
            }
        }
    }

    /// A key whose feature is not built.
    pub fn reject_unbuilt(&mut self, key: &'static str, feature: &str) {
        if let Some(field) = self.take(key) {
            field.reject_unbuilt(feature);
        }
    }

    pub fn report_missing(&self, key: &'static str, expected: &str) {
        let path = self.path.join(Step::Key(key));
        self.findings.problems.borrow_mut().push(path.problem("nothing".to_owned(), expected.to_owned()));
    }

    /// Reports every key that was not asked for. Call it when all keys have been, before leaving early.
    pub fn close(self) {
        for (key, node) in self.entries {
            if self.known.contains(&&**key) {
                continue;
            }
            let field = self.field(key, node);
            if LATER.contains(&&**key) {
                field.reject_unbuilt(&format!("`{key}`"));
            } else if let Some(near) = self.known.iter().find(|known| is_near(key, known)) {
                field.report("an unknown key", format!("a known one: did you mean `{near}`?"));
            } else {
                field.report("an unknown key", one_of(self.known.iter().copied()));
            }
        }
    }

    fn field(&self, key: &'a str, node: &'a Node<'a>) -> Field<'a> {
        Field { node, path: self.path.join(Step::Key(key)), findings: self.findings }
    }

    fn report_duplicates(&self) {
        let mut keys: Vec<&'a str> = self.entries.iter().map(|(key, _)| &**key).collect();
        keys.sort_unstable();
        for twice in keys.chunk_by(|a, b| a == b).filter(|same| same.len() > 1) {
            if let Some(key) = twice.first() {
                let path = self.path.join(Step::Key(key));
                let found = format!("the key {} times", twice.len());
                self.findings.problems.borrow_mut().push(path.problem(found, "it once".to_owned()));
            }
        }
    }
}

impl<'a> Path<'a> {
    fn join(&self, step: Step<'a>) -> Self {
        Self(Some(Rc::new((self.clone(), step))))
    }

    fn problem(&self, found: String, expected: String) -> Problem {
        Problem { path: self.to_string(), found, expected }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(here) = &self.0 else { return Ok(()) };
        let (parent, step) = &**here;
        parent.fmt(f)?;
        match step {
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) if key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !key.is_empty() => {
                write!(f, "{}{key}", if parent.0.is_some() { "." } else { "" })
            }
            Step::Key(key) => write!(f, "[\"{}\"]", show_text(key)),
        }
    }
}

/// Every item, or nothing if one is missing; in any case all are looked at.
pub(super) fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let items: Vec<Option<T>> = items.collect();
    items.into_iter().collect()
}

/// `` one of `a`, `b` ``; one word stands alone.
fn one_of<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [word] => word.clone(),
        _ => format!("one of {}", words.join(", ")),
    }
}

/// At most two letters away (Levenshtein), and less than half of the word.
fn is_near(key: &str, known: &str) -> bool {
    const FURTHEST: usize = 2;
    if key.len().abs_diff(known.len()) > FURTHEST {
        return false;
    }
    let mut row: Vec<usize> = (0..=known.len()).collect();
    for (at, written) in key.bytes().enumerate() {
        let mut next = vec![at.saturating_add(1)];
        for ((diagonal, above), meant) in row.iter().zip(row.iter().skip(1)).zip(known.bytes()) {
            let left = next.last().copied().unwrap_or_default();
            let replaced = diagonal.saturating_add(usize::from(!written.eq_ignore_ascii_case(&meant)));
            next.push(replaced.min(above.saturating_add(1)).min(left.saturating_add(1)));
        }
        row = next;
    }
    row.last().is_some_and(|distance| *distance <= FURTHEST && distance.saturating_mul(2) < known.len())
}
