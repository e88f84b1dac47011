//! What goes to a provider and comes back: headers, path and credential per served entity. Nothing of one provider reaches
//! the next one, and nothing of the caller's reaches any: what is not on the list below is removed.

use std::borrow::Cow;

use crate::{
    config::{Provider, ServedEntity, Task},
    headers::Headers,
    host::Effect,
    reply::text,
};

/// Request headers that a provider's API defines, and the trace: all others stay here. The pseudo headers are set per
/// attempt, `content-length` with the body.
const FORWARDED: &[&str] = &[
    ":method",
    ":scheme",
    ":path",
    ":authority",
    "accept",
    "content-length",
    "content-type",
    "openai-beta",
    "traceparent",
    "tracestate",
    // Envoy finds no route without it; an upstream filter takes it off (`weir render`).
    "x-forwarded-proto",
];

/// Headers that an attempt sets: gone from the request before anybody but the provider can see them.
pub const CREDENTIALS: &[&str] = &["authorization", "openai-organization"];

/// Response headers that tell of the provider's account, host or credential, are for its own clients alone, or are Weir's
/// own to set.
const KEPT_BACK: &[&str] = &[
    "alt-svc",
    "content-location",
    "location",
    "openai-organization",
    "openai-project",
    "served-model-name",
    "server",
    "set-cookie",
    "www-authenticate",
];

/// Removes whatever a provider's API does not define: the caller's credential, identity, cookies, forwarding and routing
/// headers with it.
pub fn scrub_request(headers: &Headers, effects: &mut Vec<Effect>) {
    for (name, _) in headers.iter() {
        if !FORWARDED.contains(&name) {
            effects.push(Effect::RemoveRequestHeader(Cow::Owned(name.to_owned())));
        }
    }
}

/// Points the request at `entity`. Headers of an earlier attempt persist, so each is overwritten or removed.
/// `authority_header`: where the host goes, see [`crate::paths::AUTHORITY_HEADER`].
pub fn address(entity: &ServedEntity, task: Task, authority_header: &'static str, effects: &mut Vec<Effect>) {
    let upstream = &entity.upstream;
    let path = match task {
        Task::Chat => "/chat/completions",
        Task::Completions => "/completions",
        Task::Embeddings => "/embeddings",
    };
    effects.push(Effect::SetRequestHeader(":path".into(), text(format!("{}{path}", upstream.path_prefix))));
    effects.push(Effect::SetRequestHeader(authority_header.into(), text(upstream.authority.clone())));
    match &entity.provider {
        Provider::OpenAi { authorization, organization } => {
            effects.push(Effect::SetRequestHeader("authorization".into(), text(authorization.expose().to_owned())));
            effects.push(match organization {
                Some(organization) => {
                    Effect::SetRequestHeader("openai-organization".into(), text(organization.clone()))
                }
                None => Effect::RemoveRequestHeader("openai-organization".into()),
            });
        }
    }
}

/// Removes what a provider's answer says to its own clients alone.
pub fn scrub_response(headers: &Headers, effects: &mut Vec<Effect>) {
    for (name, _) in headers.iter() {
        if KEPT_BACK.contains(&name) || name.starts_with("x-ratelimit-") || name.starts_with("x-weir-") {
            effects.push(Effect::RemoveResponseHeader(Cow::Owned(name.to_owned())));
        }
    }
}

/// Whether an answer with this status is the next entity's turn: 429, 5xx, and a refusal of Weir's own credential.
pub fn is_failure(status: u16) -> bool {
    matches!(status, 401 | 403 | 429 | 500..=599)
}
