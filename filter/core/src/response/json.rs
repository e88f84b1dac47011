//! An answer that is one JSON document. It passes as it comes; a copy is kept up to a bound, and read at its end.

use super::{Read, Reported, chat::Answer, message, openai_response};
use crate::{
    api::Api,
    cursor::{Cursor, Kind},
    tokens::KeptText,
};

/// An answer is kept whole up to this size: chat answers are far below, large batches of embeddings may be above.
const MAX_KEPT: usize = 8 << 20;
/// Of a larger one its end is kept, where OpenAI-compatible servers put the usage.
const TAIL: usize = 8 << 10;

/// Bounded at [`MAX_KEPT`] and one piece.
#[derive(Debug)]
pub struct Json {
    api: Api,
    pub(super) kept: Vec<u8>,
    /// Whether the beginning is gone.
    is_tail: bool,
    ended: bool,
}

impl Json {
    pub fn new(api: Api) -> Self {
        Self { api, kept: Vec::new(), is_tail: false, ended: false }
    }

    pub fn push(&mut self, piece: Vec<u8>, end: bool) {
        self.ended |= end;
        if self.kept.is_empty() {
            self.kept = piece;
        } else {
            self.kept.extend_from_slice(&piece);
        }
        if self.is_tail && self.kept.len() > 2 * TAIL || self.kept.len() > MAX_KEPT {
            self.is_tail = true;
            let cut = self.kept.len().saturating_sub(TAIL);
            self.kept.drain(..cut);
            self.kept.shrink_to(2 * TAIL);
        }
    }

    pub fn finish(self) -> Read {
        if self.is_tail {
            return Read { usage: usage_in(&self.kept), complete: self.ended, ..Read::default() };
        }
        let read = match self.api {
            Api::Messages => message::whole(&self.kept),
            Api::Responses => openai_response::whole(&self.kept),
            _ => Answer::read(&self.kept).map(|mut answer| {
                let mut text = KeptText::default();
                answer.keep_text(&mut text);
                Read { usage: answer.usage, text, finish_reason: answer.finish_reason(), ..Read::default() }
            }),
        };
        read.map_or_else(Read::default, |read| Read { is_read: true, complete: self.ended, ..read })
    }
}

/// The last `"usage": {..}` of an answer whose beginning is gone.
fn usage_in(tail: &[u8]) -> Option<Reported> {
    const NAME: &[u8] = b"\"usage\"";
    let at = tail.windows(NAME.len()).rposition(|part| part == NAME)?;
    let value = tail.get(at.saturating_add(NAME.len())..)?.trim_ascii_start().strip_prefix(b":")?;
    let mut cursor = Cursor::new(value);
    (cursor.kind() == Some(Kind::Object)).then(|| Reported::read(&mut cursor))
}
