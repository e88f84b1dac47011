//! An answer that is one JSON document. It passes as it comes; a copy is kept up to a bound, and read at its end.

use super::{Read, Reported, chat::Answer, message, openai_response};
use crate::{api::Api, tokens::KeptText};

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
            _ => serde_json::from_slice::<Answer>(&self.kept).ok().map(|mut answer| {
                let mut text = KeptText::default();
                answer.keep_text(&mut text);
                let usage = answer.usage();
                Read { usage, text, finish_reason: answer.finish_reason(), ..Read::default() }
            }),
        };
        read.map_or_else(Read::default, |read| Read { is_read: true, complete: self.ended, ..read })
    }
}

/// The last `"usage": {..}` of an answer whose beginning is gone.
fn usage_in(tail: &[u8]) -> Option<Reported> {
    let text = String::from_utf8_lossy(tail);
    let (_, value) = text.rsplit_once("\"usage\"")?;
    let value = value.trim_start().strip_prefix(':')?;
    let mut values = serde_json::Deserializer::from_str(value).into_iter::<serde_json::Value>();
    let document = serde_json::json!({ "usage": values.next()?.ok()? }).to_string();
    serde_json::from_str::<Answer>(&document).ok()?.usage()
}
