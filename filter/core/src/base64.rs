//! Base64 (RFC 4648), as JWTs, PEM files and OpenAI's embeddings have it: bytes in, text out, and back. A
//! library for it would be 11 KB of the wasm.

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// With padding.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = written(bytes, STANDARD);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// For URLs, without padding: as JWTs have it.
pub fn encode_url(bytes: &[u8]) -> String {
    written(bytes, URL)
}

fn written(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().zip([16, 8, 0]).fold(0_u32, |word, (byte, shift)| word | u32::from(*byte) << shift);
        let letters = [18, 12, 6, 0].map(|shift| alphabet.get((word >> shift & 63) as usize).copied());
        text.extend(letters.into_iter().flatten().take(chunk.len().saturating_add(1)).map(char::from));
    }
    text
}

/// Of the standard alphabet. White space is passed over, and so is the padding. `None`: something else stands there, or bits
/// are left over.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0_u32, 0_u32);
    for letter in text.trim_end_matches(['=', ' ', '\n', '\r']).bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = STANDARD.iter().position(|known| *known == letter)?;
        word = word << 6 | u32::try_from(value).ok()?;
        bits = bits.saturating_add(6);
        if let Some(left) = bits.checked_sub(8) {
            bytes.push(u8::try_from(word >> left & 0xff).ok()?);
            bits = left;
            word &= (1 << left) - 1;
        }
    }
    (bits < 6 && word == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_vectors_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(encode_url(bytes.as_bytes()), text.trim_end_matches('='));
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!((encode(&[0xfb, 0xff]), encode_url(&[0xfb, 0xff])), ("+/8=".to_owned(), "-_8".to_owned()));
    }

    #[test]
    fn what_is_none() {
        assert_eq!(decode("Zm9v\n YmFy\r\n").as_deref(), Some(&b"foobar"[..]));
        for text in ["Z", "Zh==", "Zm9v-", "Zm=9v", "é"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
