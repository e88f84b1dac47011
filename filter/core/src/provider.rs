//! What goes to a provider and comes back: headers, path and credential per served entity. Nothing of one provider reaches
//! the next one, and nothing of the caller's reaches any: what is not on the list below is removed.

use std::borrow::Cow;

use crate::{
    api::Api,
    config::{BedrockMaker, Credential, Endpoint, Provider, ServedEntity},
    headers::Headers,
    host::Effect,
    reply::text,
    restore, sigv4,
    translate::{Target, provider::Wire},
};

/// Request headers that every provider may see, and the trace: all others stay here. The pseudo headers are set per
/// attempt, `content-length` with the body. Envoy finds no route without `x-forwarded-proto`; an upstream filter takes it off
/// (`weir render`).
fn is_forwarded(name: &[u8]) -> bool {
    matches!(
        name,
        b":method"
            | b":scheme"
            | b":path"
            | b":authority"
            | b"accept"
            | b"content-length"
            | b"content-type"
            | b"traceparent"
            | b"tracestate"
            | b"x-forwarded-proto"
    )
}

/// Request headers of one provider's API: they reach a primary that speaks it, and no fallback.
const OF_API: &[(Wire, &[u8])] =
    &[(Wire::OpenAi, b"openai-beta"), (Wire::Anthropic, b"anthropic-version"), (Wire::Anthropic, b"anthropic-beta")];

/// The version of Anthropic's API that this is written for: where the caller says none.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Response headers that tell of the provider's account, host or credential, are for its own clients alone, or are Weir's
/// own to set.
fn is_kept_back(name: &[u8]) -> bool {
    matches!(
        name,
        b"alt-svc"
            | b"anthropic-organization-id"
            | b"content-location"
            | b"location"
            | b"openai-organization"
            | b"openai-project"
            | b"served-model-name"
            | b"server"
            | b"set-cookie"
            | b"www-authenticate"
    ) || KEPT_BACK_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

const KEPT_BACK_PREFIXES: &[&[u8]] =
    &[b"anthropic-ratelimit-", b"x-amzn-", b"x-endpoint-monthly-", b"x-ratelimit-", b"x-trial-endpoint-", b"x-weir-"];

/// What is asked of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub api: Api,
    pub stream: bool,
}

/// Removes whatever the API of the first provider does not define: the caller's credential, identity, cookies, forwarding
/// and routing headers with it. But for what [`address`] sets or removes itself: a write costs a microsecond.
pub fn scrub_request(headers: &Headers, endpoint: &Endpoint, primary: &ServedEntity, effects: &mut Vec<Effect>) {
    let wire = primary.provider.wire();
    let is_of_api = |name: &[u8]| OF_API.iter().any(|(of, known)| *of == wire && *known == name);
    let is_addressed =
        |name: &[u8]| name == b"accept-encoding" || endpoint.own_headers.iter().any(|own| own.as_bytes() == name);
    for name in headers.names() {
        if !is_forwarded(name) && !is_addressed(name) && !is_of_api(name) {
            effects.push(Effect::RemoveRequestHeader(owned(name)));
        }
    }
}

/// Whether a header may be in a request whose first provider is not known yet: some API defines it, or an access log reads it.
pub fn may_go_on(name: &str) -> bool {
    let bytes = name.as_bytes();
    is_forwarded(bytes) || OF_API.iter().any(|(_, known)| *known == bytes) || restore::RESTORED.contains(&name)
}

/// Leaves nothing that one provider alone may see: for an attempt whose entity is not known.
pub fn strip_request(headers: &Headers, effects: &mut Vec<Effect>) {
    for name in headers.names().filter(|name| !is_forwarded(name)) {
        effects.push(Effect::RemoveRequestHeader(owned(name)));
    }
}

/// Envoy keeps names as lower-case ASCII.
fn owned(name: &[u8]) -> Cow<'static, str> {
    Cow::Owned(String::from_utf8_lossy(name).into_owned())
}

