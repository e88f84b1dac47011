//! An attempt at a provider that does not speak the caller's API: the body that it gets, and its answer in the caller's
//! words. The gateway role never sees the provider's.

use crate::{
    host::{Effect, Host, Step, Verdict},
    reply::{Reply, text},
    translate::{Memo, Pair, Sent, Stream, Target, Untranslatable},
};

/// The request has gone; the answer's headers have not come.
#[derive(Debug)]
pub struct Translated {
    pub pair: Pair,
    pub memo: Memo,
    pub started_at: u64,
}

/// What becomes of an answer's body.
#[derive(Debug)]
pub enum Body {
    /// Held back by Envoy until it is whole.
    Answer { pair: Pair, memo: Memo },
    /// The same, of a provider's error.
    Error { pair: Pair, status: u16 },
    /// Nothing that can be read: the caller gets Weir's own words.
    Opaque { pair: Pair },
    /// Passes event by event.
    Stream(Box<Stream>),
    /// All of it has gone.
    Gone,
}

/// Marks the attempt role's own answer for the gateway role, which takes it off.
pub const REFUSED_HEADER: &str = "x-weir-refused";

/// A longer answer is none. Envoy's own buffer is rendered at twice `max_request_bytes`, so at 32 MiB where nothing is set.
pub const MAX_ANSWER: usize = 16 << 20;

impl Translated {
    /// Puts a whole request in the provider's words.
    ///
    /// # Errors
    ///
    /// The caller's answer where it cannot be.
    pub fn request(
        pair: Pair,
        target: &Target<'_>,
        body: &[u8],
        started_at: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<Self, Reply> {
        let Sent { body, memo } =
            pair.request(body, target, started_at / 1_000_000_000).map_err(|why| refusal(pair, &why))?;
        effects.push(Effect::SetRequestHeader("content-length".into(), text(body.len().to_string())));
        effects.push(Effect::SetRequestHeader("content-type".into(), text("application/json")));
        effects.push(Effect::ReplaceRequestBody(body));
        Ok(Self { pair, memo, started_at })
    }

    /// The answer's headers, and what will become of its body. What is no answer in a 2xx is a failure: the next entity's
    /// turn, where there is one.
    pub fn headers(self, status: u16, end: bool, host: &impl Host, effects: &mut Vec<Effect>) -> (u16, Body) {
        let Self { pair, memo, .. } = self;
        let kind = host.response_header("content-type").unwrap_or_default();
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is_packed = host.response_header("content-encoding").is_some_and(|coding| coding != b"identity");
        let is_stream = kind.eq_ignore_ascii_case(b"text/event-stream");
        let (status, body) = match status {
            200..=299 if is_packed || end => (502, Body::Opaque { pair }),
            200..=299 if is_stream => (status, Body::Stream(Box::new(pair.stream(memo)))),
            200..=299 if kind.eq_ignore_ascii_case(b"application/json") => (status, Body::Answer { pair, memo }),
            200..=299 => (502, Body::Opaque { pair }),
            _ if is_packed => (status, Body::Opaque { pair }),
            _ if end => (status, Body::Gone),
            _ => (status, Body::Error { pair, status }),
        };
        let content_type = if matches!(body, Body::Stream(_)) { "text/event-stream" } else { "application/json" };
        effects.push(Effect::SetResponseHeader("content-type".into(), text(content_type)));
        effects.push(Effect::RemoveResponseHeader("content-length".into()));
        if is_packed {
            effects.push(Effect::RemoveResponseHeader("content-encoding".into()));
        }
        if matches!(body, Body::Opaque { .. }) {
            effects.push(Effect::SetResponseHeader(":status".into(), text(status.to_string())));
        }
        (status, body)
    }
}

impl Body {
    /// One piece of the body; of what is held back, all so far. Trailers are an `end` without a piece.
    pub fn push(self, size: usize, end: bool, host: &impl Host) -> (Self, Step) {
        let replaced = |bytes| Step { effects: vec![Effect::ReplaceResponseChunk(bytes)], verdict: Verdict::Continue };
        match self {
            Self::Stream(mut stream) => {
                let piece = if size > 0 { host.response_chunk(size) } else { Vec::new() };
                let step = replaced(stream.push(&piece, end));
                (Self::Stream(stream), step)
            }
            Self::Gone => (Self::Gone, replaced(Vec::new())),
            held if !end && size <= MAX_ANSWER => (held, Step { effects: Vec::new(), verdict: Verdict::Pause }),
            Self::Answer { pair, .. } if size > MAX_ANSWER => (Self::Gone, replaced(pair.error(502, TOO_LONG))),
            Self::Answer { pair, memo } => (Self::Gone, replaced(pair.answer(&host.response_chunk(size), &memo))),
            Self::Error { pair, status } => (Self::Gone, replaced(pair.error(status, &host.response_chunk(size)))),
            Self::Opaque { pair } => (Self::Gone, replaced(pair.error(502, NO_ANSWER))),
        }
    }
}

const TOO_LONG: &[u8] = b"The model's answer is longer than the gateway can translate.";
const NO_ANSWER: &[u8] = b"The model's server sent something that is no answer. Send the request again.";

/// Goes to the caller past the router: no other provider is asked.
fn refusal(pair: Pair, why: &Untranslatable) -> Reply {
    Reply {
        status: 400,
        headers: vec![("content-type".into(), text("application/json")), (REFUSED_HEADER.into(), text("1"))],
        body: pair.refusal(why),
    }
}
