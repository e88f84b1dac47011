//! Tokens of an issuer that the tests play, and its keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

pub const SIGNING_KEY: &[u8] = b"a key of the tests, at least 32 bytes long";

/// A token of the tests' issuer with these claims over the usual ones.
pub fn token(claims: Value, key: &[u8]) -> String {
    let mut payload = json!({"iss": "https://idp.example.com", "aud": "weir", "sub": "42", "exp": 4_000_000_000_u64});
    payload.as_object_mut().expect("claims").extend(claims.as_object().cloned().unwrap_or_default());
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&json!({"alg": "HS256", "typ": "JWT", "kid": "k1"})), encode(&payload));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// The issuer's, as a `jwks_file` holds them.
pub fn keys() -> Value {
    keys_of(SIGNING_KEY)
}

pub fn keys_of(key: &[u8]) -> Value {
    json!({"keys": [{"kty": "oct", "alg": "HS256", "kid": "k1", "k": URL_SAFE_NO_PAD.encode(key)}]})
}
