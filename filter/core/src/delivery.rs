//! What the filter is configured with: the policy's document alone, or, where `weir apply` and `weir render --xds-dir` made
//! it, a `DiscoveryResponse` that holds the document and secrets. Bytes in, both out. A secret is an Envoy `Secret` there,
//! since Envoy blanks those out of /config_dump (docs/decisions/0016-secrets-that-rotate.md). No value is ever shown.

use siphasher::sip128::SipHasher13;

use crate::{
    config::Secret,
    wire::{Fields, Value},
};

/// The types of the resources that are read; any other is passed over.
const DOCUMENT: &str = "type.googleapis.com/google.protobuf.StringValue";
const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    pub document: &'a [u8],
    /// By the environment variable in whose place each stands.
    secrets: Vec<(&'a str, Secret)>,
}

impl<'a> Delivery<'a> {
    /// Whatever is no such message is a document: if it is none either, the policy's reader says so.
    pub fn read(configuration: &'a [u8]) -> Self {
        Self::of_message(configuration).unwrap_or(Self { document: configuration, secrets: Vec::new() })
    }

    /// The secret that stands in this variable's place.
    pub fn secret(&self, variable: &str) -> Option<String> {
        let found = self.secrets.iter().find(|(name, _)| *name == variable);
        found.map(|(_, secret)| secret.expose().to_owned())
    }

    /// A document begins with `{`, white space or what is an error; a message with its version (field 1) or a resource (2).
    fn of_message(bytes: &'a [u8]) -> Option<Self> {
        if !matches!(bytes.first(), Some(0x0a | 0x12)) {
            return None;
        }
        let (mut document, mut secrets) = (None, Vec::new());
        for resource in all_of(bytes, 2)? {
            let value = last_of(resource, 2)?.unwrap_or_default();
            match text_of(resource, 1)? {
                DOCUMENT => document = Some(last_of(value, 1)?.unwrap_or_default()),
                SECRET => secrets.push(secret_of(value)?),
                _ => {}
            }
        }
        Some(Self { document: document?, secrets })
    }
}

/// Tells two configurations apart within a VM, also where secrets alone differ. Not SHA-256, which takes as long as all else
/// that a large policy's bytes take.
pub fn hash_of(configuration: &[u8]) -> u128 {
    SipHasher13::new().hash(configuration).as_u128()
}

/// `Secret{name, generic_secret: {secret: {inline_bytes | inline_string}}}`.
fn secret_of(message: &[u8]) -> Option<(&str, Secret)> {
    let source = last_of(last_of(message, 5)??, 1)??;
    let value = last_of(source, 2)?.or(last_of(source, 3)?)?;
    Some((text_of(message, 1)?, Secret::new(std::str::from_utf8(value).ok()?.to_owned())))
}

fn text_of(message: &[u8], field: u64) -> Option<&str> {
    std::str::from_utf8(last_of(message, field)?.unwrap_or_default()).ok()
}

/// `None`: not a message.
fn last_of(message: &[u8], field: u64) -> Option<Option<&[u8]>> {
    all_of(message, field).map(|mut values| values.pop())
}

fn all_of(message: &[u8], wanted: u64) -> Option<Vec<&[u8]>> {
    let mut values = Vec::new();
    for field in Fields(message) {
        if let (number, Value::Bytes(bytes)) = field?
            && number == wanted
        {
            values.push(bytes);
        }
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::wire::put_bytes;

    fn message(fields: &[(u64, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        fields.iter().for_each(|(field, bytes)| put_bytes(&mut out, *field, bytes));
        out
    }

    fn any(kind: &str, value: &[u8]) -> Vec<u8> {
        message(&[(1, kind.as_bytes()), (2, value)])
    }

    fn secret(name: &str, value: &[u8]) -> Vec<u8> {
        any(SECRET, &message(&[(1, name.as_bytes()), (5, &message(&[(1, &message(&[(3, value)]))]))]))
    }

    fn delivered() -> Vec<u8> {
        let document = any(DOCUMENT, &message(&[(1, br#"{"endpoints": []}"#)]));
        let other = any("type.googleapis.com/google.protobuf.Duration", &[0x08, 5]);
        let secrets = [secret("A", b"value-a"), secret("B", "w\u{e4}rt".as_bytes())];
        message(&[(1, b"v1"), (2, &document), (2, &other), (2, &secrets[0]), (2, &secrets[1]), (4, b"x")])
    }

    #[test]
    fn a_document_with_its_secrets() {
        let bytes = delivered();
        let delivery = Delivery::read(&bytes);
        assert_eq!(delivery.document, br#"{"endpoints": []}"#);
        assert_eq!(delivery.secret("A").as_deref(), Some("value-a"));
        assert_eq!(delivery.secret("B").as_deref(), Some("w\u{e4}rt"));
        assert_eq!(delivery.secret("C"), None);
        assert!(!format!("{delivery:?}").contains("value-a"));
    }

    #[test]
    fn a_document_alone() {
        for document in [&b"{}"[..], b"\n{\"a\": 1}", b"\n\n \n{}", b"", b"null", b"\x0a", b"\x12\x05a"] {
            assert_eq!(Delivery::read(document), Delivery { document, secrets: Vec::new() });
        }
        let without = message(&[(1, b"v1"), (2, &secret("A", b"value-a"))]);
        assert_eq!(Delivery::read(&without).document, without, "an error of the policy's reader");
    }

    #[test]
    fn nothing_that_is_delivered_can_break_it() {
        let whole = delivered();
        for end in 0..whole.len() {
            Delivery::read(&whole[..end]);
        }
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0x55;
            Delivery::read(&broken);
        }
    }
}
