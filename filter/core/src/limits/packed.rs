//! Many counters in one shared value: bytes in, windows by tag, bytes out. A byte for the layout's version, then for each
//! counter: period (1), last use (1), start in ms (6), tag (8), little-endian, and the charges of this period and of the one
//! before, 7 bits a byte; a 0 in a period's place is the end. Any byte string may come in: what is malformed is empty. Entries
//! that no limit knows are kept until nothing of them counts.

use std::cmp::Reverse;

use super::{Period, period::Span, window::Window};
use crate::wire::{Fields, put_varint};

/// What a counter costs beside its two numbers, of which each has a byte for 7 bits.
pub const ENTRY_BYTES: usize = 16;
const LAYOUT: u8 = 2;

/// How large a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Whatever does not fit into the largest has to go.
    pub most: usize,
    /// A value is filled up to one of these sizes.
    pub sizes: &'static [usize],
}

/// The counters of one key, as loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    entries: Vec<Entry>,
    mended: bool,
    evicted: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    tag: u64,
    window: Window,
    /// When it was last charged, in 1/255 of a period after `window.start_ms`, rounded up.
    last_use: u8,
    period: u8,
    /// Changed since it was loaded: it must not go for others.
    is_fresh: bool,
}

impl Packed {
    pub fn read(bytes: &[u8], now_ms: u64) -> Self {
        let mut packed = Self::default();
        let Some((&LAYOUT, mut rest)) = bytes.split_first() else { return packed };
        packed.entries.reserve_exact((rest.len() / (ENTRY_BYTES + 2)).saturating_add(1));
        while rest.first().is_some_and(|period| *period != 0) {
            let Some((mut entry, behind)) = Entry::read(rest) else { return Self::default() };
            let window = entry.window.rebased(now_ms, entry.span());
            packed.mended |= window != entry.window;
            entry.window = window;
            packed.entries.push(entry);
            rest = behind;
        }
        packed
    }

    /// Without what has expired. What does not fit goes: those that have been idle longest, and none that was charged since.
    pub fn write(&mut self, now_ms: u64, room: Room) -> Vec<u8> {
        self.drop_expired(now_ms);
        self.make_room(now_ms, room.most);
        let length = self.length();
        let size = room.sizes.iter().copied().find(|size| *size >= length).unwrap_or(length);
        let mut bytes = Vec::with_capacity(size);
        bytes.push(LAYOUT);
        self.entries.iter().for_each(|entry| entry.write(&mut bytes));
        bytes.resize(size, 0);
        bytes
    }

    fn length(&self) -> usize {
        self.entries.iter().map(Entry::length).fold(1, usize::saturating_add)
    }

    /// How many counters there are, expired ones too.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether a window began in a far future and was made to begin now: worth storing even where nothing is charged.
    pub fn mended(&self) -> bool {
        self.mended
    }

    /// How many counters that still counted had to go for others.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// An unused window where there is no such counter.
    pub fn window(&self, tag: u64) -> Window {
        self.entries.iter().find(|entry| entry.tag == tag).map(|entry| entry.window).unwrap_or_default()
    }

    /// Adds to a counter, making it where it is absent.
    pub fn charge(&mut self, tag: u64, period: Period, now_ms: u64, amount: u64) {
        let at = self.entries.iter().position(|entry| entry.tag == tag);
        let before = at.and_then(|at| self.entries.get(at)).map(|entry| entry.window).unwrap_or_default();
        let window = before.charged(now_ms, period, amount);
        let last_use = last_use(window, now_ms, period.into());
        match at.and_then(|at| self.entries.get_mut(at)) {
            Some(entry) => *entry = Entry { window, last_use, is_fresh: true, ..*entry },
            None => self.entries.push(Entry { tag, window, last_use, period: code(period), is_fresh: true }),
        }
    }

    /// Puts `actual` in the place of what was reserved in the period that began at `start_ms`, while that still counts.
    pub fn true_up(&mut self, tag: u64, period: Period, start_ms: u64, reserved: u64, actual: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.tag == tag) {
            entry.window = entry.window.trued_up(start_ms, period, reserved, actual);
            entry.is_fresh = true;
        }
    }

    pub fn drop_expired(&mut self, now_ms: u64) {
        self.entries.retain(|entry| !entry.window.expired(now_ms, entry.span()));
    }

    fn make_room(&mut self, now_ms: u64, most: usize) {
        let mut length = self.length();
        while length > most {
            // Of those idle equally long, the one that came first.
            let others = self.entries.iter().enumerate().filter(|(_, entry)| !entry.is_fresh);
            let Some((_, Reverse(longest))) = others.map(|(at, entry)| (entry.idle_ms(now_ms), Reverse(at))).max()
            else {
                return;
            };
            length = length.saturating_sub(self.entries.remove(longest).length());
            self.evicted = self.evicted.saturating_add(1);
        }
    }
}

impl Entry {
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, numbers) = bytes.split_first_chunk::<ENTRY_BYTES>()?;
        let [period, last_use, s0, s1, s2, s3, s4, s5, tag @ ..] = *head;
        let mut numbers = Fields(numbers);
        let (current, previous) = (numbers.varint()?, numbers.varint()?);
        let start_ms = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, 0, 0]);
        let window = Window { start_ms, current, previous };
        Some((Self { tag: u64::from_le_bytes(tag), window, last_use, period, is_fresh: false }, numbers.0))
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let [s0, s1, s2, s3, s4, s5, ..] = self.window.start_ms.min(MAX_START).to_le_bytes();
        bytes.extend_from_slice(&[self.period, self.last_use, s0, s1, s2, s3, s4, s5]);
        bytes.extend_from_slice(&self.tag.to_le_bytes());
        put_varint(bytes, self.window.current);
        put_varint(bytes, self.window.previous);
    }

    fn length(&self) -> usize {
        let bytes = |number: u64| (u64::BITS.saturating_sub(number.leading_zeros())).div_ceil(7).max(1) as usize;
        ENTRY_BYTES + bytes(self.window.current) + bytes(self.window.previous)
    }

    /// By the entry's own word: its limit may be unknown here.
    #[inline]
    fn span(&self) -> Span {
        match self.period {
            1 => Period::Second.into(),
            2 => Period::Minute.into(),
            3 => Period::Hour.into(),
            4 => Span::Day,
            5 => Span::Month,
            // A newer Weir's: kept as long as the longest period there is.
            _ => Span::Floating(Period::Month.millis()),
        }
    }

    fn idle_ms(&self, now_ms: u64) -> u64 {
        let after = self.span().length(self.window.start_ms).saturating_mul(u64::from(self.last_use)) / 255;
        now_ms.saturating_sub(self.window.start_ms.saturating_add(after))
    }
}

/// 48 bits of milliseconds last until the year 10889.
const MAX_START: u64 = (1 << 48) - 1;

/// Never reuse a number: values outlive builds.
fn code(period: Period) -> u8 {
    match period {
        Period::Second => 1,
        Period::Minute => 2,
        Period::Hour => 3,
        Period::Day => 4,
        Period::Month => 5,
    }
}

fn last_use(window: Window, now_ms: u64, span: Span) -> u8 {
    let elapsed = now_ms.saturating_sub(window.start_ms).saturating_mul(255);
    u8::try_from(elapsed.div_ceil(span.length(window.start_ms))).unwrap_or(u8::MAX)
}
