//! AWS Signature Version 4, as the service checks it: a request comes in, nothing or the message of the 403 comes out. It rebuilds
//! the canonical request from what arrived, so that a header or a path that was changed under way is seen.

use hmac::{Hmac, Mac as _};
use hyper::http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sha2::{Digest as _, Sha256};

/// What a URI may hold as it stands (RFC 3986): letters, digits and these.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// How far a signature's time may be from the service's, in seconds.
const MOST_SKEW: u64 = 300;
const SERVICE: &str = "bedrock";

/// An access key and its secret, from `ID:SECRET` or `ID:SECRET:REGION`.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsKey {
    id: String,
    secret: String,
    region: Option<String>,
}

impl std::fmt::Debug for AwsKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AwsKey({}, ***)", self.id)
    }
}

impl std::str::FromStr for AwsKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(id), Some(secret), region) if !id.is_empty() && !secret.is_empty() => Ok(Self { id, secret, region }),
            _ => Err("expected ID:SECRET or ID:SECRET:REGION".to_owned()),
        }
    }
}

/// An `Authorization` header of this scheme, taken apart.
struct Signed<'a> {
    id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    headers: Vec<&'a str>,
    signature: &'a str,
}

/// Checks a request; without a key all but the signature itself. `now` is in seconds since 1970.
pub fn verify(header: &str, parts: &Parts, body: &[u8], key: Option<&AwsKey>, now: u64) -> Result<(), String> {
    let signed = read(header)?;
    let value = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    for name in ["host", "x-amz-date"] {
        if !signed.headers.contains(&name) {
            return Err(format!("The header `{name}` must be one of the SignedHeaders"));
        }
    }
    if let Some(name) = parts
        .headers
        .keys()
        .map(|name| name.as_str())
        .find(|name| name.starts_with("x-amz-") && !signed.headers.contains(name))
    {
        return Err(format!("The header `{name}` was sent but not signed"));
    }
    let time = value("x-amz-date").unwrap_or_default();
    if !time.starts_with(signed.date) {
        return Err(format!("Date in Credential scope does not match x-amz-date: {} and {time}", signed.date));
    }
    let seconds = seconds(time).ok_or_else(|| format!("x-amz-date: expected YYYYMMDDTHHMMSSZ, found `{time}`"))?;
    if now.abs_diff(seconds) > MOST_SKEW {
        return Err(format!("Signature expired or not yet current: {time} is more than {MOST_SKEW} s from now"));
    }
    if signed.service != SERVICE {
        return Err(format!("Credential should be scoped to correct service: '{SERVICE}', found '{}'", signed.service));
    }
    let hash = hex(&Sha256::digest(body));
    if value("x-amz-content-sha256").is_some_and(|given| given != hash) {
        return Err("The provided 'x-amz-content-sha256' header does not match what was computed.".to_owned());
    }
    let Some(key) = key else { return Ok(()) };
    if signed.id != key.id {
        return Err("The security token included in the request is invalid.".to_owned());
    }
    if key.region.as_ref().is_some_and(|region| region != signed.region) {
        return Err(format!("Credential should be scoped to a valid region, found '{}'", signed.region));
    }
    let request = canonical(parts, &signed.headers, &hash);
    let expected = sign(&request, key, time, &signed);
    match expected == signed.signature {
        true => Ok(()),
        false => Err(format!(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. The Canonical String for this request should have been\n'{request}'"
        )),
    }
}

fn read(header: &str) -> Result<Signed<'_>, String> {
    let fields =
        header.strip_prefix("AWS4-HMAC-SHA256").ok_or("expected an Authorization of AWS4-HMAC-SHA256 or Bearer")?;
    let field = |name: &str| {
        let found = fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
        found.ok_or_else(|| format!("Authorization header requires '{name}' parameter"))
    };
    let scope: Vec<&str> = field("Credential")?.split('/').collect();
    let [id, date, region, service, "aws4_request"] = scope.as_slice() else {
        return Err("Credential: expected ID/YYYYMMDD/REGION/SERVICE/aws4_request".to_owned());
    };
    let headers = field("SignedHeaders")?.split(';').collect();
    Ok(Signed { id, date, region, service, headers, signature: field("Signature")? })
}

