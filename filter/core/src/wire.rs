//! Protocol Buffers, as far as the rate limit protocol and a delivered policy need them: fields in, bytes out, and back. A
//! message that is cut or malformed reads as `None`; it must never panic, whatever an engine sends. Own code, since the few
//! messages here cost 3 KB of wasm.

/// A field's value. Fixed-size numbers are skipped: the protocol has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED_32: u64 = 5;

/// Appends a number, where it is not 0: that is what an absent one means.
pub fn put_number(out: &mut Vec<u8>, field: u64, number: u64) {
    if number > 0 {
        put_varint(out, field << 3 | VARINT);
        put_varint(out, number);
    }
}

/// Appends a text or a message.
pub fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_length(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// The beginning of a field of `length` bytes, which follow.
pub fn put_length(out: &mut Vec<u8>, field: u64, length: usize) {
    put_varint(out, field << 3 | LENGTH);
    put_varint(out, length as u64);
}

pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The fields of a message, in its order; `None` in the place of one that cannot be read, and then the end.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            match self.field() {
                Some(Some(field)) => return Some(Some(field)),
                // Skipped.
                Some(None) => {}
                None => {
                    self.0 = &[];
                    return Some(None);
                }
            }
        }
        None
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<Option<(u64, Value<'a>)>> {
        let tag = self.varint()?;
        let field = tag >> 3;
        Some(match tag & 7 {
            VARINT => Some((field, Value::Number(self.varint()?))),
            LENGTH => {
                let length = usize::try_from(self.varint()?).ok()?;
                Some((field, Value::Bytes(self.take(length)?)))
            }
            FIXED_64 => self.take(8).map(|_| None)?,
            FIXED_32 => self.take(4).map(|_| None)?,
            _ => return None,
        })
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// At most ten bytes; what does not fit into 64 bits is cut off, as the format says.
    pub fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn numbers_and_texts_come_back() {
        let mut out = Vec::new();
        put_number(&mut out, 1, 300);
        put_number(&mut out, 2, 0);
        put_bytes(&mut out, 3, b"weir");
        put_number(&mut out, 16, u64::MAX);
        assert_eq!(&out[..9], [0x08, 0xac, 0x02, 0x1a, 4, b'w', b'e', b'i', b'r']);
        let fields: Option<Vec<_>> = Fields(&out).collect();
        let expected = vec![(1, Value::Number(300)), (3, Value::Bytes(b"weir")), (16, Value::Number(u64::MAX))];
        assert_eq!(fields, Some(expected));
    }

    #[test]
    fn what_is_of_no_use_is_skipped() {
        let message = [0x0d, 1, 2, 3, 4, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x18, 5];
        assert_eq!(Fields(&message).collect::<Vec<_>>(), [Some((3, Value::Number(5)))]);
    }

    /// Cut at every byte, and with every byte replaced: an answer or none, never a panic.
    #[test]
    fn nothing_that_an_engine_sends_can_break_it() {
        let mut whole = Vec::new();
        put_number(&mut whole, 1, 2);
        put_bytes(&mut whole, 2, &[0x08, 0x01, 0x12, 0x02, 0x08, 0x05]);
        for end in 0..whole.len() {
            Fields(&whole[..end]).for_each(drop);
        }
        for (at, byte) in (0..whole.len()).flat_map(|at| (0..=255).map(move |byte| (at, byte))) {
            let mut broken = whole.clone();
            broken[at] = byte;
            Fields(&broken).for_each(drop);
        }
        for cut in [&[0x0a_u8, 5, 1][..], &[0xff; 11], &[0x0b], &[0x09, 1]] {
            assert_eq!(Fields(cut).last(), Some(None), "{cut:?}");
        }
    }
}
