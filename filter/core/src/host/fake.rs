//! A host for tests and benchmarks: maps, a settable clock, a counter of calls, and a switch that makes stores fail. It
//! also does what a step says, as Envoy would: to its own maps, so that a test can look at what came of it.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, hash_map::Entry},
};

use super::{Cas, CasMismatch, Effect, Host, SharedData};
use crate::{export::Row, headers::Headers, metrics::Metric, reply::Reply};

/// Everything that a [`Host`] answers, set by hand.
#[derive(Debug, Default)]
pub struct FakeHost {
    /// Nanoseconds since the Unix epoch.
    pub now: Cell<u64>,
    pub random: Cell<u64>,
    pub properties: RefCell<HashMap<String, Vec<u8>>>,
    pub request_headers: RefCell<Headers>,
    pub request_body: RefCell<Vec<u8>>,
    pub response_headers: RefCell<Headers>,
    pub response_chunk: RefCell<Vec<u8>>,
    pub data: RefCell<HashMap<String, (Vec<u8>, Cas)>>,
    /// Of the store done last: as Envoy's, versions count up over all keys.
    pub last_cas: Cell<Cas>,
    /// How many of the next stores lose their compare-and-swap.
    pub failing_stores: Cell<u32>,
    /// How many calls have been made, by name; those that an effect takes are in here too.
    pub calls: RefCell<HashMap<&'static str, u32>>,
    /// What effects have left: Weir's own answer, rows, counts.
    pub reply: RefCell<Option<Reply>>,
    pub rows: RefCell<Vec<Row>>,
    pub counts: RefCell<Vec<(Metric, u64)>>,
    pub moves: RefCell<Vec<(Metric, i64)>>,
    pub lines: RefCell<Vec<String>>,
    /// What an engine was asked and told, and what it answers next.
    pub asked: RefCell<Vec<Vec<u8>>>,
    pub reported: RefCell<Vec<crate::limits::rls::Report>>,
    pub answer: RefCell<Vec<u8>>,
}

impl FakeHost {
    pub fn set_property(&self, path: &str, value: &[u8]) {
        self.properties.borrow_mut().insert(path.to_owned(), value.to_vec());
    }

    /// Forgets the stream: headers, bodies, the answer, and all properties. Shared data, rows and counts stay.
    pub fn end_stream(&self) {
        self.properties.borrow_mut().clear();
        self.request_headers.take();
        self.request_body.take();
        self.response_headers.take();
        self.response_chunk.take();
        self.reply.take();
    }

    /// Does what a step says, in order.
    pub fn apply(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::SetRequestHeader(name, value) => {
                    self.called("set_request_header");
                    set(&self.request_headers, &name, Some(&value));
                }
                Effect::RemoveRequestHeader(name) => {
                    self.called("remove_request_header");
                    set(&self.request_headers, &name, None);
                }
                Effect::RemoveRequestTrailers => self.called("remove_request_trailers"),
                Effect::ReplaceRequestBody(body) => {
                    self.called("replace_request_body");
                    self.request_body.replace(body);
                }
                Effect::SetResponseHeader(name, value) => {
                    self.called("set_response_header");
                    set(&self.response_headers, &name, Some(&value));
                }
                Effect::RemoveResponseHeader(name) => {
                    self.called("remove_response_header");
                    set(&self.response_headers, &name, None);
                }
                Effect::ReplaceResponseChunk(chunk) => {
                    self.called("replace_response_chunk");
                    self.response_chunk.replace(chunk);
                }
                Effect::SetState(key, value) => {
                    self.called("set_state");
                    self.set_property(key, &value);
                }
                Effect::NameContext(key) => self.set_property(key, &CONTEXT.to_le_bytes()),
                Effect::InContext(number, effects) => {
                    assert_eq!(number, CONTEXT);
                    self.apply(effects);
                }
                Effect::ForgetRoute => self.called("forget_route"),
                Effect::Count(metric, count) => self.counts.borrow_mut().push((metric, count)),
                Effect::Move(metric, offset) => self.moves.borrow_mut().push((metric, offset)),
                Effect::Warn(line) => self.lines.borrow_mut().push(line),
                Effect::Ask(question) => {
                    self.called("ask");
                    self.asked.borrow_mut().push(question);
                }
                Effect::Report(report) => self.reported.borrow_mut().push(report),
                Effect::Record(row) => self.rows.borrow_mut().push(row),
                Effect::Reply(reply) => {
                    self.called("reply");
                    self.reply.replace(Some(reply));
                }
            }
        }
    }

    fn next_cas(&self) -> Cas {
        self.last_cas.set(self.last_cas.get().saturating_add(1));
        self.last_cas.get()
    }

    fn called(&self, name: &'static str) {
        let mut calls = self.calls.borrow_mut();
        let count = calls.entry(name).or_default();
        *count = count.saturating_add(1);
    }
}

