//! What the two roles tell each other through filter state: the plan one way, failed attempts the other. Written and read
//! by the same binary, in a few bytes; anything else in there is as good as nothing.

use std::ops::Range;

use crate::{api::Api, provider::Call};

/// What the attempt role needs to send the request elsewhere. By default there is nowhere to send it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// Whether the first attempt is the attempt role's too, since it is to be translated or has no token: else the gateway role has
    /// made its request.
    pub translates_first: bool,
    /// Whether every attempt makes its request of what the client sent: the gateway role could not ([`crate::unpaused`]).
    pub is_whole: bool,
    pub call: Call,
    /// [`crate::config::Config::hash`]: indices mean nothing in another configuration.
    pub config: String,
    pub endpoint: usize,
    /// In the order of attempts.
    pub entities: Vec<usize>,
    /// Where the value of `model` stands in the primary's body.
    pub model_range: Range<usize>,
}

impl Default for Handover {
    fn default() -> Self {
        Self {
            translates_first: false,
            is_whole: false,
            call: Call { api: Api::Chat, stream: false },
            config: String::new(),
            endpoint: 0,
            entities: Vec::new(),
            model_range: 0..0,
        }
    }
}

impl Handover {
    /// Words, split by spaces: the API's letter with `s` for a stream, `w` for whole requests and `t` where the first attempt is
    /// translated, the hash, then numbers.
    pub fn write(&self) -> Vec<u8> {
        let Range { start, end } = &self.model_range;
        let letter = self.call.api.letter();
        let stream = if self.call.stream { "s" } else { "" };
        let whole = if self.is_whole { "w" } else { "" };
        let translates = if self.translates_first { "t" } else { "" };
        let mut words = format!("{letter}{stream}{whole}{translates} {} {start} {end} {}", self.config, self.endpoint);
        for entity in &self.entities {
            words.push(' ');
            words.push_str(&entity.to_string());
        }
        words.into_bytes()
    }

    /// Whether the first attempt's request is the attempt role's; of what was written, without reading the rest.
    pub fn is_first_ours(state: &[u8]) -> bool {
        state.iter().skip(1).take_while(|byte| **byte != b' ').any(|byte| matches!(byte, b't' | b'w'))
    }

    pub fn read(state: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(state).ok()?.split(' ');
        let mut letters = words.next()?.chars();
        let call = Call { api: Api::of_letter(letters.next()?)?, stream: letters.as_str().starts_with('s') };
        let translates_first = letters.as_str().ends_with('t');
        let is_whole = letters.as_str().contains('w');
        let config = words.next()?.to_owned();
        let mut numbers = words.map(|word| word.parse::<usize>().ok());
        let model_range = numbers.next()??..numbers.next()??;
        let endpoint = numbers.next()??;
        let entities = numbers.collect::<Option<_>>()?;
        Some(Self { translates_first, is_whole, call, config, endpoint, entities, model_range })
    }
}

/// One attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// 0: there was no answer.
    pub status: u16,
    pub failure: Failure,
    pub latency_ms: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The status says it.
    Status,
    Connect,
    Reset,
    /// No answer's headers within `first_byte_ms`.
    Timeout,
    /// Envoy found nobody to send it to: no route, no cluster, no host that lives.
    NotSent,
}

const NOTE_BYTES: usize = 7;

impl Note {
    pub fn write(&self, state: &mut Vec<u8>) {
        state.extend(self.status.to_le_bytes());
        state.extend(self.latency_ms.to_le_bytes());
        state.push(self.failure as u8);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (status, rest) = bytes.split_first_chunk::<2>()?;
        let (latency_ms, rest) = rest.split_first_chunk::<4>()?;
        let failure = match rest {
            [0] => Failure::Status,
            [1] => Failure::Connect,
            [2] => Failure::Reset,
            [3] => Failure::Timeout,
            [4] => Failure::NotSent,
            _ => return None,
        };
        Some(Self { status: u16::from_le_bytes(*status), latency_ms: u32::from_le_bytes(*latency_ms), failure })
    }
}

/// All notes in filter state.
pub fn read_notes(state: &[u8]) -> Vec<Note> {
    state.chunks(NOTE_BYTES).map_while(Note::read).collect()
}
