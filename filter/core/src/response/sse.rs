//! An answer that is a stream of server-sent events, as OpenAI sends them: `data: {..}` and a blank line, at the end
//! `data: [DONE]`. Bytes pass as they come. Where the client did not ask for the extra usage chunk, an event that is not
//! yet whole is held back, since it may be that chunk. A chunk costs O(chunk); an event is looked at once.

use std::ops::Range;

use super::{Piece, Read, chat::Answer};

/// A longer event is passed on unread: its memory is bounded, its bytes are not ours to lose.
const MAX_EVENT: usize = 1 << 20;

/// What ends a stream that its provider left open: an error event, and no `[DONE]`.
const CUT_OFF: &[u8] =
    b"data: {\"error\":{\"message\":\"The provider ended the stream before the answer was complete. \
Send the request again.\",\"type\":\"server_error\",\"param\":null,\"code\":\"upstream_error\"}}\n\n";

/// Bounded at [`MAX_EVENT`] and one piece.
#[derive(Debug)]
pub struct Sse {
    drop_usage: bool,
    /// The event that is not yet whole.
    partial: Vec<u8>,
    /// How much of `partial` is known to hold no event's end.
    searched: usize,
    /// Inside an event that is too long to be read.
    skipping: bool,
    terminal: Terminal,
    read: Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Terminal {
    Missing,
    Done,
    /// The provider's own error event.
    Error,
}

impl Sse {
    pub fn new(drop_usage: bool) -> Self {
        Self {
            drop_usage,
            partial: Vec::new(),
            searched: 0,
            skipping: false,
            terminal: Terminal::Missing,
            read: Read::default(),
        }
    }

    /// Takes the next piece; see [`super::Reader::push`].
    pub fn push(&mut self, piece: Vec<u8>, end: bool) -> Piece {
        let held = self.partial.len();
        let length = piece.len();
        let buffer = if held == 0 { piece } else { self.joined(&piece) };
        let (consumed, dropped) = self.read_events(&buffer, end);
        let cut_off = end && self.terminal == Terminal::Missing;
        let pass_until = if self.drop_usage { consumed } else { buffer.len() };
        // Without dropping, what was held here has passed already.
        let pass_from = if self.drop_usage { 0 } else { held };
        let same = dropped.is_empty()
            && !cut_off
            && pass_until.saturating_sub(pass_from) == length
            && (held == 0 || !self.drop_usage);
        let replaced = (!same).then(|| {
            let mut out = without(&buffer, pass_from..pass_until, &dropped);
            if cut_off {
                out.extend_from_slice(if ends_in_event(&buffer) { b"" } else { b"\n\n" });
                out.extend_from_slice(CUT_OFF);
            }
            out
        });
        self.keep(buffer, consumed);
        replaced.map_or(Piece::Same, Piece::Replaced)
    }

    pub fn finish(self) -> Read {
        Read { complete: self.terminal == Terminal::Done, ..self.read }
    }

    fn joined(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut joined = std::mem::take(&mut self.partial);
        joined.extend_from_slice(piece);
        joined
    }

    /// Reads every whole event: how far it came, and which ranges must not pass. At the `end` the rest is an event too.
    fn read_events(&mut self, buffer: &[u8], end: bool) -> (usize, Vec<Range<usize>>) {
        let mut dropped = Vec::new();
        let mut start = 0;
        let mut from = self.searched;
        while let Some(next) = event_end(buffer, from) {
            if self.read_event(buffer.get(start..next).unwrap_or_default()) {
                dropped.push(start..next);
            }
            (start, from) = (next, next);
        }
        let rest = buffer.len().saturating_sub(start);
        if end || rest > MAX_EVENT {
            self.skipping |= !end;
            if end && rest > 0 && self.read_event(buffer.get(start..).unwrap_or_default()) {
                dropped.push(start..buffer.len());
            }
            start = buffer.len();
        }
        (start, dropped)
    }

    /// Whether the event must not pass.
    fn read_event(&mut self, event: &[u8]) -> bool {
        if std::mem::take(&mut self.skipping) {
            return false;
        }
        let mut drop = false;
        for line in event.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            drop |= self.read_data(data.trim_ascii());
        }
        drop
    }

    fn read_data(&mut self, data: &[u8]) -> bool {
        if data == b"[DONE]" {
            self.terminal = Terminal::Done;
            return false;
        }
        let Ok(mut answer) = serde_json::from_slice::<Answer>(data) else { return false };
        if answer.is_error() {
            self.terminal = Terminal::Error;
        }
        self.read.usage = answer.usage().or(self.read.usage);
        self.read.characters = self.read.characters.saturating_add(answer.characters());
        if let Some(reason) = answer.finish_reason() {
            self.read.finish_reason = Some(reason);
        }
        self.drop_usage && answer.is_usage_alone()
    }

    /// Keeps what no event's end has been found for.
    fn keep(&mut self, mut buffer: Vec<u8>, consumed: usize) {
        if consumed >= buffer.len() {
            self.searched = 0;
            return;
        }
        buffer.drain(..consumed);
        // An event's end may be cut in two: its first bytes are searched again.
        self.searched = buffer.len().saturating_sub(4);
        self.partial = buffer;
    }
}

/// Behind the next blank line from `from` on: two line ends in a row, each of which is `\n`, `\r\n` or `\r`.
pub(crate) fn event_end(buffer: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let found = memchr::memchr2(b'\n', b'\r', buffer.get(at..)?)?;
        let first = at.saturating_add(found);
        let behind = line_end(buffer, first)?;
        if let Some(end) = line_end(buffer, behind) {
            return Some(end);
        }
        at = behind;
    }
}

/// Behind the line end that stands at `at`, if one does. A `\r` that comes last may be half of one: not yet.
fn line_end(buffer: &[u8], at: usize) -> Option<usize> {
    match (buffer.get(at), buffer.get(at.saturating_add(1))) {
        (Some(b'\r'), Some(b'\n')) => Some(at.saturating_add(2)),
        (Some(b'\r'), Some(_)) | (Some(b'\n'), _) => Some(at.saturating_add(1)),
        _ => None,
    }
}

fn ends_in_event(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes.ends_with(b"\n\n") || bytes.ends_with(b"\r\n\r\n")
}

/// The bytes of `range`, but for what is dropped.
fn without(bytes: &[u8], range: Range<usize>, dropped: &[Range<usize>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(range.len().saturating_add(CUT_OFF.len()));
    let mut at = range.start;
    for gap in dropped {
        out.extend_from_slice(bytes.get(at..gap.start).unwrap_or_default());
        at = gap.end;
    }
    out.extend_from_slice(bytes.get(at..range.end).unwrap_or_default());
    out
}
