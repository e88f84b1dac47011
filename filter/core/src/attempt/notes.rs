//! What the two roles tell each other through filter state: the plan one way, failed attempts the other. Written and read
//! by the same binary, in a few bytes; anything else in there is as good as nothing.

use std::ops::Range;

use crate::{api::Api, decimal, provider::Call};

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
    /// When the primary was asked: nanoseconds since the Unix epoch.
    pub sent_at: u64,
}

/// Begins the state where the first attempt's request is the attempt role's: `weir render` makes Envoy look for it.
pub const FIRST_IS_OURS: char = '+';

/// Stands in every such state, and Envoy finds it faster than it matches an expression.
pub const IN_EVERY_PLAN: &str = " ";

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
            sent_at: 0,
        }
    }
}

impl Handover {
    /// Words, split by spaces: the API's letter, behind [`FIRST_IS_OURS`] where that is so, with `s` for a stream, `w` for whole
    /// requests and `t` where the first attempt is translated; the hash; then numbers.
    pub fn write(&self) -> Vec<u8> {
        let letters = [
            (self.translates_first || self.is_whole).then_some(FIRST_IS_OURS),
            Some(self.call.api.letter()),
            self.call.stream.then_some('s'),
            self.is_whole.then_some('w'),
            self.translates_first.then_some('t'),
        ];
        let Range { start, end } = &self.model_range;
        let numbers = [self.sent_at, *start as u64, *end as u64, self.endpoint as u64];
        let mut words = Vec::with_capacity(80);
        words.extend(letters.into_iter().flatten().map(|letter| letter as u8));
        words.push(b' ');
        words.extend_from_slice(self.config.as_bytes());
        for number in numbers.into_iter().chain(self.entities.iter().map(|entity| *entity as u64)) {
            words.push(b' ');
            decimal::push(&mut words, number);
        }
        words
    }

    /// Whether the first attempt's request is the attempt role's; of what was written, without reading the rest.
    pub fn is_first_ours(state: &[u8]) -> bool {
        state.first() == Some(&(FIRST_IS_OURS as u8))
    }

    pub fn read(state: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(state).ok()?.split(' ');
        let letters = words.next()?;
        let mut letters = letters.strip_prefix(FIRST_IS_OURS).unwrap_or(letters).chars();
        let call = Call { api: Api::of_letter(letters.next()?)?, stream: letters.as_str().starts_with('s') };
        let translates_first = letters.as_str().ends_with('t');
        let is_whole = letters.as_str().contains('w');
        let config = words.next()?.to_owned();
        let sent_at = words.next()?.parse().ok()?;
        let mut numbers = words.map(|word| word.parse::<usize>().ok());
        let model_range = numbers.next()??..numbers.next()??;
        let endpoint = numbers.next()??;
        let entities = numbers.collect::<Option<_>>()?;
        Some(Self { translates_first, is_whole, call, config, endpoint, entities, model_range, sent_at })
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

/// The namespace of dynamic metadata in which Envoy notes the `status` of an answer that is none of success.
pub const FAILED_METADATA: &str = "weir.failed";

/// What Envoy tells a later attempt of the first one, at which the attempt role was not there: its status or `-`, and how many
/// bytes have gone to its provider. `weir render` has Envoy set the header.
pub const FAILED_HEADER: &str = "x-weir-failed";

/// How the first attempt failed: `None` for anything but [`FAILED_HEADER`]'s form. `is_late`: its time had passed.
pub fn failed(header: &[u8], is_late: bool) -> Option<(u16, Failure)> {
    let (status, sent) = std::str::from_utf8(header).ok()?.split_once(' ')?;
    let sent: u64 = sent.parse().ok()?;
    Some(match status.parse() {
        Ok(status) => (status, Failure::Status),
        Err(_) if is_late => (0, Failure::Timeout),
        Err(_) if sent == 0 => (0, Failure::Connect),
        Err(_) => (0, Failure::Reset),
    })
}
