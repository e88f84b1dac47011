//! The frames of a stream: a protocol's events in, the bytes of each event out, as server-sent events or as AWS's binary event
//! stream. Faults that concern what is said (no end, broken JSON, half an event) are made here; when the bytes leave is
//! `script`'s matter.

use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;

use super::behaviour::Behaviour;

/// How events are told apart on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `data:` lines, and `event:` where the event has a name.
    Sse,
    /// The same with CRLF, as Google sends it.
    SseCrlf,
    /// `application/vnd.amazon.eventstream`.
    Aws,
}

/// What an event is to a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Other,
    /// Carries a part of the text: of the last one `broken_json` leaves half.
    Content,
    /// Says that the answer is complete: `no_done` leaves it out.
    End,
    /// Says that the answer failed (on AWS an exception).
    Error,
}

/// A stream in the making.
pub struct Frames {
    framing: Framing,
    frames: Vec<(Kind, Bytes)>,
    /// The last content event: its place, its name, and where its JSON stands in the frame.
    content: Option<(usize, &'static str, Range<usize>)>,
}

impl Frames {
    pub fn new(framing: Framing) -> Self {
        Self { framing, frames: Vec::new(), content: None }
    }

    /// Adds an event of JSON. Without a name there is no `event:` line.
    pub fn push(&mut self, kind: Kind, name: &'static str, event: &impl Serialize) {
        let (frame, json) = frame(self.framing, kind, name, |bytes| {
            // Writing plain values into memory cannot fail.
            let _ = serde_json::to_writer(bytes, event);
        });
        if kind == Kind::Content {
            self.content = Some((self.frames.len(), name, json));
        }
        self.frames.push((kind, frame));
    }

    /// Adds a frame as it stands.
    pub fn push_raw(&mut self, kind: Kind, frame: &'static [u8]) {
        self.frames.push((kind, Bytes::from_static(frame)));
    }

    /// Drops all but the first `n` events.
    pub fn truncate(&mut self, n: usize) {
        self.frames.truncate(n);
        self.content = self.content.take().filter(|(at, ..)| *at < n);
    }

    /// The frames, with the faults that were ordered.
    pub fn finish(mut self, orders: &Behaviour) -> Vec<Bytes> {
        if orders.broken_json
            && let Some((at, name, json)) = &self.content
            && let Some((kind, whole)) = self.frames.get_mut(*at)
        {
            // Still a frame by itself, but its JSON is half there.
            let half = whole.slice(json.start..json.start.midpoint(json.end));
            *whole = frame(self.framing, *kind, name, |bytes| bytes.extend_from_slice(&half)).0;
        }
        if orders.no_done || orders.half_event {
            self.frames.retain(|(kind, _)| *kind != Kind::End);
        }
        if orders.half_event
            && let Some((_, last)) = self.frames.last_mut()
        {
            last.truncate(last.len() / 2);
        }
        self.frames.into_iter().map(|(_, frame)| frame).collect()
    }
}

/// One frame, and where its JSON stands in it.
fn frame(framing: Framing, kind: Kind, name: &str, write: impl FnOnce(&mut Vec<u8>)) -> (Bytes, Range<usize>) {
    let mut bytes = Vec::with_capacity(256);
    let end = match framing {
        Framing::Sse => "\n",
        Framing::SseCrlf => "\r\n",
        Framing::Aws => return aws(kind, name, write),
    };
    if !name.is_empty() {
        bytes.extend_from_slice([b"event: ", name.as_bytes(), end.as_bytes()].concat().as_slice());
    }
    bytes.extend_from_slice(b"data: ");
    let start = bytes.len();
    write(&mut bytes);
    let json = start..bytes.len();
    bytes.extend_from_slice(end.as_bytes());
    bytes.extend_from_slice(end.as_bytes());
    (bytes.into(), json)
}

/// A message of `application/vnd.amazon.eventstream`: lengths of all and of the headers, the CRC-32 of those two, headers,
/// payload, the CRC-32 of all before it; numbers are big-endian. All headers here are strings (type 7).
fn aws(kind: Kind, name: &str, write: impl FnOnce(&mut Vec<u8>)) -> (Bytes, Range<usize>) {
    let (message, event) = match kind {
        Kind::Error => ("exception", ":exception-type"),
        _ => ("event", ":event-type"),
    };
    let mut headers = Vec::with_capacity(96);
    for (key, value) in [(event, name), (":content-type", "application/json"), (":message-type", message)] {
        headers.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
        headers.extend_from_slice(key.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let mut payload = Vec::with_capacity(128);
    write(&mut payload);
    let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    // 12 bytes of prelude, 4 of the message's own checksum.
    let total = headers.len().saturating_add(payload.len()).saturating_add(16);
    let mut bytes = Vec::with_capacity(total);
    bytes.extend_from_slice(&length(total));
    bytes.extend_from_slice(&length(headers.len()));
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend_from_slice(&headers);
    let start = bytes.len();
    bytes.extend_from_slice(&payload);
    let json = start..bytes.len();
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    (bytes.into(), json)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stream(framing: Framing, orders: &str) -> Vec<u8> {
        let mut frames = Frames::new(framing);
        frames.push(Kind::Other, "start", &json!({"n": 0}));
        frames.push(Kind::Content, "text", &json!({"text": "abc"}));
        frames.push(Kind::Other, "", &json!({"n": 1}));
        frames.push_raw(Kind::End, b"data: [DONE]\n\n");
        frames.finish(&Behaviour::from_json(orders).unwrap()).concat()
    }

    #[test]
    fn server_sent_events_and_their_faults() {
        let text = |framing, orders| String::from_utf8(stream(framing, orders)).unwrap();
        let begin = "event: start\ndata: {\"n\":0}\n\nevent: text\ndata: {\"text\"";
        for (orders, rest) in [
            ("{}", ":\"abc\"}\n\ndata: {\"n\":1}\n\ndata: [DONE]\n\n"),
            (r#"{"no_done":true}"#, ":\"abc\"}\n\ndata: {\"n\":1}\n\n"),
            (r#"{"half_event":true}"#, ":\"abc\"}\n\ndata: {"),
            (r#"{"broken_json":true}"#, "\n\ndata: {\"n\":1}\n\ndata: [DONE]\n\n"),
        ] {
            let got = text(Framing::Sse, orders);
            assert_eq!(got.strip_prefix(begin), Some(rest), "{orders}: {got}");
        }
        assert!(text(Framing::SseCrlf, "{}").starts_with("event: start\r\ndata: {\"n\":0}\r\n\r\n"));
    }

    #[test]
    fn a_binary_message_to_the_byte() {
        let (bytes, json) = aws(Kind::Other, "messageStop", |bytes| bytes.extend_from_slice(b"{}"));
        assert_eq!(&bytes[json], b"{}");
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(number(0) as usize, bytes.len());
        assert_eq!(number(8), crc32fast::hash(&bytes[..8]));
        assert_eq!(number(bytes.len() - 4), crc32fast::hash(&bytes[..bytes.len() - 4]));
        assert_eq!(&bytes[12..12 + 12], b"\x0b:event-type");
        assert_eq!(number(4) as usize, bytes.len() - 18);
    }
}
