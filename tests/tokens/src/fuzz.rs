//! Strings that a tokenizer might get wrong, from a seed: the same ones whenever they are asked for.

/// Strings of a fuzz run.
pub const STRINGS: usize = 200_000;

/// Fragments between which the regular expression decides.
const FRAGMENTS: &[&str] = &[
    " ",
    "  ",
    "   ",
    "\n",
    "\r\n",
    "\n\n",
    "\t",
    " \n",
    "\n ",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{3000}",
    "\u{200b}",
    "\0",
    "'s",
    "'S",
    "'t",
    "'re",
    "'RE",
    "'ve",
    "'m",
    "'ll",
    "'Ll",
    "'d",
    "'ſ",
    "'",
    "''",
    "'x",
    "’s",
    "the",
    " the",
    "The",
    " THE",
    "word",
    "Word",
    "WORD",
    "wORD",
    "McDonald",
    "iPhone",
    "HTTPServer",
    "ß",
    "Straße",
    "ÀÉ",
    "éà",
    "Dž",
    "dž",
    "ǅ",
    "ʰ",
    "ª",
    "中",
    "文字",
    "かな",
    "カナ",
    "한국",
    "ไทย",
    "हिन्दी",
    "العربية",
    "Ελληνικά",
    "Русский",
    "e\u{301}",
    "\u{301}",
    "\u{301}\u{301}",
    "\u{20dd}",
    "1",
    "12",
    "123",
    "1234567",
    "٣",
    "Ⅷ",
    "½",
    "²",
    "０",
    "!",
    "!!",
    "...",
    "--",
    "==",
    "/",
    "//",
    "/\n",
    "!\n\n",
    "://",
    "https://",
    "#",
    "{",
    "}",
    "\"",
    "\\",
    "\\n",
    "();",
    "_",
    "__init__",
    "<|endoftext|>",
    "😀",
    "👨‍👩‍👧",
    "🇩🇪",
    "\u{fffd}",
    "\u{feff}",
    "\u{e000}",
    "\u{10ffff}",
    "㍿",
    "\u{1d400}",
    "\u{1d7d8}",
    "A",
    "a",
    "B",
    "z",
    "Z",
    "9",
];

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn character(&mut self) -> char {
        let (from, to) = match self.below(12) {
            0..=3 => (0x20, 0x7f),
            4 => (0, 0x20),
            5 => (0x80, 0x250),
            6 => (0x250, 0x800),
            7 => (0x800, 0x2000),
            8 => (0x2000, 0x3100),
            9 => (0x3400, 0xa000),
            10 => (0xa000, 0x1_0000),
            _ => (0x1_0000, 0x11_0000),
        };
        char::from_u32((from + self.below(to - from)) as u32).unwrap_or('\u{fffd}')
    }
}

/// The string of a number: fragments, single characters and repetitions, mixed.
pub fn string(number: u64) -> String {
    let mut random = Random(number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
    let mut text = String::new();
    let kind = random.below(8);
    for _ in 0..1 + random.below(24) {
        match (kind, random.below(8)) {
            (0, _) | (_, 0) => text.push(random.character()),
            (1, 1..=3) | (_, 1) => {
                let character = random.character();
                text.extend((0..random.below(40)).map(|_| character));
            }
            _ => text.push_str(FRAGMENTS[random.below(FRAGMENTS.len() as u64) as usize]),
        }
    }
    text
}

/// A text that holds each of 64 code points in every context that its class could matter in; empty for surrogates.
pub fn characters(block: u32) -> String {
    let mut text = String::new();
    for c in (block * 64..block * 64 + 64).filter_map(char::from_u32) {
        text.push_str(&format!("{c}a{c}A{c}1{c}{c} {c}'s{c}\n{c}B{c}b 1{c} "));
    }
    text
}

pub const BLOCKS: u32 = 0x11_0000 / 64;
