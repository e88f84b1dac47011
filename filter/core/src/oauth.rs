//! Tokens that must be fetched before a provider can be asked: what is granted to whom, the POST that asks for one, and what the
//! answer says. When that is done is the business of [`keeper`]. A token and what it is asked for with are never shown.

pub mod keeper;
mod number;
pub mod rsa;
mod shared;

use std::cell::RefCell;

use sha2::{Digest, Sha256};

use self::rsa::PrivateKey;
pub use self::shared::create_key;
use crate::{
    base64,
    post::Post,
    secret::Secret,
    translate::json::{Json, Object},
    upstream::Upstream,
};

/// What a token is asked for with, and the token that is held.
#[derive(Debug)]
pub struct Grant {
    /// As messages have it: the endpoint's name and the entity's.
    pub name: String,
    /// The cluster behind which the token's server is.
    pub cluster: String,
    /// Where the token's server is; the path is all of the prefix.
    pub upstream: Upstream,
    pub kind: Kind,
    held: RefCell<Option<Held>>,
}

#[derive(Debug)]
pub enum Kind {
    /// OAuth 2's client credentials (RFC 6749, section 4.4), as Microsoft's Entra ID has them.
    Client { id: String, secret: Secret, scope: String },
    /// A JWT bearer (RFC 7523), as Google has it for service accounts. `None`: the secret is missing.
    ServiceAccount(Option<ServiceAccount>),
}

#[derive(Debug)]
pub struct ServiceAccount {
    pub email: String,
    pub key_id: Option<String>,
    /// Whom the JWT is for: the token's server, as the account's file names it.
    pub audience: String,
    pub key: PrivateKey,
}

/// A token in this worker. Times are nanoseconds since the Unix epoch.
#[derive(Debug)]
struct Held {
    /// With `Bearer`.
    authorization: Secret,
    renew_at: u64,
    expires_at: u64,
}

/// How long the token's server may take.
const TIMEOUT_MS: u64 = 10_000;
/// Google takes no longer ones.
const JWT_SECONDS: u64 = 3600;
/// Google refuses a JWT from its future: Envoy's clock may be ahead by this.
const SKEW_SECONDS: u64 = 10;
/// What all of Google's models take.
const GOOGLE_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Where the server does not say how long a token lives (RFC 6749 lets it).
const UNSAID_SECONDS: u64 = 300;
/// A longer life is cut: who knows who will have taken it back by then.
const MAX_SECONDS: u64 = 86_400;
/// Envoy's own bound for all of a request's headers is 60 KiB.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// What a token's server gave.
#[derive(PartialEq, Eq)]
struct Given {
    token: String,
    seconds: u64,
}

impl Grant {
    pub fn new(upstream: Upstream, kind: Kind) -> Self {
        Self { name: String::new(), cluster: String::new(), upstream, kind, held: RefCell::new(None) }
    }

    /// The whole `authorization` value at `now`; `None`: there is no token, or it has expired.
    pub fn authorization(&self, now: u64) -> Option<String> {
        let held = self.held.borrow();
        held.as_ref().filter(|held| now < held.expires_at).map(|held| held.authorization.expose().to_owned())
    }

    /// Whether [`Grant::authorization`] has one.
    pub fn is_ready(&self, now: u64) -> bool {
        self.held.borrow().as_ref().is_some_and(|held| now < held.expires_at)
    }

    /// Asks for a token.
    fn post(&self, now: u64) -> Option<Post> {
        let body = match &self.kind {
            Kind::Client { id, secret, scope } => form(&[
                ("grant_type", "client_credentials"),
                ("client_id", id),
                ("client_secret", secret.expose()),
                ("scope", scope),
            ]),
            Kind::ServiceAccount(account) => form(&[
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", &account.as_ref()?.assertion(now)?),
            ]),
        };
        let headers = vec![
            (":method", "POST".to_owned()),
            (":scheme", if self.upstream.tls { "https" } else { "http" }.to_owned()),
            (":authority", self.upstream.authority.clone()),
            (":path", self.upstream.path_prefix.clone()),
            ("accept", "application/json".to_owned()),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ];
        Some(Post { cluster: self.cluster.clone(), headers, body: body.into_bytes(), timeout_ms: TIMEOUT_MS })
    }

