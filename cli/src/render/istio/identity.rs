//! The policy's `jwt` source for Istio: a RequestAuthentication, by which istiod gives the gateway the issuer's keys. Istio
//! itself would answer a token that is none, so an API key, with a 401 of its own; on Weir's routes a requirement of Weir's
//! takes its place, as in `render/jwt.rs`: what fails goes on to the filter, which answers and records it.

use std::path::Path;

use serde_json::{Value, json};
use weir_core::config::Config;

use super::{Args, resource, selector};
use crate::render::jwt;

/// Of the one `jwt` source that a policy may have.
pub enum Keys {
    /// The content of `jwks_file`.
    Inline(String),
    Uri(String),
}

/// `None` where no source is a JWT.
pub fn read_keys(config: &Config, policy_folder: &Path, uri: Option<&str>) -> Result<Option<Keys>, String> {
    match uri {
        Some(uri) => Ok(jwt::sources(config).next().map(|_| Keys::Uri(uri.to_owned()))),
        None => Ok(jwt::read_keys(config, policy_folder)?.map(Keys::Inline)),
    }
}

pub fn request_authentication(args: &Args, config: &Config, keys: &Keys) -> Value {
    let rules: Vec<_> = jwt::sources(config)
        .map(|source| {
            let mut rule = json!({
                "issuer": source.issuer,
                "audiences": source.audiences,
                // The filter must see that evidence was there; it removes the header itself.
                "forwardOriginalToken": true,
                // Stated, since the default takes a token from the query string too.
                "fromHeaders": [{"name": "authorization", "prefix": "Bearer "}],
            });
            match keys {
                Keys::Inline(keys) => rule["jwks"] = keys.as_str().into(),
                Keys::Uri(uri) => rule["jwksUri"] = uri.as_str().into(),
            }
            rule
        })
        .collect();
    resource(
        args,
        ("security.istio.io/v1", "RequestAuthentication", &args.name),
        json!({"selector": {"matchLabels": selector(args)}, "jwtRules": rules}),
    )
}

/// What is merged into the jwt_authn that istiod makes of it. `origins-0` is istiod's name for the first rule.
pub fn requirement(config: &Config) -> Option<Value> {
    jwt::sources(config).next()?;
    let any = json!([{"provider_name": "origins-0"}, {"allow_missing_or_failed": {}}]);
    Some(json!({"requirement_map": {jwt::REQUIREMENT: {"requires_any": {"requirements": any}}}}))
}
