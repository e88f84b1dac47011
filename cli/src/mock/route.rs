//! Whom a request is for: method, path and headers in, the API that its path means (under any prefix) and the provider whose
//! errors and credentials it has out. It reads no body.

use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

/// Which API a path means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    Chat,
    Completions,
    Embeddings,
    Responses,
    Models,
    Messages,
    CountTokens,
    Generate,
    StreamGenerate,
    EmbedContent,
    BatchEmbed,
    Predict,
    CountContent,
    Converse,
    ConverseStream,
    Invoke,
    CohereChat,
    CohereEmbed,
    /// A Databricks endpoint: what it serves is seen in the body.
    Invocations,
    /// A JWT or a client's secret for an access token, at Google or at Azure AD.
    Token,
    #[default]
    None,
}

/// Who would answer: decides the shape of errors and where the credential stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provider {
    #[default]
    OpenAi,
    Azure,
    Ai21,
    Databricks,
    Anthropic,
    Google,
    Bedrock,
    Cohere,
    /// An endpoint for tokens (OAuth 2).
    OAuth,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    pub api: Api,
    pub provider: Provider,
    /// The model that the path names.
    pub model: Option<String>,
}

impl Route {
    pub fn of(parts: &Parts) -> Self {
        let path = parts.uri.path();
        match parts.method {
            Method::POST => Self::post(path, &parts.headers),
            Method::GET if ends(path, "/models") => {
                let anthropic = parts.headers.contains_key("anthropic-version");
                let provider = if anthropic { Provider::Anthropic } else { Provider::OpenAi };
                Self { api: Api::Models, provider, model: None }
            }
            _ => Self::default(),
        }
    }

    fn post(path: &str, headers: &HeaderMap) -> Self {
        let plain = |api, provider| Self { api, provider, model: None };
        for (tail, api) in [
            ("/chat/completions", Api::Chat),
            ("/completions", Api::Completions),
            ("/embeddings", Api::Embeddings),
            ("/responses", Api::Responses),
        ] {
            if ends(path, tail) {
                return openai(path, tail, api, headers);
            }
        }
        for (tail, api, provider) in [
            ("/v1/messages", Api::Messages, Provider::Anthropic),
            ("/v1/messages/count_tokens", Api::CountTokens, Provider::Anthropic),
            ("/v2/chat", Api::CohereChat, Provider::Cohere),
            ("/v2/embed", Api::CohereEmbed, Provider::Cohere),
            ("/oauth2/v2.0/token", Api::Token, Provider::OAuth),
            ("/token", Api::Token, Provider::OAuth),
        ] {
            if ends(path, tail) {
                return plain(api, provider);
            }
        }
        for (tail, api, provider) in [
            (":generateContent", Api::Generate, Provider::Google),
            (":streamGenerateContent", Api::StreamGenerate, Provider::Google),
            (":embedContent", Api::EmbedContent, Provider::Google),
            (":batchEmbedContents", Api::BatchEmbed, Provider::Google),
            (":predict", Api::Predict, Provider::Google),
            (":countTokens", Api::CountContent, Provider::Google),
            ("/converse", Api::Converse, Provider::Bedrock),
            ("/converse-stream", Api::ConverseStream, Provider::Bedrock),
            ("/invoke", Api::Invoke, Provider::Bedrock),
            ("/invocations", Api::Invocations, Provider::Databricks),
        ] {
            if let Some(rest) = path.strip_suffix(tail) {
                return Self { api, provider, model: rest.rsplit('/').next().map(decoded) };
            }
        }
        Self::default()
    }
}

/// OpenAI's paths, as others have them: Azure's name a deployment (or come with `api-key`), AI21's begin with `/studio/`.
fn openai(path: &str, tail: &str, api: Api, headers: &HeaderMap) -> Route {
    let before = path.strip_suffix(tail).unwrap_or_default();
    if let Some((_, deployment)) = before.split_once("/openai/deployments/") {
        return Route { api, provider: Provider::Azure, model: Some(decoded(deployment)) };
    }
    let provider = match before {
        _ if headers.contains_key("api-key") => Provider::Azure,
        before if before.ends_with("/studio/v1") => Provider::Ai21,
        _ => Provider::OpenAi,
    };
    Route { api, provider, model: None }
}

fn ends(path: &str, tail: &str) -> bool {
    path.strip_suffix(tail).is_some_and(|prefix| prefix.is_empty() || prefix.starts_with('/'))
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: Method, path: &str, header: &str) -> (Api, Provider, Option<String>) {
        let mut request = hyper::Request::builder().method(method).uri(path);
        if !header.is_empty() {
            request = request.header(header, "x");
        }
        let Route { api, provider, model } = Route::of(&request.body(()).unwrap().into_parts().0);
        (api, provider, model)
    }

    #[test]
    fn paths_under_any_prefix() {
        use Provider::{Ai21, Anthropic, Azure, Bedrock, Cohere, Databricks, Google, OAuth, OpenAi};
        let post = Method::POST;
        for (method, path, header, api, provider, model) in [
            (&post, "/chat/completions", "", Api::Chat, OpenAi, None),
            (&post, "/a/b/v1/chat/completions", "", Api::Chat, OpenAi, None),
            (&post, "/v1/completions", "", Api::Completions, OpenAi, None),
            (&post, "/v1/embeddings", "", Api::Embeddings, OpenAi, None),
            (&post, "/v1/responses", "", Api::Responses, OpenAi, None),
            (&post, "/openai/deployments/d%20e/chat/completions?api-version=1", "", Api::Chat, Azure, Some("d e")),
            (&post, "/openai/v1/responses", "api-key", Api::Responses, Azure, None),
            (&post, "/studio/v1/chat/completions", "", Api::Chat, Ai21, None),
            (&Method::GET, "/v1/models", "", Api::Models, OpenAi, None),
            (&Method::GET, "/v1/models", "anthropic-version", Api::Models, Anthropic, None),
            (&post, "/p/v1/messages", "", Api::Messages, Anthropic, None),
            (&post, "/v1/messages/count_tokens", "", Api::CountTokens, Anthropic, None),
            (&post, "/v1beta/models/g:generateContent", "", Api::Generate, Google, Some("g")),
            (
                &post,
                "/v1/projects/p/locations/r/publishers/google/models/g:predict",
                "",
                Api::Predict,
                Google,
                Some("g"),
            ),
            (&post, "/model/a.b-v1%3A0/converse-stream", "", Api::ConverseStream, Bedrock, Some("a.b-v1:0")),
            (&post, "/v2/chat", "", Api::CohereChat, Cohere, None),
            (&post, "/serving-endpoints/e/invocations", "", Api::Invocations, Databricks, Some("e")),
            (&post, "/t/oauth2/v2.0/token", "", Api::Token, OAuth, None),
            (&Method::GET, "/v1/chat/completions", "", Api::None, OpenAi, None),
            (&post, "/v1/xcompletions", "", Api::None, OpenAi, None),
        ] {
            let want = (api, provider, model.map(str::to_owned));
            assert_eq!(route(method.clone(), path, header), want, "{method} {path}");
        }
    }
}