/// Points the request at `entity`. Headers of an earlier attempt persist, so each is overwritten or removed.
/// `authority_header`: where the host goes, see [`crate::paths::AUTHORITY_HEADER`]. `headers`: the caller's, where they are
/// still there. `now`: nanoseconds since the Unix epoch, asked for where a token's life is.
pub fn address(
    endpoint: &Endpoint,
    entity: &ServedEntity,
    call: Call,
    authority_header: &'static str,
    headers: Option<&Headers>,
    now: impl Fn() -> u64,
    effects: &mut Vec<Effect>,
) {
    effects.push(Effect::SetRequestHeader(":path".into(), text(path(entity, call))));
    effects.push(Effect::SetRequestHeader(authority_header.into(), text(entity.upstream.authority.clone())));
    for name in &endpoint.own_headers {
        let value = match (&entity.credential, &entity.provider) {
            (Credential::Fetched(grant), _) if name == "authorization" => grant.authorization(now()),
            (Credential::Header { name: own, value }, _) if own == name => Some(value.expose().to_owned()),
            (_, Provider::OpenAi { organization }) if name == "openai-organization" => organization.clone(),
            (_, Provider::Anthropic) if name == "anthropic-version" => {
                // The caller's own says what shape of answer he can read.
                if call.api.is_anthropic() && headers.is_some_and(|headers| headers.value(name).is_some()) {
                    continue;
                }
                Some(ANTHROPIC_VERSION.to_owned())
            }
            _ => None,
        };
        let name = name.clone();
        effects.push(match value {
            Some(value) => Effect::SetRequestHeader(name, text(value)),
            None => Effect::RemoveRequestHeader(name),
        });
    }
    if matches!((&entity.provider, call.api), (Provider::Bedrock { .. }, Api::Embeddings)) {
        // Of InvokeModel it is the answer's own type.
        effects.push(Effect::SetRequestHeader("accept".into(), text("application/json")));
    }
    if headers.is_none() {
        // What the caller sent for the first provider's API is not for this one's.
        for name in ["openai-beta", "anthropic-beta"] {
            effects.push(Effect::RemoveRequestHeader(name.into()));
        }
    }
}

/// Signs a request that [`address`] has pointed at `entity`, where its credential is a signature. `body`: as it will go; `now`:
/// nanoseconds since the Unix epoch.
pub fn sign(entity: &ServedEntity, call: Call, body: &[u8], now: u64, effects: &mut Vec<Effect>) {
    let Credential::Aws(key) = &entity.credential else { return };
    let request = sigv4::Request { host: &entity.upstream.authority, path: &path(entity, call), body };
    for (name, value) in sigv4::sign(request, key, now) {
        effects.push(Effect::SetRequestHeader(name.into(), text(value)));
    }
}

/// Whom a translated request is for.
pub fn target(entity: &ServedEntity) -> Target<'_> {
    let is_openai = match entity.provider {
        Provider::Azure { .. } => true,
        Provider::OpenAi { .. } => entity.upstream.host == "api.openai.com",
        _ => false,
    };
    let is_anthropic =
        matches!(entity.provider, Provider::Anthropic | Provider::Bedrock { maker: BedrockMaker::Anthropic, .. });
    Target { model: &entity.model, is_openai, is_anthropic }
}

fn path(entity: &ServedEntity, call: Call) -> String {
    let prefix = &entity.upstream.path_prefix;
    if let Some(path) = google_path(entity, call) {
        return format!("{prefix}{path}");
    }
    let own = match (&entity.provider, call.api) {
        (Provider::Anthropic, Api::CountTokens) => "/v1/messages/count_tokens",
        (Provider::Anthropic, _) => "/v1/messages",
        (Provider::Bedrock { .. }, Api::Embeddings) => "/invoke",
        (Provider::Bedrock { .. }, _) if call.stream => "/converse-stream",
        (Provider::Bedrock { .. }, _) => "/converse",
        (Provider::Cohere, Api::Embeddings) => "/v2/embed",
        (Provider::Cohere, _) => "/v2/chat",
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
        Provider::Bedrock { model_path, .. } => format!("{prefix}{model_path}{own}"),
        Provider::Databricks => format!("{prefix}/serving-endpoints{own}"),
        Provider::Model { .. } if call.api == Api::Predict => prefix.clone(),
        _ => format!("{prefix}{own}"),
    }
}

/// The model stands in Google's paths, and what is asked of it: configuration has seen to it that it may.
fn google_path(entity: &ServedEntity, call: Call) -> Option<String> {
    let model = &entity.model;
    let chat = if call.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    Some(match (&entity.provider, call.api) {
        (Provider::Gemini, Api::Embeddings) => format!("/v1beta/models/{model}:batchEmbedContents"),
        (Provider::Gemini, _) => format!("/v1beta/models/{model}:{chat}"),
        (Provider::Vertex { project, region }, api) => {
            let verb = if api == Api::Embeddings { "predict" } else { chat };
            // Another publisher's model, or an endpoint of the project's own, says so itself.
            let publisher = if model.contains('/') { "" } else { "publishers/google/models/" };
            format!("/v1/projects/{project}/locations/{region}/{publisher}{model}:{verb}")
        }
        _ => return None,
    })
}

/// Removes what a provider's answer says to its own clients alone, but for what `is_set` says will be overwritten.
pub fn scrub_response(headers: &Headers, is_set: impl Fn(&[u8]) -> bool, effects: &mut Vec<Effect>) {
    for name in headers.names().filter(|name| is_kept_back(name) && !is_set(name)) {
        effects.push(Effect::RemoveResponseHeader(owned(name)));
    }
}

/// Whether an answer with this status is the next entity's turn: 429, 5xx, and a refusal of Weir's own credential.
pub fn is_failure(status: u16) -> bool {
    matches!(status, 401 | 403 | 429 | 500..=599)
}
