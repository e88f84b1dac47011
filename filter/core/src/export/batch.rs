//! Rows that go together: framed as the collector's format wants them, plain or packed. A batch that is refused can be taken apart.

use super::gzip;
use crate::record::Frame;

/// A smaller body is sent as it is: what gzip saves would not fill another packet.
const LEAST_PACKED: usize = 4 << 10;
/// A larger one as well, which only a long prompt makes: packing it would hold up its worker for 5 ms and more.
const MOST_PACKED: usize = 512 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub body: Vec<u8>,
    pub is_gzip: bool,
    pub rows: u64,
}

impl Batch {
    /// Of the lines that `next` gives until it gives none: `None` where there is none.
    pub fn of(frame: &Frame, mut next: impl FnMut(usize) -> Option<Vec<u8>>) -> Option<Self> {
        let mut batch = Self { body: frame.head.as_bytes().to_vec(), is_gzip: false, rows: 0 };
        while let Some(line) = next(batch.body.len()) {
            if batch.rows > 0 {
                batch.body.extend_from_slice(frame.separator.as_bytes());
            }
            batch.body.extend_from_slice(&line);
            batch.rows = batch.rows.saturating_add(1);
        }
        batch.body.extend_from_slice(frame.tail.as_bytes());
        (batch.rows > 0).then_some(batch)
    }

    /// Packs it where that pays.
    pub fn packed(mut self) -> Self {
        if !self.is_gzip && (LEAST_PACKED..=MOST_PACKED).contains(&self.body.len()) {
            let packed = gzip::pack(&self.body);
            if packed.len() < self.body.len() {
                (self.body, self.is_gzip) = (packed, true);
            }
        }
        self
    }

    pub fn unpacked(mut self) -> Self {
        if self.is_gzip
            && let Some(body) = gzip::unpack(&self.body)
        {
            (self.body, self.is_gzip) = (body, false);
        }
        self
    }

    /// Its lines.
    pub fn lines(self, frame: &Frame) -> Vec<Vec<u8>> {
        let body = self.unpacked().body;
        let lines = body.get(frame.head.len()..body.len().saturating_sub(frame.tail.len())).unwrap_or_default();
        let end = frame.separator.trim_end().as_bytes();
        lines.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(end).unwrap_or(line).to_vec()).collect()
    }

    /// Two halves of a batch with more than one row.
    pub fn halves(self, frame: &Frame) -> [Option<Self>; 2] {
        let mut lines = self.lines(frame);
        let second = lines.split_off(lines.len().div_ceil(2));
        [lines, second].map(|lines| {
            let mut lines = lines.into_iter();
            Self::of(frame, |_| lines.next())
        })
    }
}
