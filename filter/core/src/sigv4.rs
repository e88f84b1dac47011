//! AWS Signature Version 4: a request and a key in, the headers that sign it out. The body must be whole, the path as it will
//! arrive, the host as the provider will read it. Pure: the time comes in.

use std::fmt::Write;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::{decimal::hex_of, secret::Secret, time};

/// What signs.
#[derive(Debug)]
pub struct Key {
    pub id: Secret,
    pub secret: Secret,
    /// Of keys that live for some hours.
    pub session_token: Option<Secret>,
    /// Such as `us-east-1`.
    pub region: String,
}

/// Every header that a signature may set, in the order in which they are signed behind `host`.
pub const HEADERS: [&str; 4] = ["authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];

/// The service's name in the scope.
const SERVICE: &str = "bedrock";

/// A POST that will be sent.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// As in `host`: with the port where it is not the scheme's own.
    pub host: &'a str,
    /// Encoded, without a query.
    pub path: &'a str,
    pub body: &'a [u8],
}

/// The headers to be set, of [`HEADERS`]. `now`: nanoseconds since the Unix epoch.
pub fn sign(request: Request<'_>, key: &Key, now: u64) -> Vec<(&'static str, String)> {
    // `2026-11-21T23:17:57.123456Z` as `20261121T231757Z`.
    let time: String = time::rfc3339(now).chars().take(19).filter(|c| !matches!(c, '-' | ':')).collect();
    let date = time.get(..8).unwrap_or_default().to_owned();
    let time = format!("{time}Z");
    let hash = hex_of(&Sha256::digest(request.body));
    let token = key.session_token.as_ref().map(Secret::expose);
    let mut headers = format!("host:{}\nx-amz-content-sha256:{hash}\nx-amz-date:{time}\n", request.host);
    let mut names = "host;x-amz-content-sha256;x-amz-date".to_owned();
    if let Some(token) = token {
        let _ = writeln!(headers, "x-amz-security-token:{token}");
        names.push_str(";x-amz-security-token");
    }
    let canonical = format!("POST\n{}\n\n{headers}\n{names}\n{hash}", encoded(request.path));
    let scope = format!("{date}/{}/{SERVICE}/aws4_request", key.region);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex_of(&Sha256::digest(canonical)));
    let first = format!("AWS4{}", key.secret.expose());
    let signing = [date.as_str(), &key.region, SERVICE, "aws4_request"]
        .iter()
        .fold(first.into_bytes(), |key, part| hmac(&key, part.as_bytes()));
    let signature = hex_of(&hmac(&signing, text.as_bytes()));
    let id = key.id.expose();
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
    let mut all = vec![("authorization", authorization), ("x-amz-content-sha256", hash), ("x-amz-date", time)];
    all.extend(token.map(|token| ("x-amz-security-token", token.to_owned())));
    all
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    // A key of any length will do for HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// What is signed is the path encoded once more than it is sent: so have it all services but S3.
fn encoded(path: &str) -> String {
    path.split('/').map(encode_segment).collect::<Vec<_>>().join("/")
}

/// One segment of a path: all but letters, digits and `-._~` as `%XX` (RFC 3986).
pub fn encode_segment(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            // Writing into a text does not fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn key(session_token: Option<&str>) -> Key {
        let secret = |text: &str| Secret::new(text.into());
        Key {
            id: secret("AKIDEXAMPLE"),
            secret: secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: session_token.map(secret),
            region: "us-east-1".into(),
        }
    }

    /// 2026-11-22T00:00:00Z.
    const NOW: u64 = 1_795_305_600_000_000_000;

    /// Signatures by botocore's SigV4Auth.
    #[test]
    fn as_botocore_signs() {
        let path = format!("/p/model/{}/converse", encode_segment("a.b-v1:0/x"));
        assert_eq!(path, "/p/model/a.b-v1%3A0%2Fx/converse");
        let request = Request { host: "bedrock.example:8080", path: &path, body: b"{\"a\":1}" };
        let hash = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862";
        let scope = "AKIDEXAMPLE/20261122/us-east-1/bedrock/aws4_request";
        let names = "host;x-amz-content-sha256;x-amz-date";
        for (token, more, signature) in [
            (None, "", "3b7ac3e5e78a1f21570af2bf078078d1511d65e541aff97003778ad8d52fe262"),
            (
                Some("the/token+=="),
                ";x-amz-security-token",
                "324f8d840aa17f71fecd0b589b7db59d387aee9a8160167b5ccae76f60877c7a",
            ),
        ] {
            let mut expected = vec![
                (
                    "authorization",
                    format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}{more}, Signature={signature}"),
                ),
                ("x-amz-content-sha256", hash.to_owned()),
                ("x-amz-date", "20261122T000000Z".to_owned()),
            ];
            expected.extend(token.map(|token| ("x-amz-security-token", token.to_owned())));
            assert_eq!(sign(request, &key(token), NOW), expected);
        }
    }

    #[test]
    fn segments_are_encoded() {
        assert_eq!(encode_segment("aZ09-._~:/ é%"), "aZ09-._~%3A%2F%20%C3%A9%25");
        assert_eq!(encoded("/model/a%3A0/converse"), "/model/a%253A0/converse");
    }
}
