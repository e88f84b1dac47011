//! Envoy's jwt_authn for `identity.sources[].jwt`: it verifies, the filter decides. A missing or bad token passes, since
//! Weir answers and records every 401 itself: what it trusts is the verified payload in the metadata, never the header.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use weir_core::config::{Config, Jwt, Source};

pub const FILTER: &str = "envoy.filters.http.jwt_authn";
pub const REQUIREMENT: &str = "weir";

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

/// The content of the one `jwks_file` that a policy may name, for pods that do not have it. `None` where no source is a JWT.
pub fn read_keys(config: &Config, policy_folder: &Path) -> Result<Option<String>, String> {
    let Some(file) = sources(config).next().map(|jwt| key_file(jwt, policy_folder)) else { return Ok(None) };
    let wrong = |error: &dyn std::fmt::Display| {
        format!("jwks_file `{}`: expected JSON web keys, which are rendered: {error}", file.display())
    };
    let text = std::fs::read_to_string(&file).map_err(|error| wrong(&error))?;
    let keys: Value = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    Ok(Some(keys.to_string()))
}

/// The issuer's keys into the jwt_authn filter: where the file that a policy names is not at hand.
pub fn set_keys(bootstrap: &mut Value, keys: &str) {
    for settings in settings(bootstrap) {
        let providers = settings["providers"].as_object_mut();
        for provider in providers.into_iter().flat_map(|providers| providers.values_mut()) {
            provider["local_jwks"] = json!({"inline_string": keys});
        }
    }
}

/// Names the providers by the keys, which stay in their file: Envoy reads that again where the configuration is another one. Not
/// the keys themselves, since `/config_dump` would show those that are secret (HS256).
pub fn name_by_keys(bootstrap: &mut Value, keys: &str) {
    let hash = Config::hash_of(keys.as_bytes());
    for settings in settings(bootstrap) {
        if let Some(providers) = settings["providers"].as_object_mut() {
            *providers = std::mem::take(providers)
                .into_iter()
                .map(|(name, provider)| (format!("{name}-{hash}"), provider))
                .collect();
        }
        let any = format!("/requirement_map/{REQUIREMENT}/requires_any/requirements");
        let named = settings.pointer_mut(&any).and_then(Value::as_array_mut).into_iter().flatten();
        for name in named.filter_map(|requirement| requirement.get_mut("provider_name")) {
            *name = format!("{}-{hash}", name.as_str().unwrap_or_default()).into();
        }
    }
}

fn settings(bootstrap: &mut Value) -> impl Iterator<Item = &mut Value> {
    let filters = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
    let filters = bootstrap.pointer_mut(filters).and_then(Value::as_array_mut).into_iter().flatten();
    filters.filter(|filter| filter["name"] == FILTER).filter_map(|filter| filter.get_mut("typed_config"))
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
