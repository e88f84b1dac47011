//! Signatures against OpenSSL's, and files that hold no key.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const KEY: &str = include_str!("../../../tests/keys/rsa-2048.pem");

#[test]
fn signatures_are_openssls() {
    for (pem, signature) in [
        (KEY, include_str!("../../../tests/keys/rsa-2048.sig")),
        (include_str!("../../../tests/keys/rsa-2048-pkcs1.pem"), include_str!("../../../tests/keys/rsa-2048.sig")),
        (include_str!("../../../tests/keys/rsa-3072.pem"), include_str!("../../../tests/keys/rsa-3072.sig")),
    ] {
        let key = PrivateKey::from_pem(pem).unwrap();
        assert_eq!(key.sign(b"a message"), base64::decode(signature));
        assert_eq!(format!("{key:?}"), "***");
    }
}

#[test]
fn what_is_no_key() {
    for pem in [
        "",
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
        include_str!("../../../tests/keys/ed25519.pem"),
        include_str!("../../../tests/keys/rsa-1024.pem"),
    ] {
        assert!(PrivateKey::from_pem(pem).is_none(), "{pem}");
    }
}

/// Cut or changed anywhere, it is no key, and nothing panics.
#[test]
fn broken_keys() {
    let body: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::decode(&body).unwrap();
    let key = |der: &[u8]| {
        PrivateKey::from_pem(&format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
            base64::encode(der)
        ))
    };
    assert!(key(&der).is_some());
    for cut in (0..der.len()).step_by(31) {
        assert!(key(&der[..cut]).is_none(), "cut at {cut}");
    }
    // Headers, lengths and numbers, each once; the public key's version and the private exponent are not used.
    for at in [0, 1, 4, 7, 22, 26, 30, 40, 300, 850, 1000, 1215] {
        let mut changed = der.clone();
        changed[at] ^= 0x55;
        let _ = key(&changed);
    }
    let mut other = der.clone();
    let last = other.len() - 1;
    other[last] ^= 1;
    assert!(key(&other).is_none(), "the coefficient is another");
}
