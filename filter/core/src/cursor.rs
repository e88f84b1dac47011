//! JSON as it stands, walked without being copied or built: bytes in, the insides of strings and the places of values out.
//! Meant for what has been found to be JSON, for the first part of it, and for answers that pass anyway: what is cut or wrong ends the
//! walk early and is never an error. Nothing recurses, so nothing is too deep.

use std::borrow::Cow;

/// A place in a JSON text.
#[derive(Debug)]
pub struct Cursor<'a> {
    json: &'a [u8],
    at: usize,
    /// Something ended that was not closed.
    is_cut: bool,
}

/// What a value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Object,
    List,
    /// A number, `true`, `false` or `null`.
    Scalar,
}

impl<'a> Cursor<'a> {
    pub fn new(json: &'a [u8]) -> Self {
        Self { json, at: 0, is_cut: false }
    }

    /// After a walk over the one value of a text: whether that ended as it should, with nothing behind it. What was passed over
    /// need not be JSON for that, but all that was opened is closed.
    pub fn is_whole(&mut self) -> bool {
        !self.is_cut && self.peek().is_none()
    }

    /// What stands here; `None` at the end, and where no value can begin.
    pub fn kind(&mut self) -> Option<Kind> {
        match self.peek()? {
            b'"' => Some(Kind::Text),
            b'{' => Some(Kind::Object),
            b'[' => Some(Kind::List),
            b'}' | b']' | b',' | b':' => None,
            _ => Some(Kind::Scalar),
        }
    }

    /// The inside of the string that stands here, escapes and all, up to the end of a text that is cut within it. Of any
    /// other value nothing, and it is passed over.
    pub fn text(&mut self) -> &'a [u8] {
        if self.kind() != Some(Kind::Text) {
            self.skip();
            return &[];
        }
        self.inside().0
    }

    /// Of the string that stands here; and whether there are escapes in it.
    fn inside(&mut self) -> (&'a [u8], bool) {
        let start = self.at + 1;
        let is_escaped = self.skip_text();
        let end = if self.json.get(self.at.wrapping_sub(1)) == Some(&b'"') && self.at > start {
            self.at - 1
        } else {
            self.at
        };
        (self.json.get(start..end).unwrap_or_default(), is_escaped)
    }

    /// Hands each member of the object that stands here to `member`, which may take its value; what it leaves is passed
    /// over. Any other value is passed over.
    pub fn object(&mut self, mut member: impl FnMut(&mut Self, &[u8])) {
        if self.kind() != Some(Kind::Object) {
            return self.skip();
        }
        self.at += 1;
        while self.peek() == Some(b'"') {
            let (inside, is_escaped) = self.inside();
            let key = if is_escaped { unescaped(inside) } else { Cow::Borrowed(inside) };
            if self.peek() != Some(b':') {
                self.end();
                break;
            }
            self.at += 1;
            self.value(|cursor| member(cursor, &key));
            if self.peek() != Some(b',') {
                break;
            }
            self.at += 1;
        }
        self.close(b'}');
    }

    /// Hands each item of the list that stands here to `item`, as [`Self::object`] does.
    pub fn list(&mut self, mut item: impl FnMut(&mut Self)) {
        if self.kind() != Some(Kind::List) {
            return self.skip();
        }
        self.at += 1;
        while self.kind().is_some() {
            self.value(&mut item);
            if self.peek() != Some(b',') {
                break;
            }
            self.at += 1;
        }
        self.close(b']');
    }

    /// The value that stands here, as it stands.
    pub fn raw(&mut self) -> &'a [u8] {
        self.peek();
        let start = self.at;
        self.skip();
        self.json.get(start..self.at).unwrap_or_default()
    }

    /// Passes over the value that stands here.
    pub fn skip(&mut self) {
        match self.kind() {
            None => {}
            Some(Kind::Text) => {
                self.skip_text();
            }
            Some(Kind::Scalar) => {
                let rest = self.json.get(self.at..).unwrap_or_default();
                let end = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace());
                self.at = end.map_or(self.json.len(), |end| self.at + end);
            }
            Some(Kind::Object | Kind::List) => {
                let mut depth = 0usize;
                loop {
                    let Some(byte) = self.json.get(self.at) else { return self.end() };
                    match byte {
                        b'"' => {
                            self.skip_text();
                            continue;
                        }
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    self.at += 1;
                    if depth == 0 {
                        break;
                    }
                }
            }
        }
    }

    /// Lets `take` have the value that stands here, and passes over it if it was left.
    fn value(&mut self, take: impl FnOnce(&mut Self)) {
        self.peek();
        let start = self.at;
        take(self);
        if self.at == start {
            self.skip();
        }
    }

    fn close(&mut self, end: u8) {
        if self.peek() == Some(end) {
            self.at += 1;
        } else {
            // Not JSON, or cut: there is nothing behind it that could be told.
            self.end();
        }
    }

    fn end(&mut self) {
        self.at = self.json.len();
        self.is_cut = true;
    }

    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.json.get(self.at)?;
            if !byte.is_ascii_whitespace() {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Behind the string that stands here; whether there are escapes in it.
    fn skip_text(&mut self) -> bool {
        self.at += 1;
        let mut is_escaped = false;
        loop {
            let rest = self.json.get(self.at..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                self.end();
                return is_escaped;
            };
            let is_escape = rest.get(found) == Some(&b'\\');
            self.at = (self.at + found + 1 + usize::from(is_escape)).min(self.json.len());
            if !is_escape {
                return is_escaped;
            }
            is_escaped = true;
        }
    }
}

/// Keys of an API are short: a longer one with escapes is none of them.
const LONGEST_KEY: usize = 256;

fn unescaped(key: &[u8]) -> Cow<'_, [u8]> {
    if key.len() > LONGEST_KEY {
        return Cow::Borrowed(key);
    }
    let mut out = Vec::with_capacity(key.len());
    decode(key, |part| out.extend_from_slice(part));
    Cow::Owned(out)
}

/// Hands on what a string's inside says, in parts. A lone surrogate is U+FFFD, as it is wherever text must be Unicode; what
/// is no escape stands for itself.
pub fn decode(inside: &[u8], mut part: impl FnMut(&[u8])) {
    let mut rest = inside;
    while let Some(first) = rest.first() {
        if *first != b'\\' {
            let end = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
            let (plain, escapes) = rest.split_at(end);
            part(plain);
            rest = escapes;
            continue;
        }
        let length = match rest.get(1).map_or(0, |letter| escaped_letter(*letter)) {
            0 => {
                let (character, length) = escaped(rest);
                part(character.encode_utf8(&mut [0; 4]).as_bytes());
                length
            }
            byte => {
                part(&[byte]);
                2
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
}

/// The byte that a backslash and this letter stand for; 0 where they stand for none, or for more than that.
fn escaped_letter(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 8,
        b'f' => 12,
        b'"' | b'\\' | b'/' => letter,
        _ => 0,
    }
}

/// The character of an escape of more than a letter, and how many bytes the escape has.
fn escaped(escape: &[u8]) -> (char, usize) {
    if escape.get(1) != Some(&b'u') {
        return ('\\', 1);
    }
    let first = hexadecimal(escape, 2);
    match (first, escape.get(6..8), hexadecimal(escape, 8)) {
        (Some(high @ 0xd800..0xdc00), Some(br"\u"), Some(low @ 0xdc00..0xe000)) => {
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        (Some(code), _, _) => (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
        (None, _, _) => (char::REPLACEMENT_CHARACTER, 2),
    }
}

fn hexadecimal(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at.checked_add(4)?)?;
    digits.iter().try_fold(0, |code, digit| Some(code << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests;
