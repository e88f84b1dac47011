//! Many counters in one shared value: bytes in, windows by tag, bytes out. A byte for the layout's version, then one
//! entry of 32 bytes for each counter, little-endian: tag (8), start in ms (6), last use (1), period (1), current (8),
//! previous (8). Any byte string may come in: what is malformed is empty. Entries that no limit knows are kept until
//! nothing of them counts.

use super::{Period, window::Window};

/// What one counter costs.
pub const ENTRY_BYTES: usize = 32;
const LAYOUT: u8 = 1;
/// A value without counters. Not empty: a host may show an empty value as an absent one.
pub const EMPTY: &[u8] = &[LAYOUT];

/// The counters of one key, as loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    entries: Vec<Entry>,
    mended: bool,
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
            let window = entry.window.rebased(now_ms, entry.length_ms());
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

    /// An unused window where there is no such counter.
    pub fn window(&self, tag: u64) -> Window {
        self.entries.iter().find(|entry| entry.tag == tag).map(|entry| entry.window).unwrap_or_default()
    }

    /// Adds to a counter, making it where it is absent. Where `capacity` counters are held already, the expired ones go,
    /// and if there are none the one that has been idle longest.
    pub fn charge(&mut self, tag: u64, period: Period, now_ms: u64, amount: u64, capacity: usize) {
        let charged = |window: Window| window.charged(now_ms, period.millis(), amount);
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.tag == tag) {
            entry.window = charged(entry.window);
            entry.last_use = last_use(entry.window, now_ms, period.millis());
            return;
        }
        self.make_room(now_ms, capacity);
        let window = charged(Window::default());
        self.entries.push(Entry { tag, window, last_use: 0, period: code(period) });
    }

    /// Takes from the period that began at `start_ms`, while that still counts.
    pub fn give_back(&mut self, tag: u64, period: Period, start_ms: u64, amount: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.tag == tag) {
            entry.window = entry.window.given_back(start_ms, period.millis(), amount);
        }
    }

    pub fn drop_expired(&mut self, now_ms: u64) {
        self.entries.retain(|entry| !entry.window.expired(now_ms, entry.length_ms()));
    }

    fn make_room(&mut self, now_ms: u64, capacity: usize) {
        if self.entries.len() < capacity {
            return;
        }
        self.drop_expired(now_ms);
        let excess = self.entries.len().saturating_add(1).saturating_sub(capacity);
        if excess > 0 {
            // Stable: of those idle equally long, the ones that came first go first.
            self.entries.sort_by_key(|entry| std::cmp::Reverse(entry.idle_ms(now_ms)));
            self.entries.drain(..excess.min(self.entries.len()));
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
    fn length_ms(&self) -> u64 {
        match self.period {
            1 => Period::Second.millis(),
            2 => Period::Minute.millis(),
            3 => Period::Hour.millis(),
            // A newer Weir's: kept as long as the longest period there is, a month.
            _ => 31 * 24 * 3_600_000,
        }
    }

    fn idle_ms(&self, now_ms: u64) -> u64 {
        let after = self.length_ms().saturating_mul(u64::from(self.last_use)) / 255;
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
    }
}

fn last_use(window: Window, now_ms: u64, length_ms: u64) -> u8 {
    let elapsed = now_ms.saturating_sub(window.start_ms).saturating_mul(255);
    u8::try_from(elapsed.div_ceil(length_ms.max(1))).unwrap_or(u8::MAX)
}