/// The canonical request. All services but S3 encode the path once more than it stands in the request.
fn canonical(parts: &Parts, signed: &[&str], hash: &str) -> String {
    let encoded = |text: &str| percent_encode(text.as_bytes(), &RESERVED).to_string();
    let path = parts.uri.path().split('/').map(encoded).collect::<Vec<_>>().join("/");
    let mut query: Vec<String> = parts
        .uri
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    query.sort_unstable();
    let header = |name: &&str| {
        let values = parts.headers.get_all(*name).iter().map(|value| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
        });
        format!("{name}:{}\n", values.collect::<Vec<_>>().join(","))
    };
    let headers: String = signed.iter().map(header).collect();
    format!("{}\n{path}\n{}\n{headers}\n{}\n{hash}", parts.method, query.join("&"), signed.join(";"))
}

fn sign(request: &str, key: &AwsKey, time: &str, signed: &Signed<'_>) -> String {
    let scope = format!("{}/{}/{}/aws4_request", signed.date, signed.region, signed.service);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(request)));
    let mut secret = format!("AWS4{}", key.secret).into_bytes();
    for part in [signed.date, signed.region, signed.service, "aws4_request"] {
        secret = hmac(&secret, part);
    }
    hex(&hmac(&secret, &text))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length will do for HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `YYYYMMDDTHHMMSSZ` in seconds since 1970.
fn seconds(time: &str) -> Option<u64> {
    let part = |range| time.get(range);
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(9..11)?,
        part(11..13)?,
        part(13..15)?
    );
    let parsed = humantime::parse_rfc3339(&text).ok()?;
    parsed.duration_since(std::time::UNIX_EPOCH).ok().map(|time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const TIME: &str = "20150830T123600Z";

    fn parts(path: &str, more: &[(&str, &str)]) -> Parts {
        let mut request = hyper::Request::post(path).header("host", "example.amazonaws.com").header("x-amz-date", TIME);
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn checked(path: &str, signature: &str, body: &[u8], key: Option<&str>, now: u64) -> Result<(), String> {
        let header = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        let key: Option<AwsKey> = key.map(|key| key.parse().unwrap());
        verify(&header, &parts(path, &[]), body, key.as_ref(), now)
    }

    #[test]
    fn a_signature_of_the_published_test_suite() {
        // `post-vanilla` of AWS's own suite for this version: its service is `service`.
        let key: AwsKey = KEY.parse().unwrap();
        let header = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=x";
        let signed = read(header).unwrap();
        let request = canonical(&parts("/", &[]), &signed.headers, &hex(&Sha256::digest(b"")));
        assert_eq!(
            sign(&request, &key, TIME, &signed),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
    }

    #[test]
    fn paths_are_encoded_once_more() {
        let request = canonical(&parts("/model/a%3A0/converse?b=2&a", &[("x", "  1   2 ")]), &["host", "x"], "h");
        let want = "POST\n/model/a%253A0/converse\na=&b=2\nhost:example.amazonaws.com\nx:1 2\n\nhost;x\nh";
        assert_eq!(request, want);
    }

    #[test]
    fn what_is_refused() {
        let now = seconds(TIME).unwrap();
        assert_eq!(now, 1_440_938_160);
        for (signature, key, now, message) in [
            ("00", Some(KEY), now, "signature we calculated does not match"),
            ("00", Some("OTHER:x"), now, "security token included in the request is invalid"),
            ("00", Some("AKIDEXAMPLE:x:eu-west-1"), now, "valid region"),
            ("00", None, now + 301, "more than 300 s"),
        ] {
            let error = checked("/model/m/converse", signature, b"{}", key, now).expect_err(message);
            assert!(error.contains(message), "{error}");
        }
        assert_eq!(checked("/model/m/converse", "00", b"{}", None, now), Ok(()));
        let unsigned = parts("/", &[("x-amz-security-token", "t")]);
        let header =
            "AWS4-HMAC-SHA256 Credential=A/20150830/r/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=x";
        assert!(verify(header, &unsigned, b"", None, now).is_err_and(|why| why.contains("x-amz-security-token")));
        assert!("x".parse::<AwsKey>().is_err());
    }
}
