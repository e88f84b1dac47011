//! Many counters in one shared value: bytes in, windows by tag, bytes out. A byte for the layout's version, then one
//! entry of 32 bytes for each counter, little-endian: tag (8), start in ms (6), last use (1), period (1), current (8),
//! previous (8). Any byte string may come in: what is malformed is empty. Entries that no limit knows are kept until
//! nothing of them counts.

use std::cmp::Reverse;

use super::{Period, period::Span, window::Window};

/// What one counter costs.
pub const ENTRY_BYTES: usize = 32;
const LAYOUT: u8 = 1;

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
}

impl Packed {
    pub fn read(bytes: &[u8], now_ms: u64) -> Self {
        let mut packed = Self::default();
        let Some((&LAYOUT, entries)) = bytes.split_first() else { return packed };
        let (entries, []) = entries.as_chunks::<ENTRY_BYTES>() else { return packed };
        packed.entries.reserve_exact(entries.len().saturating_add(1));
        for bytes in entries {
            let mut entry = Entry::read(bytes);
            let window = entry.window.rebased(now_ms, entry.span());
            packed.mended |= window != entry.window;
            entry.window = window;
            packed.entries.push(entry);
        }
        packed
    }

    /// Without what has expired.
    pub fn write(mut self, now_ms: u64) -> Vec<u8> {
        self.drop_expired(now_ms);
        let mut bytes = Vec::with_capacity(self.entries.len().saturating_mul(ENTRY_BYTES).saturating_add(1));
        bytes.push(LAYOUT);
        for entry in &self.entries {
            bytes.extend_from_slice(&entry.write());
        }
        bytes
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

    /// Adds to a counter, making it where it is absent. Where `capacity` counters are held already, the expired ones go,
    /// and if there are none the one that has been idle longest.
    pub fn charge(&mut self, tag: u64, period: Period, now_ms: u64, amount: u64, capacity: usize) {
        let charged = |window: Window| window.charged(now_ms, period, amount);
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.tag == tag) {
            entry.window = charged(entry.window);
            entry.last_use = last_use(entry.window, now_ms, period.into());
            return;
        }
        self.make_room(now_ms, capacity);
        let window = charged(Window::default());
        let last_use = last_use(window, now_ms, period.into());
        self.entries.push(Entry { tag, window, last_use, period: code(period) });
    }

    /// Puts `actual` in the place of what was reserved in the period that began at `start_ms`, while that still counts.
    pub fn true_up(&mut self, tag: u64, period: Period, start_ms: u64, reserved: u64, actual: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.tag == tag) {
            entry.window = entry.window.trued_up(start_ms, period, reserved, actual);
        }
    }

    pub fn drop_expired(&mut self, now_ms: u64) {
        self.entries.retain(|entry| !entry.window.expired(now_ms, entry.span()));
    }

    fn make_room(&mut self, now_ms: u64, capacity: usize) {
        if self.entries.len() < capacity {
            return;
        }
        self.drop_expired(now_ms);
        // More than one only where an older build had room for more.
        while self.entries.len() >= capacity.max(1) {
            // Of those idle equally long, the one that came first.
            let idle = self.entries.iter().enumerate().map(|(at, entry)| (entry.idle_ms(now_ms), Reverse(at)));
            let Some((_, Reverse(longest))) = idle.max() else { return };
            self.entries.remove(longest);
            self.evicted = self.evicted.saturating_add(1);
        }
    }
}

impl Entry {
    fn read(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let [tag, start, current, previous] = [0, 8, 16, 24].map(|at| {
            let word = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
            word.map_or(0, |word| u64::from_le_bytes(*word))
        });
        let [.., last_use, period] = start.to_le_bytes();
        let window = Window { start_ms: start & START_MASK, current, previous };
        Self { tag, window, last_use, period }
    }

    fn write(&self) -> [u8; ENTRY_BYTES] {
        let [s0, s1, s2, s3, s4, s5, ..] = self.window.start_ms.min(START_MASK).to_le_bytes();
        let start = [s0, s1, s2, s3, s4, s5, self.last_use, self.period];
        let words =
            [self.tag.to_le_bytes(), start, self.window.current.to_le_bytes(), self.window.previous.to_le_bytes()];
        let mut bytes = [0; ENTRY_BYTES];
        for (to, from) in bytes.iter_mut().zip(words.as_flattened()) {
            *to = *from;
        }
        bytes
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
const START_MASK: u64 = (1 << 48) - 1;

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
