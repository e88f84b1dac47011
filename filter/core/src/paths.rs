//! The paths that Weir touches: one table, from which the filter decides what is in its scope and `weir render` makes
//! Envoy's routes. They must agree: a route that trusts the routing header may match only what the filter deems its own.

use crate::config::Task;

/// The header that names the cluster. The gateway role sets it, Envoy's route reads it, and no client's survives.
pub const CLUSTER_HEADER: &str = "x-weir-cluster";

/// The header that holds the provider's `:authority` until Envoy's route puts it there: were it set before, the request
/// would be looked up among the routes of another host.
pub const AUTHORITY_HEADER: &str = "x-weir-authority";

/// Every path, in no particular order; `{name}` stands for one segment that is not empty.
pub const PATHS: &[Path] = &[
    query("/v1/chat/completions", Shape::OpenAi, Some(Task::Chat)),
    query("/v1/completions", Shape::OpenAi, Some(Task::Completions)),
    query("/v1/embeddings", Shape::OpenAi, Some(Task::Embeddings)),
    query("/serving-endpoints/chat/completions", Shape::OpenAi, Some(Task::Chat)),
    query("/serving-endpoints/completions", Shape::OpenAi, Some(Task::Completions)),
    query("/serving-endpoints/embeddings", Shape::OpenAi, Some(Task::Embeddings)),
    Path {
        named: Some(("/serving-endpoints/", "/invocations")),
        ..query("/serving-endpoints/{name}/invocations", Shape::Databricks, None)
    },
    local("/v1/models", Local::Models),
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
    /// Goes to a model. Without `task` the endpoint's own counts.
    Query { shape: Shape, task: Option<Task> },
    /// Answered by Weir.
    Local(Local),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    Models,
    /// The caller's own.
    Limits,
    Health,
}

/// Whose JSON an answer's errors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
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

const fn query(pattern: &'static str, shape: Shape, task: Option<Task>) -> Path {
    Path { pattern, named: None, method: "POST", target: Target::Query { shape, task } }
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