    /// The shared data's key of the token: the same for the same grant in any worker and configuration.
    fn shared_key(&self) -> String {
        let Upstream { authority, path_prefix, .. } = &self.upstream;
        let parts = match &self.kind {
            Kind::Client { id, secret, scope } => {
                [authority, path_prefix, id, secret.expose(), scope].map(str::to_owned)
            }
            Kind::ServiceAccount(None) => Default::default(),
            Kind::ServiceAccount(Some(ServiceAccount { email, audience, key_id, key })) => {
                let key_id = key_id.clone().unwrap_or_default();
                let key = base64::encode(&key.public());
                [format!("{authority}{path_prefix}"), email.clone(), audience.clone(), key_id, key]
            }
        };
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        let hash = hash.finalize();
        format!("weir.token.{}", base64::encode_url(hash.get(..16).unwrap_or_default()))
    }
}

impl ServiceAccount {
    /// The file that Google gives for a key of the account. `None`: it is none.
    pub fn from_json(text: &str) -> Option<Self> {
        let file = Json::parse_owned(text).ok()?;
        let of = |key: &str| file.get(key).and_then(Json::as_text).map(str::to_owned);
        Some(Self {
            email: of("client_email")?,
            key_id: of("private_key_id"),
            audience: of("token_uri").unwrap_or_else(|| GOOGLE_TOKENS.to_owned()),
            key: PrivateKey::from_pem(&of("private_key")?)?,
        })
    }

    /// A signed JWT.
    fn assertion(&self, now: u64) -> Option<String> {
        let begun = (now / 1_000_000_000).saturating_sub(SKEW_SECONDS);
        let header = Object::new().with("alg", "RS256").with("typ", "JWT").maybe("kid", self.key_id.as_deref());
        let claims = Object::new()
            .with("iss", self.email.as_str())
            .with("scope", GOOGLE_SCOPE)
            .with("aud", self.audience.as_str())
            .with("iat", begun)
            .with("exp", begun.saturating_add(JWT_SECONDS));
        let signed = format!("{}.{}", base64::encode_url(&header.to_bytes()), base64::encode_url(&claims.to_bytes()));
        let signature = self.key.sign(signed.as_bytes())?;
        Some(format!("{signed}.{}", base64::encode_url(&signature)))
    }
}

/// Whom a JWT is for where the account's file does not say.
const GOOGLE_TOKENS: &str = "https://oauth2.googleapis.com/token";

/// `application/x-www-form-urlencoded`.
fn form(fields: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (name, value) in fields {
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(name);
        form.push('=');
        for byte in value.bytes() {
            match byte {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => form.push(byte.into()),
                _ => form.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    form
}

/// Reads a token server's answer.
///
/// # Errors
///
/// Why there is no token, for an operator: of the answer only what OAuth 2 puts there for him.
fn given(status: Option<u16>, body: &[u8]) -> Result<Given, String> {
    let Some(status) = status.filter(|status| *status != 0) else {
        return Err("its server did not answer: is its cluster in Envoy, and can it be reached?".to_owned());
    };
    let answer = Json::parse(body).ok();
    let of = |key: &str| answer.as_ref().and_then(|answer| answer.get(key));
    if !(200..300).contains(&status) {
        let words = ["error", "error_description"].into_iter().filter_map(|key| of(key)?.as_text());
        let words: String =
            words.collect::<Vec<_>>().join(": ").chars().filter(|c| !c.is_control()).take(300).collect();
        return Err(format!("its server answered {status} {words}").trim_end().to_owned());
    }
    let token = of("access_token").and_then(Json::as_text).filter(|token| {
        !token.is_empty() && token.len() <= MAX_TOKEN_BYTES && token.bytes().all(|byte| byte.is_ascii_graphic())
    });
    let token = token.ok_or_else(|| format!("its server answered {status} without an `access_token`"))?;
    // Some servers write the number as a text.
    let seconds = of("expires_in").and_then(|life| life.as_u64().or_else(|| life.as_text()?.parse().ok()));
    Ok(Given { token: token.to_owned(), seconds: seconds.unwrap_or(UNSAID_SECONDS).clamp(1, MAX_SECONDS) })
}

#[cfg(test)]
mod tests;
