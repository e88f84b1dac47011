//! What a request presents in `authorization` and `x-api-key`: a key that the policy holds by its SHA-256, or a token that
//! Envoy's jwt_authn has verified before Weir and left as metadata.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::Unauthenticated;
use crate::{
    caller::{Caller, Principal},
    config::{Identity, Jwt, KeyOwner, Source},
    headers::Headers,
    host::Host,
};

/// Where jwt_authn leaves the claims of a token that it found valid.
const METADATA: [&str; 3] = ["metadata", "filter_metadata", "envoy.filters.http.jwt_authn"];
/// Under which name (`payload_in_metadata`): that of `weir render envoy`, and that of Istio's RequestAuthentication.
const PAYLOADS: [&str; 2] = ["jwt_payload", "payload"];

/// Every credential of the request that some source reads: all of them valid.
#[derive(Debug, Default)]
pub struct Credential {
    key: Option<Caller>,
    token: Option<Caller>,
}

impl Credential {
    /// Where neither `api_keys` nor `jwt` is configured a stray `authorization` is nobody's business.
    pub fn read(identity: &Identity, headers: &Headers, host: &impl Host) -> Result<Self, Unauthenticated> {
        let mut keys = None;
        let mut jwt = None;
        for source in &identity.sources {
            match source {
                Source::ApiKeys(configured) => keys = Some(configured),
                Source::Jwt(configured) => jwt = Some(configured),
                Source::Mtls { .. } | Source::Workload { .. } | Source::Header { .. } => {}
            }
        }
        let mut credential = Self::default();
        if let Some(value) = headers.value("authorization").filter(|_| keys.is_some() || jwt.is_some()) {
            let bearer = bearer(value).ok_or(UNKNOWN)?;
            credential.key = keys.and_then(|keys| owner(keys, bearer));
            if credential.key.is_none() {
                credential.token = Some(jwt.and_then(|jwt| verified(jwt, host)).ok_or(UNKNOWN)?);
            }
        }
        if let (Some(value), Some(keys)) = (headers.value("x-api-key"), keys) {
            let owner = owner(keys, value).ok_or(UNKNOWN_KEY)?;
            if credential.key.as_ref().is_some_and(|other| other.principal != owner.principal) {
                return Err(Unauthenticated("the authorization and x-api-key headers belong to different callers"));
            }
            credential.key = Some(owner);
        }
        Ok(credential)
    }

    pub fn take_key(&mut self) -> Option<Caller> {
        self.key.take()
    }

    pub fn take_token(&mut self) -> Option<Caller> {
        self.token.take()
    }
}

const UNKNOWN: Unauthenticated =
    Unauthenticated("the authorization header holds neither a known API key nor a valid token");
const UNKNOWN_KEY: Unauthenticated = Unauthenticated("the x-api-key header does not hold a known API key");

/// The token of `Bearer <token>`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token.trim_ascii())
}

fn owner(keys: &HashMap<[u8; 32], KeyOwner>, key: &[u8]) -> Option<Caller> {
    let digest: [u8; 32] = Sha256::digest(key).into();
    let KeyOwner { principal, groups } = keys.get(&digest)?;
    Some(Caller { principal: principal.clone(), groups: groups.clone() })
}

/// The caller whom a verified token names; a service principal only where it names no user.
fn verified(jwt: &Jwt, host: &impl Host) -> Option<Caller> {
    let (payload, issuer) = PAYLOADS.iter().find_map(|payload| Some((payload, claim(payload, "iss".into(), host)?)))?;
    if text(issuer)? != jwt.issuer {
        return None;
    }
    let claim = |path: &[String]| claim(payload, path.into(), host);
    let named = |path: &Option<Vec<String>>| text(claim(path.as_deref()?)?).filter(|name| !name.is_empty());
    let principal = named(&jwt.user)
        .map(Principal::User)
        .or_else(|| named(&jwt.service_principal).map(Principal::ServicePrincipal))?;
    let groups = jwt.groups.as_deref().and_then(claim);
    Some(Caller { principal, groups: groups.map(list).unwrap_or_default() })
}

/// A claim's path: a name may hold dots itself (`https://example.com/groups`), so the whole name comes first.
enum Claim<'a> {
    Name(&'a str),
    Path(&'a [String]),
}

impl<'a> From<&'a str> for Claim<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl<'a> From<&'a [String]> for Claim<'a> {
    fn from(path: &'a [String]) -> Self {
        match path {
            [name] => Self::Name(name),
            path => Self::Path(path),
        }
    }
}

fn claim(payload: &str, claim: Claim<'_>, host: &impl Host) -> Option<Vec<u8>> {
    let at = |names: &[&str]| host.property(&[&METADATA, &[payload][..], names].concat());
    match claim {
        Claim::Name(name) => at(&[name]),
        Claim::Path(path) => {
            at(&[&path.join(".")]).or_else(|| at(&path.iter().map(String::as_str).collect::<Vec<_>>()))
        }
    }
}

fn text(value: Vec<u8>) -> Option<String> {
    String::from_utf8(value).ok()
}

/// A list claim comes as the pairs of a header map with the elements as names (ENVOY.md, section 5); a single group as
/// its text.
fn list(value: Vec<u8>) -> Vec<String> {
    let declared = value.first_chunk::<4>().map(|count| u32::from_le_bytes(*count) as usize);
    let pairs = Headers::from_host(value.clone());
    let elements: Vec<String> = pairs.iter().map(|(element, _)| element.to_owned()).collect();
    if declared == Some(elements.len()) {
        return elements;
    }
    text(value).filter(|group| !group.is_empty()).into_iter().collect()
}
