//! What is asked for a token, and what answers mean.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const KEY: &str = include_str!("../../tests/keys/rsa-2048.pem");
/// 2026-11-22T00:00:00Z.
const NOW: u64 = 1_795_305_600_000_000_000;

pub fn upstream(path: &str) -> Upstream {
    Upstream {
        tls: true,
        host: "tokens.example.com".into(),
        port: 443,
        authority: "tokens.example.com".into(),
        path_prefix: path.into(),
    }
}

fn file(key: &str) -> String {
    let file = Object::new().with("type", "service_account").with("private_key_id", "k1").with("private_key", key);
    let file =
        file.with("client_email", "a@p.iam.gserviceaccount.com").with("token_uri", "https://t.example.com/token");
    String::from_utf8(file.to_bytes()).unwrap()
}

fn body(kind: Kind) -> String {
    let post = Grant::new(upstream("/t"), kind).post(NOW).unwrap();
    assert_eq!(post.headers[3], (":path", "/t".to_owned()));
    String::from_utf8(post.body).unwrap()
}

#[test]
fn a_client_shows_its_secret() {
    let secret = Secret::new("s+ü&=".into());
    let found = body(Kind::Client { id: "i".into(), secret, scope: "https://x/.default".into() });
    let expected =
        "grant_type=client_credentials&client_id=i&client_secret=s%2B%C3%BC%26%3D&scope=https%3A%2F%2Fx%2F.default";
    assert_eq!(found, expected);
}

#[test]
fn a_service_account_signs_a_jwt() {
    let account = ServiceAccount::from_json(&file(KEY)).unwrap();
    let found = body(Kind::ServiceAccount(Some(account)));
    let jwt =
        found.strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=").unwrap();
    let parts: Vec<&str> = jwt.split('.').collect();
    let read =
        |part: &str| String::from_utf8(base64::decode(&part.replace('-', "+").replace('_', "/")).unwrap()).unwrap();
    assert_eq!(read(parts[0]), r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#);
    let claims = r#"{"iss":"a@p.iam.gserviceaccount.com","scope":"https://www.googleapis.com/auth/cloud-platform","aud":"https://t.example.com/token","iat":1795305590,"exp":1795309190}"#;
    assert_eq!(read(parts[1]), claims);
    let signed = PrivateKey::from_pem(KEY).unwrap().sign(format!("{}.{}", parts[0], parts[1]).as_bytes()).unwrap();
    assert_eq!((parts[2], parts.len()), (base64::encode_url(&signed).as_str(), 3));
}

#[test]
fn what_is_no_account() {
    let without = file(KEY).replace("client_email", "email");
    for text in ["", "{}", KEY, &without, &file("x")] {
        assert!(ServiceAccount::from_json(text).is_none(), "{text}");
    }
    let plain = file(KEY).replace("token_uri", "uri");
    assert_eq!(ServiceAccount::from_json(&plain).unwrap().audience, "https://oauth2.googleapis.com/token");
}

#[test]
fn answers() {
    let read = |status, body: &str| given(status, body.as_bytes()).map(|given| (given.token, given.seconds));
    let token = |token: &str, seconds| Ok((token.to_owned(), seconds));
    for (body, expected) in [
        (r#"{"access_token":"t","expires_in":3599,"token_type":"Bearer","new":1}"#, token("t", 3599)),
        (r#"{"access_token":"t","expires_in":"60"}"#, token("t", 60)),
        (r#"{"access_token":"t","expires_in":0}"#, token("t", 1)),
        (r#"{"access_token":"t","expires_in":99999999999}"#, token("t", 86_400)),
        (r#"{"access_token":"t"}"#, token("t", 300)),
    ] {
        assert_eq!(read(Some(200), body), expected);
    }
    let none = "its server answered 200 without an `access_token`";
    let long = format!(r#"{{"access_token":"{}"}}"#, "t".repeat(MAX_TOKEN_BYTES + 1));
    for body in ["", "[]", "{}", r#"{"access_token":"a b"}"#, r#"{"access_token":""}"#, r#"{"id_token":"t"}"#, &long] {
        assert_eq!(read(Some(200), body), Err(none.to_owned()), "{body}");
    }
    let denied = r#"{"error":"invalid_grant","error_description":"Invalid JWT\nSignature.","access_token":"t"}"#;
    let expected = "its server answered 400 invalid_grant: Invalid JWTSignature.";
    assert_eq!(read(Some(400), denied), Err(expected.to_owned()));
    assert_eq!(read(Some(503), "<html>"), Err("its server answered 503".to_owned()));
    for status in [None, Some(0)] {
        assert!(read(status, "").unwrap_err().contains("did not answer"));
    }
}

#[test]
fn the_same_grant_has_the_same_key() {
    let client = |secret: &str| {
        let kind = Kind::Client { id: "i".into(), secret: Secret::new(secret.into()), scope: "x".into() };
        Grant::new(upstream("/t"), kind).shared_key()
    };
    let account =
        |text: &str| Grant::new(upstream("/t"), Kind::ServiceAccount(ServiceAccount::from_json(text))).shared_key();
    assert_eq!(client("a"), client("a"));
    assert_eq!(account(&file(KEY)), account(&file(KEY)));
    let other = account(&file(include_str!("../../tests/keys/rsa-3072.pem")));
    let keys = [client("a"), client("b"), account(&file(KEY)), other, account("")];
    assert!(keys.iter().all(|key| keys.iter().filter(|other| *other == key).count() == 1), "{keys:?}");
}

#[test]
fn nothing_of_it_is_shown() {
    let secret = Secret::new("s3cret".into());
    let grant = Grant::new(upstream("/t"), Kind::Client { id: "i".into(), secret, scope: "x".into() });
    *grant.held.borrow_mut() =
        Some(Held { authorization: Secret::new("Bearer t0ken".into()), renew_at: 1, expires_at: 2 });
    let account = Grant::new(upstream("/t"), Kind::ServiceAccount(ServiceAccount::from_json(&file(KEY))));
    let shown = format!("{grant:?} {account:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("t0ken") && !shown.contains("digits"), "{shown}");
    assert_eq!((grant.authorization(1), grant.authorization(2)), (Some("Bearer t0ken".into()), None), "it expires");
    assert_eq!((grant.is_ready(1), grant.is_ready(2)), (true, false));
}
