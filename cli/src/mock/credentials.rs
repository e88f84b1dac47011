//! Whether a request brings the credential that its provider wants, where that provider looks for it: in comes the request, out
//! comes nothing, or the refusal that the provider would answer. Without `--key` any credential will do where one is needed.

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::StatusCode;
use hyper::http::request::Parts;

use super::account::Account;
use super::bedrock::sigv4::{self, AwsKey};
use super::refused::Refused;
use super::route::{Provider, Route};

/// How the tokens begin that the mock gives; their expiry (seconds since 1970) follows, so that any mock can judge it.
const ISSUED: &str = "weir-mock-token.";

/// What the mock accepts.
#[derive(Debug, Default)]
pub struct Keys {
    /// The API key or bearer token; absent: any.
    pub key: Option<String>,
    /// What signs requests to Bedrock; absent: a signature's form is looked at alone.
    pub aws: Option<AwsKey>,
    /// Who asks for Google's tokens; absent: an assertion's signature is not looked at.
    pub account: Option<Account>,
}

/// A token of this mock that lives so long.
pub fn issue(number: u64, seconds: u64) -> String {
    format!("{ISSUED}{}.{number}", now().saturating_add(seconds))
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// Judges a request's credential.
pub fn check(keys: &Keys, route: &Route, parts: &Parts, body: &[u8]) -> Result<(), Refused> {
    match route.provider {
        Provider::OAuth => Ok(()),
        Provider::Anthropic => anthropic(keys, parts),
        Provider::Google => google(keys, parts),
        Provider::Bedrock => bedrock(keys, parts, body),
        Provider::Azure => azure(keys, parts),
        Provider::Cohere => bearer_or(keys, parts, StatusCode::UNAUTHORIZED, "no api key supplied"),
        Provider::OpenAi | Provider::Ai21 | Provider::Databricks if keys.key.is_none() => Ok(()),
        Provider::OpenAi | Provider::Ai21 | Provider::Databricks => bearer_or(
            keys,
            parts,
            StatusCode::UNAUTHORIZED,
            "You didn't provide an API key in an Authorization header.",
        ),
    }
}

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

fn bearer(parts: &Parts) -> Option<&str> {
    header(parts, "authorization").and_then(|value| value.strip_prefix("Bearer "))
}

fn query<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let pairs = parts.uri.query().unwrap_or_default().split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// A key that is the right one, or a token of a mock's that is not over yet.
fn accepted(keys: &Keys, given: &str) -> Result<(), Refused> {
    let unauthorized = |message: &str| Err((StatusCode::UNAUTHORIZED, message.to_owned()));
    if let Some(rest) = given.strip_prefix(ISSUED) {
        let expiry = rest.split('.').next().and_then(|expiry| expiry.parse::<u64>().ok()).unwrap_or(0);
        return if now() < expiry { Ok(()) } else { unauthorized("the access token has expired") };
    }
    match &keys.key {
        Some(key) if key != given => unauthorized("Incorrect API key provided"),
        _ => Ok(()),
    }
}

fn bearer_or(keys: &Keys, parts: &Parts, status: StatusCode, message: &str) -> Result<(), Refused> {
    match bearer(parts) {
        Some(token) => accepted(keys, token),
        None => Err((status, message.to_owned())),
    }
}

fn anthropic(keys: &Keys, parts: &Parts) -> Result<(), Refused> {
    match header(parts, "x-api-key").or_else(|| bearer(parts)) {
        None => return Err((StatusCode::UNAUTHORIZED, "x-api-key header is required".to_owned())),
        Some(key) => accepted(keys, key).map_err(|(status, _)| (status, "invalid x-api-key".to_owned()))?,
    }
    match header(parts, "anthropic-version") {
        // A date; which ones there are is not for a mock to know.
        Some(date) if humantime::parse_rfc3339_weak(&format!("{date} 00:00:00")).is_ok() => Ok(()),
        Some(other) => Err((StatusCode::BAD_REQUEST, format!("anthropic-version: \"{other}\" is not a valid version"))),
        None => Err((StatusCode::BAD_REQUEST, "anthropic-version: header is required".to_owned())),
    }
}

fn azure(keys: &Keys, parts: &Parts) -> Result<(), Refused> {
    if parts.uri.path().contains("/openai/deployments/") && query(parts, "api-version").is_none() {
        return Err((StatusCode::NOT_FOUND, "Resource not found: expected ?api-version=".to_owned()));
    }
    match header(parts, "api-key").or_else(|| bearer(parts)) {
        Some(key) => accepted(keys, key),
        None => Err((
            StatusCode::UNAUTHORIZED,
            "Access denied due to invalid subscription key or wrong API endpoint.".to_owned(),
        )),
    }
}

/// A project's models want an access token; others take an API key too.
fn google(keys: &Keys, parts: &Parts) -> Result<(), Refused> {
    let key = header(parts, "x-goog-api-key").or_else(|| query(parts, "key"));
    match (bearer(parts), key) {
        (Some(token), _) => accepted(keys, token),
        (None, Some(_)) if parts.uri.path().contains("/projects/") => Err((
            StatusCode::UNAUTHORIZED,
            "API keys are not supported by this API. Expected OAuth2 access token or other authentication credentials that assert a principal.".to_owned(),
        )),
        (None, Some(key)) => accepted(keys, key).map_err(|_| {
            (StatusCode::BAD_REQUEST, "API key not valid. Please pass a valid API key.".to_owned())
        }),
        (None, None) => Err((
            StatusCode::FORBIDDEN,
            "Method doesn't allow unregistered callers (callers without established identity).".to_owned(),
        )),
    }
}

fn bedrock(keys: &Keys, parts: &Parts, body: &[u8]) -> Result<(), Refused> {
    let forbidden = |message: String| (StatusCode::FORBIDDEN, message);
    match header(parts, "authorization") {
        Some(value) if value.starts_with("Bearer ") => {
            bearer_or(keys, parts, StatusCode::FORBIDDEN, "").map_err(|(_, why)| forbidden(why))
        }
        Some(value) => sigv4::verify(value, parts, body, keys.aws.as_ref(), now()).map_err(forbidden),
        None => Err(forbidden("Missing Authentication Token".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(key: Option<&str>, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = hyper::Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let keys = Keys { key: key.map(str::to_owned), ..Keys::default() };
        check(&keys, &Route::of(&parts), &parts, b"").err().map_or(200, |(status, _)| status.as_u16())
    }

    #[test]
    fn each_provider_looks_in_its_own_place() {
        let version = ("anthropic-version", "2023-06-01");
        let bearer = ("authorization", "Bearer k");
        let azure = "/openai/deployments/d/chat/completions";
        let gemini = "/v1beta/models/g:generateContent";
        let vertex = "/v1/projects/p/locations/r/publishers/google/models/g:generateContent";
        for (path, headers, any, right, wrong) in [
            ("/v1/chat/completions", vec![], 200, 401, 401),
            ("/v1/chat/completions", vec![bearer], 200, 200, 401),
            ("/v1/messages", vec![("x-api-key", "k"), version], 200, 200, 401),
            ("/v1/messages", vec![bearer, version], 200, 200, 401),
            ("/v1/messages", vec![("x-api-key", "k")], 400, 400, 401),
            ("/v1/messages", vec![("x-api-key", "k"), ("anthropic-version", "v1")], 400, 400, 401),
            ("/v1/messages", vec![version], 401, 401, 401),
            (azure, vec![("api-key", "k")], 404, 404, 404),
            ("/openai/deployments/d/chat/completions?api-version=1", vec![("api-key", "k")], 200, 200, 401),
            (gemini, vec![], 403, 403, 403),
            (gemini, vec![("x-goog-api-key", "k")], 200, 200, 400),
            ("/v1beta/models/g:generateContent?key=k", vec![], 200, 200, 400),
            (vertex, vec![("x-goog-api-key", "k")], 401, 401, 401),
            (vertex, vec![bearer], 200, 200, 401),
            ("/model/m/converse", vec![], 403, 403, 403),
            ("/model/m/converse", vec![bearer], 200, 200, 403),
            ("/v2/chat", vec![], 401, 401, 401),
        ] {
            let got = [None, Some("k"), Some("other")].map(|key| judged(key, path, &headers));
            assert_eq!(got, [any, right, wrong], "{path} {headers:?}");
        }
    }

    #[test]
    fn issued_tokens_end() {
        let path = "/v1/projects/p/locations/r/publishers/google/models/g:generateContent";
        let with = |token: String| judged(Some("k"), path, &[("authorization", &format!("Bearer {token}"))]);
        assert_eq!((with(issue(1, 60)), with(issue(1, 0)), with(format!("{ISSUED}x"))), (200, 401, 401));
    }
}
