//! A header map as the host serializes it (proxy-wasm ABI 0.2.1, `proxy_get_header_map_pairs`): a little-endian u32
//! count, a u32 pair of lengths for each header, then each name and value with a NUL behind it. Kept as the one buffer
//! that the host wrote; reading never copies, and nothing in a malformed buffer can panic.

use std::borrow::Cow;

/// A header's value: text in nearly all cases, but a client's bytes need not be UTF-8.
pub type Value = Cow<'static, [u8]>;

/// Names are lower case, as Envoy keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    bytes: Vec<u8>,
}

impl Headers {
    /// Takes the host's buffer as it is.
    pub fn from_host(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// The same buffer, made of pairs: for tests and for fake hosts.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let pairs: Vec<_> = pairs.into_iter().collect();
        let mut bytes = (pairs.len() as u32).to_le_bytes().to_vec();
        for (name, value) in &pairs {
            bytes.extend((name.len() as u32).to_le_bytes());
            bytes.extend((value.len() as u32).to_le_bytes());
        }
        for (name, value) in &pairs {
            bytes.extend(name.as_bytes());
            bytes.push(0);
            bytes.extend(*value);
            bytes.push(0);
        }
        Self { bytes }
    }

    /// The buffer, as the host takes it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Every header, in order. Stops early at the first malformed one.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.pairs().map_while(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)))
    }

    /// The same, without a look at whether names are text.
    fn pairs(&self) -> Pairs<'_> {
        let count = self.bytes.first_chunk::<4>().map_or(0, |n| u32::from_le_bytes(*n)) as usize;
        let data = count.checked_mul(8).and_then(|n| n.checked_add(4));
        let (lengths, data) = data.and_then(|at| self.bytes.split_at_checked(at)).unwrap_or_default();
        Pairs { lengths: lengths.get(4..).unwrap_or_default(), data }
    }

    /// Every name, in order, whatever is in it.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.pairs().map(|(name, _)| name)
    }

    /// The first value of `name`.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.pairs().find(|(n, _)| *n == name.as_bytes()).map(|(_, value)| value)
    }

    /// The first value of `name`, where it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.value(name)?).ok()
    }
}

struct Pairs<'a> {
    lengths: &'a [u8],
    data: &'a [u8],
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name_length, rest) = self.lengths.split_first_chunk::<4>()?;
        let (value_length, rest) = rest.split_first_chunk::<4>()?;
        self.lengths = rest;
        let (name, data) = take(self.data, *name_length)?;
        let (value, data) = take(data, *value_length)?;
        self.data = data;
        Some((name, value))
    }
}

/// `length` bytes and the NUL behind them.
fn take(data: &[u8], length: [u8; 4]) -> Option<(&[u8], &[u8])> {
    let (taken, rest) = data.split_at_checked(u32::from_le_bytes(length) as usize)?;
    Some((taken, rest.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn round_trip() {
        let pairs: [(&str, &[u8]); 3] = [(":path", b"/v1"), ("empty", b""), ("x-bin", &[0, 255, 0])];
        let headers = Headers::from_pairs(pairs);
        assert_eq!(headers.iter().collect::<Vec<_>>(), pairs);
        assert_eq!(headers.value("x-bin"), Some(&[0u8, 255, 0][..]));
        assert_eq!(headers.text("x-bin"), None);
        assert_eq!(headers.text(":path"), Some("/v1"));
        assert_eq!(headers.value("absent"), None);
    }

    #[test]
    fn malformed_buffers_end_early() {
        let whole = Headers::from_pairs([("name", &b"value"[..]), ("other", b"v")]).bytes;
        for cut in 0..whole.len() {
            let read = Headers::from_host(whole[..cut].to_vec()).iter().count();
            assert!(read <= 2);
        }
        assert_eq!(Headers::from_host(vec![255; 64]).iter().count(), 0);
    }
}
