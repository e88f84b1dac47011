//! Envoy's jwt_authn for `identity.sources[].jwt`: it verifies, the filter decides. A missing or bad token passes, since
//! Weir answers and records every 401 itself: what it trusts is the verified payload in the metadata, never the header.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use weir_core::config::{Config, Jwt, Source};

pub const FILTER: &str = "envoy.filters.http.jwt_authn";
const REQUIREMENT: &str = "weir";

/// `None` where no source is a JWT. Relative key files are those of `policy_folder`, which is absolute: Envoy's working
/// directory is anybody's guess.
pub fn filter(config: &Config, policy_folder: &Path) -> Option<Value> {
    let jwts: Vec<_> = sources(config).collect();
    if jwts.is_empty() {
        return None;
    }
    let name = |index: usize| format!("jwt-{index}");
    let providers: Map<_, _> =
        jwts.iter().enumerate().map(|(i, jwt)| (name(i), provider(jwt, policy_folder))).collect();
    let mut any: Vec<_> = (0..jwts.len()).map(|i| json!({"provider_name": name(i)})).collect();
    any.push(json!({"allow_missing_or_failed": {}}));
    Some(json!({
        "name": FILTER,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": providers,
            "requirement_map": {REQUIREMENT: {"requires_any": {"requirements": any}}},
        },
    }))
}

/// For Weir's own routes, so that no other request pays for a verification or learns what a token is.
pub fn per_route(config: &Config) -> Option<Value> {
    sources(config).next()?;
    Some(json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
        "requirement_name": REQUIREMENT,
    }))
}

pub fn sources(config: &Config) -> impl Iterator<Item = &Jwt> {
    config.identity.sources.iter().filter_map(|source| match source {
        Source::Jwt(jwt) => Some(jwt),
        _ => None,
    })
}

/// Where a JWT source's keys lie.
pub fn key_file(jwt: &Jwt, policy_folder: &Path) -> PathBuf {
    policy_folder.join(&jwt.jwks_file)
}

fn provider(jwt: &Jwt, policy_folder: &Path) -> Value {
    json!({
        "issuer": jwt.issuer,
        "audiences": jwt.audiences,
        "local_jwks": {"filename": key_file(jwt, policy_folder)},
        // The filter must see that evidence was there; it removes the header itself.
        "forward": true,
        "payload_in_metadata": "jwt_payload",
        // Stated, since the default takes a token from the query string too.
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
    })
}
