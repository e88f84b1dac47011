//! Digits into a buffer: what `format!` does at ten times the price, for the few numbers that every request writes.

/// Appends `value` in decimal.
pub fn push(bytes: &mut Vec<u8>, value: u64) {
    // u64::MAX has 20 digits.
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = value;
    // Divisions of 64 bits are slow, and in WebAssembly those by a constant too. Hardly any number needs one.
    while rest > u64::from(u32::MAX) && start > 0 {
        start -= 1;
        put(&mut digits, start, (rest % 10) as u8);
        rest /= 10;
    }
    let mut rest = rest as u32;
    while start > 0 {
        start -= 1;
        put(&mut digits, start, (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(digits.get(start..).unwrap_or_default());
}

fn put(digits: &mut [u8], at: usize, digit: u8) {
    if let Some(place) = digits.get_mut(at) {
        *place = b'0' | digit;
    }
}

/// Appends the last `width` digits of `value`, with zeros in front.
pub fn push_padded(bytes: &mut Vec<u8>, value: u32, width: usize) {
    let end = bytes.len();
    bytes.resize(end.saturating_add(width), b'0');
    let mut rest = value;
    for digit in bytes.iter_mut().skip(end).rev() {
        *digit = b'0' | (rest % 10) as u8;
        rest /= 10;
    }
}

/// `value` as text.
pub fn text(value: u64) -> String {
    let mut bytes = Vec::with_capacity(20);
    push(&mut bytes, value);
    // Digits are ASCII: this never fails.
    String::from_utf8(bytes).unwrap_or_default()
}

/// The hexadecimal digit of the lowest four bits.
pub fn hex(value: u8) -> u8 {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    DIGITS[usize::from(value & 0xF)]
}

/// Bytes as hexadecimal digits, in lower case.
pub fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [hex(byte >> 4), hex(*byte)]).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn digits() {
        for value in [0, 1, 9, 10, 99, 100, 65_535, 1_000_000_007, 1 << 32, (1 << 32) - 1, u64::MAX - 1, u64::MAX] {
            assert_eq!(text(value), value.to_string());
        }
        let mut padded = Vec::new();
        push_padded(&mut padded, 7, 3);
        push_padded(&mut padded, 1_234, 4);
        push_padded(&mut padded, 98_765, 2);
        assert_eq!(padded, b"007123465");
        assert_eq!((0..16).map(hex).collect::<Vec<_>>(), b"0123456789abcdef");
    }
}
