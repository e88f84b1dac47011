//! The classes of characters that o200k_base's regular expression tells apart, from a static table of two stages.
//! Characters in, classes out; bytes that are no character are [`Class::Other`], one at a time.

static TABLE: &[u8] = include_bytes!("o200k/classes.bin");
static ASCII: [Class; 128] = ascii();

/// Blocks of 128 code points each.
const BLOCKS: usize = 0x11_0000 / 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// None of the others.
    Other,
    /// `\p{Lu}\p{Lt}`
    Upper,
    /// `\p{Ll}`
    Lower,
    /// `\p{Lm}\p{Lo}`: stands where either case may.
    Letter,
    /// `\p{N}`
    Number,
    /// `\s`, but for the next
    Space,
    /// `\r\n`
    Newline,
    /// `\p{M}`: stands within words, yet is no letter.
    Mark,
}

impl Class {
    const fn of_number(number: u8) -> Self {
        match number {
            1 => Self::Upper,
            2 => Self::Lower,
            3 => Self::Letter,
            4 => Self::Number,
            5 => Self::Space,
            6 => Self::Newline,
            7 => Self::Mark,
            _ => Self::Other,
        }
    }

    /// `None`: not ASCII.
    #[inline]
    pub fn of_ascii(byte: u8) -> Option<Self> {
        ASCII.get(byte as usize).copied()
    }

    /// Whether a word may begin with it: upper case, letters without case, marks.
    #[inline]
    pub fn is_capital(self) -> bool {
        matches!(self, Self::Upper | Self::Letter | Self::Mark)
    }

    /// Whether a word may end with it: lower case, letters without case, marks.
    #[inline]
    pub fn is_small(self) -> bool {
        matches!(self, Self::Lower | Self::Letter | Self::Mark)
    }
}

/// The class of a code point.
#[inline]
pub fn of(code: u32) -> Class {
    let block = TABLE.get((code >> 7) as usize).copied().unwrap_or(0) as usize;
    Class::of_number(TABLE.get(BLOCKS + (block << 7 | code as usize & 127)).copied().unwrap_or(0))
}

/// The character at `at`: its class and how many bytes it has. `None`: the text ends there.
#[inline]
pub fn at(text: &[u8], at: usize) -> Option<(Class, usize)> {
    let first = *text.get(at)?;
    if let Some(class) = ASCII.get(first as usize) {
        return Some((*class, 1));
    }
    Some(decode(text, at).map_or((Class::Other, 1), |(code, length)| (of(code), length)))
}

/// The character of several bytes at `at`, and how many; `None` where there is none.
#[inline]
pub fn decode(text: &[u8], at: usize) -> Option<(u32, usize)> {
    let rest = text.get(at..)?;
    let low = |index: usize| rest.get(index).filter(|byte| **byte & 0xc0 == 0x80).map(|byte| u32::from(byte & 0x3f));
    match *rest.first()? {
        first @ 0xc2..=0xdf => Some((u32::from(first & 0x1f) << 6 | low(1)?, 2)),
        first @ 0xe0..=0xef => Some((u32::from(first & 0xf) << 12 | low(1)? << 6 | low(2)?, 3)),
        first @ 0xf0..=0xf4 => Some((u32::from(first & 7) << 18 | low(1)? << 12 | low(2)? << 6 | low(3)?, 4)),
        _ => None,
    }
}

const fn ascii() -> [Class; 128] {
    let mut classes = [Class::Other; 128];
    let mut code = 0;
    while code < 128 {
        classes[code as usize] = match code {
            b'A'..=b'Z' => Class::Upper,
            b'a'..=b'z' => Class::Lower,
            b'0'..=b'9' => Class::Number,
            b'\r' | b'\n' => Class::Newline,
            b'\t' | 0x0b | 0x0c | b' ' => Class::Space,
            _ => Class::Other,
        };
        code += 1;
    }
    classes
}
