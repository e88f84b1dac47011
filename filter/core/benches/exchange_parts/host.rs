//! The fake host, its own work not counted.

use std::{cell::RefCell, collections::BTreeMap};

use weir_core::{
    headers::Headers,
    host::{Cas, CasMismatch, Host, SharedData, fake::FakeHost},
};

use super::{KEY, answered};

/// A [`FakeHost`] whose own work is not counted.
#[derive(Default)]
pub struct CountedHost {
    pub fake: FakeHost,
    calls: RefCell<BTreeMap<&'static str, u32>>,
}

impl CountedHost {
    pub fn advance(&self, nanos: u64) {
        self.fake.now.set(self.fake.now.get() + nanos);
    }

    /// What wrk and Envoy send.
    pub fn request(&self, path: &str, body: &[u8]) {
        let length = body.len().to_string();
        let bearer = format!("Bearer {KEY}");
        let pairs = [
            (":authority", "ai.example.com:8080"),
            (":path", path),
            (":method", "POST"),
            (":scheme", "http"),
            ("content-type", "application/json"),
            ("authorization", &bearer),
            ("content-length", &length),
            ("user-agent", "OpenAI/Python 1.99.0"),
            ("accept", "application/json"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "http"),
            ("x-envoy-internal", "true"),
            ("x-request-id", "3f0c4d54-5c1c-4c56-9b8b-5f0a3f0f8f11"),
        ];
        *self.fake.request_headers.borrow_mut() = headers(&pairs);
        *self.fake.request_body.borrow_mut() = body.to_vec();
        self.fake.properties.borrow_mut().clear();
    }

    pub fn response(&self, status: &str, content_type: &str) {
        let pairs = [
            (":status", status),
            ("content-type", content_type),
            ("content-length", "503"),
            ("date", "Sun, 22 Nov 2026 00:00:00 GMT"),
            ("x-ratelimit-remaining-requests", "4999"),
            ("x-ratelimit-remaining-tokens", "3999990"),
            ("x-envoy-upstream-service-time", "3"),
        ];
        *self.fake.response_headers.borrow_mut() = headers(&pairs);
        self.fake.set_property("response/code_details", b"via_upstream");
    }

    pub fn count(&self, name: &'static str) {
        *self.calls.borrow_mut().entry(name).or_default() += 1;
    }

    pub fn tally(&self, times: u32) -> impl Iterator<Item = (&'static str, f64)> {
        self.calls.take().into_iter().map(move |(name, calls)| (name, f64::from(calls) / f64::from(times)))
    }
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    Headers::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_bytes())))
}

/// Counts the call by `$name`, and lets the fake answer it.
macro_rules! call {
    ($self:ident, $name:literal, $($call:tt)*) => {
        answered(|| {
            $self.count($name);
            $self.fake.$($call)*
        })
    };
}

impl SharedData for CountedHost {
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        call!(self, "get shared data", load(key))
    }

    fn store(&self, key: &str, value: &[u8], cas: Cas) -> Result<(), CasMismatch> {
        call!(self, "set shared data", store(key, value, cas))
    }

    fn create(&self, key: &str, value: &[u8]) -> Result<(), CasMismatch> {
        call!(self, "set shared data", create(key, value))
    }
}

impl Host for CountedHost {
    fn now(&self) -> u64 {
        call!(self, "get time", now())
    }

    /// No host call: the filter has a generator of its own.
    fn random(&self) -> u64 {
        answered(|| self.fake.random())
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        call!(self, "get property", property(path))
    }

    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        call!(self, "get request header", request_header(name))
    }

    fn request_headers(&self) -> Headers {
        call!(self, "get all request headers", request_headers())
    }

    fn request_body(&self, size: usize) -> Vec<u8> {
        call!(self, "get request body", request_body(size))
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        call!(self, "get response header", response_header(name))
    }

    fn response_headers(&self) -> Headers {
        call!(self, "get all response headers", response_headers())
    }

    fn response_chunk(&self, size: usize) -> Vec<u8> {
        call!(self, "get response chunk", response_chunk(size))
    }

    fn answer(&self, size: usize) -> Vec<u8> {
        call!(self, "get callout's answer", answer(size))
    }
}
