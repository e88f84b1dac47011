//! Ids that no two gateways give.

use crate::decimal;

/// A random UUID (RFC 9562, version 4).
pub fn uuid(high: u64, low: u64) -> String {
    let high = (high & !0xF000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    // 8-4-4-4-12 digits: a dash goes before these bytes.
    const DASHED: [usize; 4] = [4, 6, 8, 10];
    let mut text = Vec::with_capacity(36);
    for (at, byte) in high.to_be_bytes().into_iter().chain(low.to_be_bytes()).enumerate() {
        if DASHED.contains(&at) {
            text.push(b'-');
        }
        text.extend_from_slice(&[decimal::hex(byte >> 4), decimal::hex(byte)]);
    }
    // Digits and dashes are ASCII: this never fails.
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn version_and_variant_are_set() {
        assert_eq!(uuid(0, 0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u64::MAX, u64::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid(0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210), "01234567-89ab-4def-bedc-ba9876543210");
    }
}
