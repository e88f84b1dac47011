//! An answer that is a stream of server-sent events. Bytes pass as they come. Where an event may have to be kept from the
//! client (the extra usage chunk that it did not ask for, comments on a path of data alone), one that is not yet whole is
//! held back. A chunk costs O(chunk); an event is looked at once.

use std::ops::Range;

use super::{Filter, Piece, Read, Terminal, chat::Answer, message, openai_response};
use crate::{
    api::Api,
    translate::{events::event_end, neutral::Usage},
};

/// A longer event is passed on unread: its memory is bounded, its bytes are not ours to lose.
const MAX_EVENT: usize = 1 << 20;

/// What ends a stream that its provider left open: an error event of the client's API, and no clean end.
fn cut_off(api: Api) -> &'static [u8] {
    match api {
        Api::Messages => {
            b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"The provider ended the stream \
before the answer was complete. Send the request again.\"}}\n\n"
        }
        Api::Responses => {
            b"event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"The provider ended the stream before \
the answer was complete. Send the request again.\",\"param\":null,\"sequence_number\":0}\n\n"
        }
        _ => {
            b"data: {\"error\":{\"message\":\"The provider ended the stream before the answer was complete. \
Send the request again.\",\"type\":\"server_error\",\"param\":null,\"code\":\"upstream_error\"}}\n\n"
        }
    }
}

/// Bounded at [`MAX_EVENT`] and one piece.
#[derive(Debug)]
pub struct Sse {
    api: Api,
    filter: Filter,
    /// The event that is not yet whole.
    partial: Vec<u8>,
    /// How much of `partial` is known to hold no event's end.
    searched: usize,
    /// Inside an event that is too long to be read.
    skipping: bool,
    terminal: Option<Terminal>,
    /// Of Anthropic's first event.
    usage: Usage,
    read: Read,
}

impl Sse {
    pub fn new(api: Api, filter: Filter) -> Self {
        Self {
            api,
            filter,
            partial: Vec::new(),
            searched: 0,
            skipping: false,
            terminal: None,
            usage: Usage::default(),
            read: Read { is_read: true, ..Read::default() },
        }
    }

    /// Takes the next piece; see [`super::Reader::push`].
    pub fn push(&mut self, piece: Vec<u8>, end: bool) -> Piece {
        let held = self.partial.len();
        let length = piece.len();
        let buffer = if held == 0 { piece } else { self.joined(&piece) };
        let (consumed, dropped) = self.read_events(&buffer, end);
        let is_cut_off = end && self.terminal.is_none();
        let holds_back = self.filter.is_needed();
        let pass_until = if holds_back { consumed } else { buffer.len() };
        // Without dropping, what was held here has passed already.
        let pass_from = if holds_back { 0 } else { held };
        let same = dropped.is_empty()
            && !is_cut_off
            && pass_until.saturating_sub(pass_from) == length
            && (held == 0 || !holds_back);
        let replaced = (!same).then(|| {
            let mut out = without(&buffer, pass_from..pass_until, &dropped);
            if is_cut_off {
                out.extend_from_slice(if ends_in_event(&buffer) { b"" } else { b"\n\n" });
                out.extend_from_slice(cut_off(self.api));
            }
            out
        });
        self.keep(buffer, consumed);
        replaced.map_or(Piece::Same, Piece::Replaced)
    }

    pub fn finish(self) -> Read {
        Read { complete: self.terminal == Some(Terminal::Done), ..self.read }
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
            self.read_event(buffer, start..next, &mut dropped);
            (start, from) = (next, next);
        }
        let rest = buffer.len().saturating_sub(start);
        if end || rest > MAX_EVENT {
            self.skip(buffer.get(start..).unwrap_or_default(), end);
            if end && rest > 0 {
                self.read_event(buffer, start..buffer.len(), &mut dropped);
            }
            start = buffer.len();
        }
        (start, dropped)
    }

    /// An event is too long to be read. The last one of OpenAI's responses repeats all of the answer, so also its pictures:
    /// its name stands at its beginning.
    fn skip(&mut self, event: &[u8], end: bool) {
        self.skipping |= !end;
        let name =
            event.split(|byte| matches!(byte, b'\n' | b'\r')).next().and_then(|line| line.strip_prefix(b"event:"));
        if self.api == Api::Responses
            && let Some(b"response.completed" | b"response.incomplete") = name.map(<[u8]>::trim_ascii)
        {
            self.terminal = Some(Terminal::Done);
        }
    }

    /// Reads an event, and says what of it must not pass.
    fn read_event(&mut self, buffer: &[u8], place: Range<usize>, dropped: &mut Vec<Range<usize>>) {
        if std::mem::take(&mut self.skipping) {
            return;
        }
        let event = buffer.get(place.clone()).unwrap_or_default();
        let mut drop = self.filter.data_only;
        let mut strange = Vec::new();
        let mut at = place.start;
        for line in lines(event) {
            let next = at.saturating_add(line.len());
            match line.strip_prefix(b"data:") {
                Some(data) => drop = self.read_data(data.trim_ascii()),
                None if self.filter.data_only && !line.trim_ascii().is_empty() => strange.push(at..next),
                None => {}
            }
            at = next;
        }
        match drop {
            true => dropped.push(place),
            false => dropped.extend(strange),
        }
    }

    /// Whether the event must not pass.
    fn read_data(&mut self, data: &[u8]) -> bool {
        let terminal = match self.api {
            Api::Messages => message::event(data, &mut self.usage, &mut self.read),
            Api::Responses => openai_response::event(data, &mut self.read),
            _ => return self.read_chunk(data),
        };
        self.terminal = self.terminal.or(terminal);
        false
    }

    fn read_chunk(&mut self, data: &[u8]) -> bool {
        if data == b"[DONE]" {
            self.terminal = Some(Terminal::Done);
            return false;
        }
        let Some(mut answer) = Answer::read(data) else { return false };
        if answer.is_error {
            self.terminal = Some(Terminal::Error);
        }
        self.read.usage = answer.usage.or(self.read.usage);
        answer.keep_text(&mut self.read.text);
        if let Some(reason) = answer.finish_reason() {
            self.read.finish_reason = Some(reason);
        }
        self.filter.drop_usage && answer.is_usage_alone()
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

/// Lines, with their ends; between `\r` and `\n` stands an empty one.
fn lines(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = event;
    std::iter::from_fn(move || {
        let end = memchr::memchr2(b'\n', b'\r', rest).map_or(rest.len(), |end| end.saturating_add(1));
        let (line, behind) = rest.split_at_checked(end)?;
        rest = behind;
        (!line.is_empty()).then_some(line)
    })
}

fn ends_in_event(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes.ends_with(b"\n\n") || bytes.ends_with(b"\r\n\r\n")
}

/// The bytes of `range`, but for what is dropped.
fn without(bytes: &[u8], range: Range<usize>, dropped: &[Range<usize>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(range.len().saturating_add(256));
    let mut at = range.start;
    for gap in dropped {
        out.extend_from_slice(bytes.get(at..gap.start).unwrap_or_default());
        at = gap.end;
    }
    out.extend_from_slice(bytes.get(at..range.end).unwrap_or_default());
    out
}
