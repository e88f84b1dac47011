//! What the two roles tell each other through filter state: the plan one way, failed attempts the other. Written and read
//! by the same binary, in a few bytes; anything else in there is as good as nothing.

use std::ops::Range;

/// What the attempt role needs to send the request elsewhere. By default there is nowhere to send it to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    /// [`crate::config::Config::hash`]: indices mean nothing in another configuration.
    pub config: String,
    pub endpoint: usize,
    /// In the order of attempts.
    pub entities: Vec<usize>,
    /// Where the value of `model` stands in the primary's body.
    pub model_range: Range<usize>,
}

impl Handover {
    /// Words, split by spaces: the hash, then numbers.
    pub fn write(&self) -> Vec<u8> {
        let Range { start, end } = &self.model_range;
        let mut words = format!("{} {start} {end} {}", self.config, self.endpoint);
        for entity in &self.entities {
            words.push(' ');
            words.push_str(&entity.to_string());
        }
        words.into_bytes()
    }

    pub fn read(state: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(state).ok()?.split(' ');
        let config = words.next()?.to_owned();
        let mut numbers = words.map(|word| word.parse::<usize>().ok());
        let model_range = numbers.next()??..numbers.next()??;
        Some(Self { config, model_range, endpoint: numbers.next()??, entities: numbers.collect::<Option<_>>()? })
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
