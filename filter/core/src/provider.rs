//! What goes to a provider and comes back: headers, path and credential per served entity. Nothing of one provider reaches
//! the next one, and nothing of the caller's reaches any: what is not on the list below is removed.

use std::borrow::Cow;

use crate::{
    api::Api,
    config::{Credential, Endpoint, Provider, ServedEntity},
    headers::Headers,
    host::Effect,
    reply::text,
    translate::{Target, provider::Wire},
};

/// Request headers that every provider may see, and the trace: all others stay here. The pseudo headers are set per
/// attempt, `content-length` with the body.
const FORWARDED: &[&str] = &[
    ":method",
    ":scheme",
    ":path",
    ":authority",
    "accept",
    "content-length",
    "content-type",
    "traceparent",
    "tracestate",
    // Envoy finds no route without it; an upstream filter takes it off (`weir render`).
    "x-forwarded-proto",
];

/// Request headers of one provider's API: they reach a primary that speaks it, and no fallback.
const OF_API: &[(Wire, &str)] =
    &[(Wire::OpenAi, "openai-beta"), (Wire::Anthropic, "anthropic-version"), (Wire::Anthropic, "anthropic-beta")];

/// The version of Anthropic's API that this is written for: where the caller says none.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Response headers that tell of the provider's account, host or credential, are for its own clients alone, or are Weir's
/// own to set.
const KEPT_BACK: &[&str] = &[
    "alt-svc",
    "anthropic-organization-id",
    "content-location",
    "location",
    "openai-organization",
    "openai-project",
    "served-model-name",
    "server",
    "set-cookie",
    "www-authenticate",
];

const KEPT_BACK_PREFIXES: &[&str] = &["anthropic-ratelimit-", "x-ratelimit-", "x-weir-"];

/// What is asked of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub api: Api,
    pub stream: bool,
}

/// Removes whatever the API of the first provider does not define: the caller's credential, identity, cookies, forwarding
/// and routing headers with it.
pub fn scrub_request(headers: &Headers, primary: &ServedEntity, effects: &mut Vec<Effect>) {
    let wire = primary.provider.wire();
    let is_of_api = |name: &str| OF_API.iter().any(|(of, known)| *of == wire && *known == name);
    for (name, _) in headers.iter() {
        if !FORWARDED.contains(&name) && !is_of_api(name) {
            effects.push(Effect::RemoveRequestHeader(Cow::Owned(name.to_owned())));
        }
    }
}

/// Leaves nothing that one provider alone may see: for an attempt whose entity is not known.
pub fn strip_request(headers: &Headers, effects: &mut Vec<Effect>) {
    for (name, _) in headers.iter().filter(|(name, _)| !FORWARDED.contains(name)) {
        effects.push(Effect::RemoveRequestHeader(Cow::Owned(name.to_owned())));
    }
}

/// The headers that attempts at these entities set, each once: see [`Endpoint::own_headers`].
pub fn own_headers(entities: &[ServedEntity]) -> Vec<Cow<'static, str>> {
    let mut names: Vec<Cow<'static, str>> =
        entities.iter().filter_map(|entity| entity.credential.header()).cloned().collect();
    for entity in entities {
        match &entity.provider {
            Provider::Anthropic => names.push(Cow::Borrowed("anthropic-version")),
            Provider::OpenAi { organization: Some(_) } => names.push(Cow::Borrowed("openai-organization")),
            _ => {}
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Points the request at `entity`. Headers of an earlier attempt persist, so each is overwritten or removed.
/// `authority_header`: where the host goes, see [`crate::paths::AUTHORITY_HEADER`]. `headers`: the caller's, where they are
/// still there.
pub fn address(
    endpoint: &Endpoint,
    entity: &ServedEntity,
    call: Call,
    authority_header: &'static str,
    headers: Option<&Headers>,
    effects: &mut Vec<Effect>,
) {
    effects.push(Effect::SetRequestHeader(":path".into(), text(path(entity, call))));
    effects.push(Effect::SetRequestHeader(authority_header.into(), text(entity.upstream.authority.clone())));
    for name in &endpoint.own_headers {
        let value = match (&entity.credential, &entity.provider) {
            (Credential::Header { name: own, value }, _) if own == name => Some(value.expose()),
            (_, Provider::OpenAi { organization }) if name == "openai-organization" => organization.as_deref(),
            (_, Provider::Anthropic) if name == "anthropic-version" => {
                // The caller's own says what shape of answer he can read.
                if call.api.is_anthropic() && headers.is_some_and(|headers| headers.value(name).is_some()) {
                    continue;
                }
                Some(ANTHROPIC_VERSION)
            }
            _ => None,
        };
        let name = name.clone();
        effects.push(match value {
            Some(value) => Effect::SetRequestHeader(name, text(value.to_owned())),
            None => Effect::RemoveRequestHeader(name),
        });
    }
    if headers.is_none() {
        // What the caller sent for the first provider's API is not for this one's.
        for name in ["openai-beta", "anthropic-beta"] {
            effects.push(Effect::RemoveRequestHeader(name.into()));
        }
    }
}

/// Whom a translated request is for.
pub fn target(entity: &ServedEntity) -> Target<'_> {
    let is_openai = match entity.provider {
        Provider::Azure { .. } => true,
        Provider::OpenAi { .. } => entity.upstream.host == "api.openai.com",
        _ => false,
    };
    Target { model: &entity.model, is_openai }
}

fn path(entity: &ServedEntity, call: Call) -> String {
    let prefix = &entity.upstream.path_prefix;
    let own = match (&entity.provider, call.api) {
        (Provider::Anthropic, Api::CountTokens) => "/v1/messages/count_tokens",
        (Provider::Anthropic, _) => "/v1/messages",
        (_, Api::Completions) => "/completions",
        (_, Api::Embeddings) => "/embeddings",
        (Provider::Azure { .. } | Provider::OpenAi { .. }, Api::Responses) => "/responses",
        _ => "/chat/completions",
    };
    match &entity.provider {
        // Of all of Azure's APIs the responses alone know no deployment in the path.
        Provider::Azure { .. } if own == "/responses" => format!("{prefix}/openai/v1/responses"),
        Provider::Azure { deployment, api_version } => {
            format!("{prefix}/openai/deployments/{deployment}{own}?api-version={api_version}")
        }
        Provider::Databricks => format!("{prefix}/serving-endpoints{own}"),
        Provider::Model { .. } if call.api == Api::Predict => prefix.clone(),
        _ => format!("{prefix}{own}"),
    }
}

/// Removes what a provider's answer says to its own clients alone.
pub fn scrub_response(headers: &Headers, effects: &mut Vec<Effect>) {
    for (name, _) in headers.iter() {
        if KEPT_BACK.contains(&name) || KEPT_BACK_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            effects.push(Effect::RemoveResponseHeader(Cow::Owned(name.to_owned())));
        }
    }
}

/// Whether an answer with this status is the next entity's turn: 429, 5xx, and a refusal of Weir's own credential.
pub fn is_failure(status: u16) -> bool {
    matches!(status, 401 | 403 | 429 | 500..=599)
}
