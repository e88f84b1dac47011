//! Cuts a stream of server-sent events into the data of each. Pieces of any size go in; an event comes out when it is
//! whole. Bounded at [`MAX_EVENT`] and one piece; an event is looked at once.

use std::borrow::Cow;

/// In bytes; a longer one ends the stream, since leaving it out would change the answer.
pub const MAX_EVENT: usize = 1 << 20;

#[derive(Debug, Default)]
pub struct Events {
    partial: Vec<u8>,
    /// How much of `partial` is known to hold no event's end.
    searched: usize,
}

/// An event is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Events {
    /// Gives the data of every event that is whole now to `each`, at the `end` also of what is left, which may be cut off:
    /// the flag says whether it is whole.
    pub fn push(&mut self, piece: &[u8], end: bool, mut each: impl FnMut(&[u8], bool)) -> Result<(), TooLong> {
        let mut buffer = std::mem::take(&mut self.partial);
        buffer.extend_from_slice(piece);
        let (mut start, mut from) = (0, self.searched);
        while let Some(next) = event_end(&buffer, from) {
            give(buffer.get(start..next).unwrap_or_default(), |data| each(data, true));
            (start, from) = (next, next);
        }
        if end {
            give(buffer.get(start..).unwrap_or_default(), |data| each(data, false));
            return Ok(());
        }
        buffer.drain(..start);
        // An event's end may be cut in two: its first bytes are searched again.
        self.searched = buffer.len().saturating_sub(4);
        self.partial = buffer;
        if self.partial.len() > MAX_EVENT { Err(TooLong) } else { Ok(()) }
    }
}

/// Comments and events without data say nothing.
fn give(event: &[u8], mut each: impl FnMut(&[u8])) {
    let mut data: Option<Cow<'_, [u8]>> = None;
    for line in event.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let Some(value) = line.strip_prefix(b"data:") else { continue };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &mut data {
            None => data = Some(Cow::Borrowed(value)),
            Some(joined) => {
                let joined = joined.to_mut();
                joined.push(b'\n');
                joined.extend_from_slice(value);
            }
        }
    }
    if let Some(data) = data.filter(|data| !data.trim_ascii().is_empty()) {
        each(data.trim_ascii());
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

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let (mut events, mut found) = (Events::default(), Vec::new());
        for (at, piece) in pieces.iter().enumerate() {
            let each = |data: &[u8], _| found.push(String::from_utf8_lossy(data).into_owned());
            events.push(piece, at + 1 == pieces.len(), each).unwrap();
        }
        found
    }

    #[test]
    fn events_are_the_same_wherever_they_are_cut() {
        let stream =
            "event: a\ndata: {\"a\":\"é\"}\n\n: comment\n\ndata:{}\r\n\r\nid: 7\n\ndata: 1\ndata: 2\n\ndata: last";
        let expected = ["{\"a\":\"é\"}", "{}", "1\n2", "last"];
        for cut in 0..=stream.len() {
            let (one, two) = stream.as_bytes().split_at(cut);
            assert_eq!(read(&[one, two]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn an_endless_event_is_an_error() {
        let mut events = Events::default();
        let piece = vec![b'x'; MAX_EVENT];
        assert_eq!(events.push(&piece, false, |_, _| ()), Ok(()));
        assert_eq!(events.push(b"x", false, |_, _| ()), Err(TooLong));
    }
}
