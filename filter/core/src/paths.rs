//! The paths that Weir touches: one table, from which the filter decides what is in its scope and `weir render` makes
//! Envoy's routes. They must agree: a route that trusts the routing header may match only what the filter deems its own.

use crate::api::Api;

/// The header that names the cluster. The gateway role sets it, Envoy's route reads it, and no client's survives.
pub const CLUSTER_HEADER: &str = "x-weir-cluster";

/// The header that holds the provider's `:authority` until Envoy's route puts it there: were it set before, the request
/// would be looked up among the routes of another host.
pub const AUTHORITY_HEADER: &str = "x-weir-authority";

/// Both: they are Weir's to set, whatever a client sends.
pub const HOP_HEADERS: [&str; 2] = [CLUSTER_HEADER, AUTHORITY_HEADER];

/// Every path, in no particular order; `{name}` stands for one segment that is not empty.
pub const PATHS: &[Path] = &[
    query("/v1/chat/completions", Shape::OpenAi, Some(Api::Chat)),
    query("/v1/completions", Shape::OpenAi, Some(Api::Completions)),
    query("/v1/embeddings", Shape::OpenAi, Some(Api::Embeddings)),
    query("/v1/responses", Shape::OpenAi, Some(Api::Responses)),
    query("/v1/messages", Shape::Anthropic, Some(Api::Messages)),
    query("/v1/messages/count_tokens", Shape::Anthropic, Some(Api::CountTokens)),
    query("/serving-endpoints/chat/completions", Shape::OpenAi, Some(Api::Chat)),
    query("/serving-endpoints/completions", Shape::OpenAi, Some(Api::Completions)),
    query("/serving-endpoints/embeddings", Shape::OpenAi, Some(Api::Embeddings)),
    query("/serving-endpoints/responses", Shape::OpenAi, Some(Api::Responses)),
    invocations("/serving-endpoints/{name}/invocations", "/serving-endpoints/", "/invocations"),
    invocations("/endpoints/{name}/invocations", "/endpoints/", "/invocations"),
    invocations("/gateway/{name}/invocations", "/gateway/", "/invocations"),
    invocations("/gateway/{name}/mlflow/invocations", "/gateway/", "/mlflow/invocations"),
    local("/v1/models", Local::Models),
    local("/api/2.0/serving-endpoints", Local::ServingEndpoints),
    // As MLflow's client for Databricks has it.
    local("/api/2.0/serving-endpoints/", Local::ServingEndpoints),
    Path {
        named: Some(("/api/2.0/serving-endpoints/", "")),
        ..local("/api/2.0/serving-endpoints/{name}", Local::ServingEndpoint)
    },
    local("/api/2.0/endpoints/", Local::Endpoints),
    Path { named: Some(("/api/2.0/endpoints/", "")), ..local("/api/2.0/endpoints/{name}", Local::Endpoint) },
    local("/weir/v1/limits", Local::Limits),
    local("/health", Local::Health),
];

/// One row of [`PATHS`].
#[derive(Debug)]
pub struct Path {
    pub pattern: &'static str,
    /// What stands before and behind `{name}`.
    named: Option<(&'static str, &'static str)>,
    pub method: &'static str,
    pub target: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Goes to a model. Without `api` the endpoint's task says it.
    Query { shape: Shape, api: Option<Api> },
    /// Answered by Weir.
    Local(Local),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// One of MLflow's.
    Endpoint,
    /// MLflow's list.
    Endpoints,
    Health,
    /// The caller's own.
    Limits,
    /// OpenAI's list.
    Models,
    /// One of Databricks'.
    ServingEndpoint,
    /// Databricks' list.
    ServingEndpoints,
}

impl Local {
    pub fn shape(self) -> Shape {
        match self {
            Self::Health | Self::Limits | Self::Models => Shape::OpenAi,
            Self::Endpoint | Self::Endpoints | Self::ServingEndpoint | Self::ServingEndpoints => Shape::Databricks,
        }
    }
}

/// Whose JSON an answer's errors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `{"type":"error","error":{"type","message"}}`
    Anthropic,
    /// `{"error":{"message","type","param","code"}}`
    OpenAi,
    /// `{"error_code","message"}`
    Databricks,
}

/// What a request's path means, with the endpoint that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched<'a> {
    pub pattern: &'static str,
    pub method: &'static str,
    pub target: Target,
    pub endpoint: Option<&'a str>,
}

/// Finds `path` (a `:path`, its query included) in the table; `None`: not Weir's.
pub fn resolve(path: &str) -> Option<Matched<'_>> {
    let path = path.split_once(['?', '#']).map_or(path, |(path, _)| path);
    PATHS.iter().find_map(|row| row.endpoint_in(path).map(|endpoint| row.matched(endpoint)))
}

impl Path {
    /// `Some` where `path` matches, holding the segment that `{name}` stands for.
    fn endpoint_in<'a>(&self, path: &'a str) -> Option<Option<&'a str>> {
        let Some((before, after)) = self.named else { return (path == self.pattern).then_some(None) };
        let name = path.strip_prefix(before)?.strip_suffix(after)?;
        (!name.is_empty() && !name.contains('/')).then_some(Some(name))
    }

    const fn matched<'a>(&self, endpoint: Option<&'a str>) -> Matched<'a> {
        Matched { pattern: self.pattern, method: self.method, target: self.target, endpoint }
    }
}

const fn query(pattern: &'static str, shape: Shape, api: Option<Api>) -> Path {
    Path { pattern, named: None, method: "POST", target: Target::Query { shape, api } }
}

const fn invocations(pattern: &'static str, before: &'static str, after: &'static str) -> Path {
    Path { named: Some((before, after)), ..query(pattern, Shape::Databricks, None) }
}

const fn local(pattern: &'static str, local: Local) -> Path {
    Path { pattern, named: None, method: "GET", target: Target::Local(local) }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn patterns_are_whole() {
        for path in PATHS {
            let parts = path.pattern.split_once("{name}");
            assert_eq!(path.named, parts, "{}", path.pattern);
        }
    }

    #[test]
    fn paths_resolve() {
        let cases: &[(&str, Option<Option<&str>>)] = &[
            ("/v1/chat/completions", Some(None)),
            ("/v1/chat/completions?api-version=1", Some(None)),
            ("/serving-endpoints/chat/completions", Some(None)),
            ("/serving-endpoints/chat/invocations", Some(Some("chat"))),
            ("/serving-endpoints/a-b_9/invocations", Some(Some("a-b_9"))),
            ("/serving-endpoints//invocations", None),
            ("/serving-endpoints/invocations", None),
            ("/serving-endpoints/a/b/invocations", None),
            ("/endpoints/a/invocations", Some(Some("a"))),
            ("/gateway/a/invocations", Some(Some("a"))),
            ("/gateway/a/mlflow/invocations", Some(Some("a"))),
            ("/gateway/mlflow/invocations", Some(Some("mlflow"))),
            ("/v1/messages?beta=true", Some(None)),
            ("/api/2.0/serving-endpoints", Some(None)),
            ("/api/2.0/serving-endpoints/a", Some(Some("a"))),
            ("/api/2.0/serving-endpoints/", Some(None)),
            ("/api/2.0/endpoints/", Some(None)),
            ("/api/2.0/endpoints/a", Some(Some("a"))),
            ("/api/2.0/endpoints", None),
            ("/v1/chat/completions/", None),
            ("/V1/chat/completions", None),
            ("/v1/models", Some(None)),
            ("/", None),
            ("", None),
        ];
        for (path, expected) in cases {
            assert_eq!(resolve(path).map(|m| m.endpoint), *expected, "{path}");
        }
    }
}
