//! The endpoints that give access tokens: Google's for service accounts (a JWT bearer grant at `/token`) and Azure AD's for
//! clients (`/{tenant}/oauth2/v2.0/token`). A form comes in, a token that ends comes out, or the error of OAuth 2.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::account::Account;
use super::credentials::{Keys, issue, now};
use super::openai::to_bytes;
use super::refused::Refused;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Google takes assertions of an hour at most; its tokens and Azure's live as long.
const LIFE: u64 = 3600;
/// How far a clock may be ahead.
const SKEW: u64 = 300;

/// Answers a form with the `number`th token of this mock.
pub fn token(form: &[u8], keys: &Keys, number: u64, expires_in: Option<u64>) -> Result<Bytes, Refused> {
    let bad = |message: String| (StatusCode::BAD_REQUEST, message);
    let form = String::from_utf8_lossy(form);
    let field = |name: &str| {
        let value = form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        let value = value.replace('+', " ");
        Some(percent_decode_str(&value).decode_utf8_lossy().into_owned()).filter(|value| !value.is_empty())
    };
    let required = |name: &str| {
        let missing = || bad(format!("AADSTS900144: The request body must contain the following parameter: '{name}'."));
        field(name).ok_or_else(missing)
    };
    match required("grant_type")?.as_str() {
        JWT_BEARER => assertion(&required("assertion")?, keys.account.as_ref()).map_err(bad)?,
        "client_credentials" => {
            required("client_id")?;
            required("scope")?;
            let secret = required("client_secret")?;
            if keys.key.as_ref().is_some_and(|key| *key != secret) {
                return Err((StatusCode::UNAUTHORIZED, "AADSTS7000215: Invalid client secret provided.".to_owned()));
            }
        }
        other => return Err(bad(format!("AADSTS70003: The app requested an unsupported grant type '{other}'."))),
    }
    let life = expires_in.unwrap_or(LIFE);
    Ok(to_bytes(&json!({"access_token": issue(number, life), "expires_in": life, "token_type": "Bearer"})))
}

/// Checks what a service account asserts, and, of an account that is known, that it did.
fn assertion(jwt: &str, account: Option<&Account>) -> Result<(), String> {
    let parts: Vec<&str> = jwt.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else {
        return Err("Invalid JWT: expected three parts".to_owned());
    };
    let json = |part: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
    if let Some(account) = account {
        let signed = jwt.rsplit_once('.').map_or("", |(signed, _)| signed);
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        if !account.signed(signed.as_bytes(), &signature) {
            return Err("Invalid JWT Signature.".to_owned());
        }
        if json(claims).is_none_or(|claims| claims["iss"] != account.email) {
            return Err("Invalid grant: account not found".to_owned());
        }
    }
    let header = json(header).ok_or("Invalid JWT: the header is not base64url of JSON")?;
    let claims = json(claims).ok_or("Invalid JWT: the claims are not base64url of JSON")?;
    if header["alg"] != "RS256" || URL_SAFE_NO_PAD.decode(signature).is_ok_and(|bytes| bytes.is_empty()) {
        return Err(format!("Invalid JWT: expected RS256 and a signature, found {}", header["alg"]));
    }
    for name in ["iss", "aud", "scope"] {
        if claims[name].as_str().is_none_or(str::is_empty) {
            return Err(format!("Invalid JWT: Required claim '{name}' is missing"));
        }
    }
    let (Some(begun), Some(end)) = (claims["iat"].as_u64(), claims["exp"].as_u64()) else {
        return Err("Invalid JWT: `iat` and `exp` must be whole seconds".to_owned());
    };
    let lawful = begun <= now().saturating_add(SKEW) && end > now() && end.saturating_sub(begun) <= LIFE;
    match lawful {
        true => Ok(()),
        false => Err("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.".to_owned()),
    }
}

/// An error in OAuth 2's shape.
pub fn error(status: StatusCode, message: &str) -> Bytes {
    let kind = match status.as_u16() {
        400 => "invalid_grant",
        401 | 403 => "invalid_client",
        503 => "temporarily_unavailable",
        500.. => "server_error",
        _ => "invalid_request",
    };
    to_bytes(&json!({"error": kind, "error_description": message}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(algorithm: &str, claims: Value) -> String {
        let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.c2ln", part(json!({"alg": algorithm})), part(claims))
    }

    fn given(form: &str) -> Result<Value, String> {
        let keys = Keys { key: Some("s+1".to_owned()), ..Keys::default() };
        let answer = token(form.as_bytes(), &keys, 7, Some(60)).map_err(|(status, why)| format!("{status} {why}"))?;
        Ok(serde_json::from_slice(&answer).unwrap())
    }

    #[test]
    fn both_grants() {
        let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
        let claims = |end: u64| json!({"iss": "a@b", "aud": "x/token", "scope": "s", "iat": now(), "exp": now() + end});
        let client = "grant_type=client_credentials&client_id=i&scope=s";
        for (form, want) in [
            (format!("{grant}{}", jwt("RS256", claims(3600))), ""),
            (format!("{client}&client_secret=s%2B1"), ""),
            (format!("{grant}{}", jwt("RS256", claims(3601))), "400 Bad Request Invalid JWT: Token must be"),
            (format!("{grant}{}", jwt("RS256", json!({"iss": "a"}))), "claim 'aud' is missing"),
            (format!("{grant}{}", jwt("none", claims(1))), "expected RS256"),
            (format!("{grant}x"), "three parts"),
            (format!("{client}&client_secret=other"), "401 Unauthorized AADSTS7000215"),
            (client.to_owned(), "'client_secret'"),
            ("grant_type=password".to_owned(), "AADSTS70003"),
            (String::new(), "'grant_type'"),
        ] {
            match given(&form) {
                Ok(answer) => {
                    assert_eq!(
                        (want, &answer["expires_in"], &answer["token_type"]),
                        ("", &json!(60), &json!("Bearer"))
                    );
                    assert!(answer["access_token"].as_str().unwrap().ends_with(".7"));
                }
                Err(error) => assert!(!want.is_empty() && error.contains(want), "{form}: {error}"),
            }
        }
    }
}
