//! What the mock remembers of the requests it got: how many, and (with `--keep N`) the last N as they were received. In come
//! requests, out comes JSON for tests to read. Without `--keep` nothing is copied, hashed or locked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use hyper::http::request::Parts;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Bodies up to this many bytes are kept as text; longer ones by length and hash alone.
const LONGEST_TEXT: usize = 65_536;

#[derive(Default)]
pub struct Journal {
    keep: usize,
    count: AtomicU64,
    last: Mutex<VecDeque<Received>>,
}

/// A request as it was received. Header names are in lower case (hyper's), in order, those of one name side by side.
#[derive(Clone, Debug, Serialize)]
pub struct Received {
    pub time: String,
    pub method: String,
    /// With the query, as it stood in the request line.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body_length: usize,
    pub body_sha256: String,
    /// Absent in an echo; null when the body is over 64 KiB or not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Option<String>>,
}

impl Received {
    /// The request but for its body's text.
    pub fn new(parts: &Parts, body: &Bytes) -> Self {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        Self {
            time: humantime::format_rfc3339_micros(SystemTime::now()).to_string(),
            method: parts.method.to_string(),
            path: parts.uri.path_and_query().map_or("", |path| path.as_str()).to_owned(),
            headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            body_length: body.len(),
            body_sha256: Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect(),
            body: None,
        }
    }
}

impl Journal {
    pub fn new(keep: usize) -> Self {
        Self { keep, ..Self::default() }
    }

    /// How many requests are kept at most.
    pub fn keep(&self) -> usize {
        self.keep
    }

    pub fn enter(&self, parts: &Parts, body: &Bytes) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.keep == 0 {
            return;
        }
        let text = (body.len() <= LONGEST_TEXT).then(|| String::from_utf8(body.to_vec()).ok()).flatten();
        let received = Received { body: Some(text), ..Received::new(parts, body) };
        let mut last = self.locked();
        while last.len() >= self.keep {
            last.pop_front();
        }
        last.push_back(received);
    }

    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The last `n` requests kept, the newest last.
    pub fn last(&self, n: usize) -> Vec<Received> {
        let last = self.locked();
        last.iter().skip(last.len().saturating_sub(n)).cloned().collect()
    }

    pub fn reset(&self) {
        self.count.store(0, Ordering::Relaxed);
        self.locked().clear();
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<Received>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(journal: &Journal, body: &[u8]) {
        let request = hyper::Request::post("/v1/x?y=1").header("B", "2").header("a", "1").body(()).unwrap();
        journal.enter(&request.into_parts().0, &Bytes::copy_from_slice(body));
    }

    #[test]
    fn the_ring_holds_the_last_requests() {
        let journal = Journal::new(2);
        for body in ["one", "two", "three"] {
            received(&journal, body.as_bytes());
        }
        let bodies: Vec<_> = journal.last(10).into_iter().map(|r| r.body.flatten().unwrap()).collect();
        assert_eq!((journal.count(), bodies), (3, vec!["two".to_owned(), "three".to_owned()]));
        let [last] = journal.last(1).try_into().unwrap();
        assert_eq!((last.method.as_str(), last.path.as_str(), last.body_length), ("POST", "/v1/x?y=1", 5));
        assert_eq!(last.headers, [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]);
        assert_eq!(last.body_sha256, "8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f");
        journal.reset();
        assert_eq!((journal.count(), journal.last(10).len()), (0, 0));
    }

    #[test]
    fn what_is_long_or_not_text_is_kept_by_its_hash() {
        let journal = Journal::new(2);
        received(&journal, &vec![b'x'; LONGEST_TEXT + 1]);
        received(&journal, &[0xff]);
        assert!(journal.last(2).iter().all(|r| r.body == Some(None) && r.body_sha256.len() == 64));
        let none = Journal::new(0);
        received(&none, b"one");
        assert_eq!((none.count(), none.last(1).len()), (1, 0));
    }
}
