//! What the engine asks of its host ([`Host`]: reads that must answer at once), what it is fed ([`Input`]) and what it
//! wants done ([`Effect`], [`Verdict`]). A `Host` never changes a request: effects do, applied in order after the engine
//! has returned, the verdict last.

#[cfg(any(test, feature = "fake-host"))]
pub mod fake;

use std::borrow::Cow;

use crate::headers::{Headers, Value};
pub use crate::shared::{Cas, CasMismatch, SharedData};

/// What must answer at once. Every method may be one host call (0.1 to 1 µs): ask once, and only for what is needed.
pub trait Host: SharedData {
    /// Nanoseconds since the Unix epoch. May step back.
    fn now(&self) -> u64;
    /// 64 uniformly random bits.
    fn random(&self) -> u64;
    /// An Envoy attribute or filter state, raw; `None` where it does not exist.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;
    /// One request header's value.
    fn request_header(&self, name: &str) -> Option<Vec<u8>>;
    /// All request headers, in one call.
    fn request_headers(&self) -> Headers;
    /// The whole buffered request body of `size` bytes.
    fn request_body(&self, size: usize) -> Vec<u8>;
    /// One response header's value.
    fn response_header(&self, name: &str) -> Option<Vec<u8>>;
    /// All response headers, in one call.
    fn response_headers(&self) -> Headers;
    /// The piece of the response body, of `size` bytes, that the callback is about.
    fn response_chunk(&self, size: usize) -> Vec<u8>;
    /// The message of `size` bytes that answers an [`Effect::Ask`].
    fn answer(&self, size: usize) -> Vec<u8>;
}

/// What happened to the stream. Bodies and headers are not in here: the engine reads what it needs through [`Host`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// `end`: there is no body.
    RequestHeaders {
        end: bool,
    },
    /// `size`: bytes buffered so far, while the stream is paused.
    RequestBody {
        size: usize,
        end: bool,
    },
    /// Trailers finish the body.
    RequestTrailers,
    ResponseHeaders {
        end: bool,
    },
    /// `size`: bytes of this piece.
    ResponseBody {
        size: usize,
        end: bool,
    },
    ResponseTrailers,
    /// What came of an [`Effect::Ask`]: a gRPC status, and with 0 a message of `size` bytes.
    Answer {
        status: u32,
        size: usize,
    },
    /// Envoy's access log phase: the exchange is complete.
    Log,
    /// The stream is gone. Comes after `Log`, or instead of it.
    Done,
}

/// What to do with the stream after the effects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    #[default]
    Continue,
    Pause,
}

/// A change that the host shall make, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    SetRequestHeader(Cow<'static, str>, Value),
    RemoveRequestHeader(Cow<'static, str>),
    /// All of them: only in the callback that is about them.
    RemoveRequestTrailers,
    /// Replaces the whole buffered request body. `content-length` is an effect of its own.
    ReplaceRequestBody(Vec<u8>),
    SetResponseHeader(Cow<'static, str>, Value),
    RemoveResponseHeader(Cow<'static, str>),
    /// Replaces the piece of the response body that the callback is about.
    ReplaceResponseChunk(Vec<u8>),
    /// Sets filter state `wasm.<key>`, which the attempt role and access logs read.
    SetState(&'static str, Vec<u8>),
    /// Sets filter state `wasm.<key>` to the number of the context that runs, for [`Effect::InContext`].
    NameContext(&'static str),
    /// Has these done as if the context of that number ran, where it is still there.
    InContext(u32, Vec<Effect>),
    /// Envoy looks the route up anew, by headers that a filter behind this one has set.
    ForgetRoute,
    /// Adds to a counter.
    Count(crate::metrics::Metric, u64),
    /// Moves a gauge.
    Move(crate::metrics::Metric, i64),
    /// Writes a line to Envoy's log, as a warning.
    Warn(String),
    /// Asks the engine of `limits_store.rls` for a verdict: its `RateLimitRequest`. The stream waits, and
    /// [`Input::Answer`] follows, at the latest after the policy's `timeout_ms`.
    Ask(Vec<u8>),
    /// Tells the engine what was used. Nobody waits.
    Report(crate::limits::rls::Report),
    /// Appends a usage row to the outbox.
    Record(crate::record::Row),
    /// Answers the client. At most once, always the last effect.
    Reply(crate::reply::Reply),
}

/// The effects of one input, and the verdict: by default nothing, and on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    pub effects: Vec<Effect>,
    pub verdict: Verdict,
}