/// The number of whatever context is asked.
const CONTEXT: u32 = 7;

/// As Envoy does: the first value of that name is replaced and the others go, or a header is added at the end.
fn set(headers: &RefCell<Headers>, name: &str, value: Option<&[u8]>) {
    let old = headers.take();
    let mut value = value;
    let mut pairs = Vec::new();
    for (n, v) in old.iter() {
        if n != name {
            pairs.push((n, v));
        } else if let Some(value) = value.take() {
            pairs.push((n, value));
        }
    }
    pairs.extend(value.map(|value| (name, value)));
    headers.replace(Headers::from_pairs(pairs));
}

impl SharedData for FakeHost {
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        self.called("load");
        self.data.borrow().get(key).cloned()
    }

    fn store(&self, key: &str, value: &[u8], cas: Cas) -> Result<(), CasMismatch> {
        self.called("store");
        if let Some(left) = self.failing_stores.get().checked_sub(1) {
            self.failing_stores.set(left);
            return Err(CasMismatch);
        }
        match self.data.borrow_mut().get_mut(key) {
            Some((stored, version)) if *version == cas => {
                *stored = value.to_vec();
                *version = self.next_cas();
                Ok(())
            }
            _ => Err(CasMismatch),
        }
    }

    fn create(&self, key: &str, value: &[u8]) -> Result<(), CasMismatch> {
        self.called("store");
        if let Some(left) = self.failing_stores.get().checked_sub(1) {
            self.failing_stores.set(left);
            return Err(CasMismatch);
        }
        match self.data.borrow_mut().entry(key.to_owned()) {
            Entry::Vacant(entry) => {
                entry.insert((value.to_vec(), self.next_cas()));
                Ok(())
            }
            Entry::Occupied(_) => Err(CasMismatch),
        }
    }
}

impl Host for FakeHost {
    fn now(&self) -> u64 {
        self.called("now");
        self.now.get()
    }

    /// A different number each time, the same ones in each run.
    fn random(&self) -> u64 {
        let next = self.random.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.random.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        self.called("property");
        self.properties.borrow().get(&path.join("/")).cloned()
    }

    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        self.called("request_header");
        self.request_headers.borrow().value(name).map(<[u8]>::to_vec)
    }

    fn request_headers(&self) -> Headers {
        self.called("request_headers");
        self.request_headers.borrow().clone()
    }

    fn request_body(&self, size: usize) -> Vec<u8> {
        self.called("request_body");
        let body = self.request_body.borrow();
        body.get(..size).unwrap_or(&body).to_vec()
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        self.called("response_header");
        self.response_headers.borrow().value(name).map(<[u8]>::to_vec)
    }

    fn response_headers(&self) -> Headers {
        self.called("response_headers");
        self.response_headers.borrow().clone()
    }

    fn response_chunk(&self, size: usize) -> Vec<u8> {
        self.called("response_chunk");
        let chunk = self.response_chunk.borrow();
        chunk.get(..size).unwrap_or(&chunk).to_vec()
    }

    fn answer(&self, _: usize) -> Vec<u8> {
        self.called("answer");
        self.answer.borrow().clone()
    }
}
