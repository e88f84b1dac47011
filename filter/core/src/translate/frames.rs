//! Cuts a stream of `application/vnd.amazon.eventstream` into its messages. Pieces of any size go in; a message comes out when
//! it is whole and both its checksums are right. Bounded at [`MAX_EVENT`] and one piece; a message is looked at once.

use super::events::MAX_EVENT;

/// The lengths of a message and of its headers, and the checksum of both: 4 bytes each, big-endian.
const PRELUDE: usize = 12;
/// Of all that stands before it.
const CHECKSUM: usize = 4;

#[derive(Debug, Default)]
pub struct Frames {
    partial: Vec<u8>,
    /// Something was no message: what follows cannot be told apart.
    is_lost: bool,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A checksum or a length is wrong.
    Corrupt,
    TooLong,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The event's type, the exception's, or an error's code.
    pub name: &'a str,
    pub kind: Kind<'a>,
    pub payload: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    Event,
    Exception,
    /// Of the service itself, with its message; there is no payload.
    Error(&'a str),
}

impl Frames {
    /// Gives every message that is whole now to `each`.
    pub fn push(&mut self, piece: &[u8], mut each: impl FnMut(Frame<'_>)) -> Result<(), Broken> {
        if self.is_lost {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.partial);
        buffer.extend_from_slice(piece);
        let mut start = 0_usize;
        let broken = loop {
            let rest = buffer.get(start..).unwrap_or_default();
            match read(rest) {
                Ok(Some((frame, length))) => {
                    each(frame);
                    start = start.saturating_add(length);
                }
                Ok(None) => break None,
                Err(broken) => break Some(broken),
            }
        };
        if let Some(broken) = broken {
            self.is_lost = true;
            return Err(broken);
        }
        buffer.drain(..start);
        self.partial = buffer;
        Ok(())
    }
}

/// The first message, and its length; `None`: it is not whole yet.
fn read(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, Broken> {
    let Some(prelude) = bytes.first_chunk::<PRELUDE>() else { return Ok(None) };
    let (lengths, checksum) = prelude.split_at(8);
    if number(checksum) != Some(crc32(lengths)) {
        return Err(Broken::Corrupt);
    }
    let length = |at: usize| lengths.get(at..).and_then(number).and_then(|length| usize::try_from(length).ok());
    let (Some(total), Some(headers)) = (length(0), length(4)) else { return Err(Broken::Corrupt) };
    if total > MAX_EVENT {
        return Err(Broken::TooLong);
    }
    let before_checksum = total.checked_sub(CHECKSUM).ok_or(Broken::Corrupt)?;
    let headers_end = PRELUDE.checked_add(headers).filter(|end| *end <= before_checksum).ok_or(Broken::Corrupt)?;
    let Some((message, checksum)) = bytes.get(..total).and_then(|all| all.split_at_checked(before_checksum)) else {
        return Ok(None);
    };
    if number(checksum) != Some(crc32(message)) {
        return Err(Broken::Corrupt);
    }
    let headers = message.get(PRELUDE..headers_end).unwrap_or_default();
    let payload = message.get(headers_end..).unwrap_or_default();
    Ok(Some((frame(headers, payload).ok_or(Broken::Corrupt)?, total)))
}

fn frame<'a>(mut headers: &'a [u8], payload: &'a [u8]) -> Option<Frame<'a>> {
    let (mut message_type, mut name, mut message) = ("event", "", "");
    while !headers.is_empty() {
        let (key, rest) = taken::<1>(headers)?;
        let (value, rest) = value(rest)?;
        match key {
            b":message-type" => message_type = value,
            b":event-type" | b":exception-type" | b":error-code" => name = value,
            b":error-message" => message = value,
            _ => {}
        }
        headers = rest;
    }
    let kind = match message_type {
        "event" => Kind::Event,
        "exception" => Kind::Exception,
        "error" => Kind::Error(message),
        _ => return None,
    };
    Some(Frame { name, kind, payload })
}

/// A header's value where it is a text, and what stands behind it.
fn value(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let skip = |length: usize| Some(("", rest.get(length..)?));
    match kind {
        // Two booleans, then numbers of 1 to 8 bytes.
        0 | 1 => skip(0),
        2 => skip(1),
        3 => skip(2),
        4 => skip(4),
        // A number of 8 bytes, and a time.
        5 | 8 => skip(8),
        6 => taken::<2>(rest).map(|(_, rest)| ("", rest)),
        7 => {
            let (text, rest) = taken::<2>(rest)?;
            Some((std::str::from_utf8(text).ok()?, rest))
        }
        // A UUID.
        9 => skip(16),
        _ => None,
    }
}

/// As many bytes as the number of `N` bytes before them says, and the rest.
fn taken<const N: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<N>()?;
    let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

/// CRC-32 as in IEEE 802.3, four bits at a time: a table of 64 bytes, where a library's has 16 KB.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| crc >> 4 ^ TABLE.get((crc & 15) as usize).copied().unwrap_or_default();
    !bytes.iter().fold(u32::MAX, |crc, byte| step(step(crc ^ u32::from(*byte))))
}

const TABLE: [u32; 16] = table();

const fn table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut at = 0;
    while at < 16 {
        let (mut crc, mut bit) = (at as u32, 0);
        while bit < 4 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests;
