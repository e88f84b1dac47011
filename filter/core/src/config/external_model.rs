//! `external_model`: the provider, its own name of the model, where it is and the credential for it. What each provider's
//! own object holds is `providers`' business.

mod bedrock;
mod google;
mod providers;

use super::{
    Credential, Provider, Task, Upstream,
    reader::{Field, Object},
};
use crate::api::Api;

/// What `external_model` says.
pub(super) struct External<'a> {
    pub provider: Provider,
    pub credential: Credential,
    pub name: String,
    pub task: Task,
    /// Where the task stands.
    pub task_field: Field<'a>,
    pub upstream: Upstream,
}

/// What a provider's own object says.
struct Server {
    provider: Provider,
    credential: Credential,
    upstream: Upstream,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ai21,
    Anthropic,
    Bedrock,
    Cohere,
    Custom,
    Databricks,
    OpenAi,
    Vertex,
}

pub(super) fn read<'a>(field: &Field<'a>) -> Option<External<'a>> {
    let mut model = field.object()?;
    let provider = model.read("provider", "one such as `openai`", read_provider);
    let name = model.read("name", "the provider's own name of the model", |name| read_name(name, provider?));
    let task = model.read("task", "a task such as `llm/v1/chat`", |task| Some((task.clone(), read_task(task)?)));
    let server = match provider {
        Some(kind) => {
            reject_other_configs(&mut model, kind);
            read_server(&mut model, kind, name.as_deref())
        }
        None => {
            model.pass_over(CONFIGS);
            None
        }
    };
    model.close();
    let (task_field, task) = task?;
    let Server { provider, credential, upstream } = server?;
    if provider.way(Api::of_task(task)).is_none() {
        task_field.reject(format!("another task: provider {} has none such", provider.name()));
        return None;
    }
    Some(External { provider, credential, name: name?, task, task_field, upstream })
}

/// Where it goes into the path, it must be fit for that.
fn read_name(field: &Field<'_>, kind: Kind) -> Option<String> {
    if kind != Kind::Vertex {
        return field.owned();
    }
    let expected = "letters, digits, `-`, `_`, `.`, `@` and `/`: the model's name goes into the path";
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@' | b'/');
    field.matching(expected, |name| name.bytes().all(in_path)).map(str::to_owned)
}

const CONFIGS: &[&str] = &[
    "ai21labs_config",
    "amazon_bedrock_config",
    "anthropic_config",
    "cohere_config",
    "custom_provider_config",
    "databricks_model_serving_config",
    "google_cloud_vertex_ai_config",
    "openai_config",
    "palm_config",
];

/// A provider's name, and the key of its own object.
fn names(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Ai21 => ("ai21labs", "ai21labs_config"),
        Kind::Anthropic => ("anthropic", "anthropic_config"),
        Kind::Bedrock => ("amazon-bedrock", "amazon_bedrock_config"),
        Kind::Cohere => ("cohere", "cohere_config"),
        Kind::Custom => ("custom", "custom_provider_config"),
        Kind::Databricks => ("databricks-model-serving", "databricks_model_serving_config"),
        Kind::OpenAi => ("openai", "openai_config"),
        Kind::Vertex => ("google-cloud-vertex-ai", "google_cloud_vertex_ai_config"),
    }
}

fn reject_other_configs(model: &mut Object<'_>, kind: Kind) {
    let (provider, own) = names(kind);
    for key in CONFIGS.iter().filter(|key| **key != own) {
        if let Some(field) = model.take(key) {
            field.reject(format!("no such key with `provider: {provider}`"));
        }
    }
}

fn read_server(model: &mut Object<'_>, kind: Kind, name: Option<&str>) -> Option<Server> {
    let (_, key) = names(kind);
    match kind {
        Kind::Ai21 => model.read(key, "an object with `ai21labs_api_key`", providers::ai21),
        Kind::Bedrock => model.read(key, "an object with `aws_region`", |field| bedrock::read(field, name)),
        Kind::Cohere => model.read(key, "an object with `cohere_api_key`", providers::cohere),
        Kind::Anthropic => model.read(key, "an object with `anthropic_api_key`", providers::anthropic),
        Kind::Custom => model.read(key, "an object with `custom_provider_url`", providers::custom),
        Kind::Databricks => model.read(key, "an object with `databricks_workspace_url`", providers::databricks),
        Kind::OpenAi => model.read(key, "an object with `openai_api_key`", providers::openai),
        Kind::Vertex => model.read(key, "an object with `project_id`, or with `gemini_api_key`", google::vertex),
    }
}

fn read_provider(field: &Field<'_>) -> Option<Kind> {
    if field.node.text() == Some("palm") {
        field.reject("another provider: Google has shut the PaLM API down");
        return None;
    }
    field.choice(&[
        ("ai21labs", Kind::Ai21),
        ("amazon-bedrock", Kind::Bedrock),
        ("anthropic", Kind::Anthropic),
        ("cohere", Kind::Cohere),
        ("custom", Kind::Custom),
        ("databricks-model-serving", Kind::Databricks),
        ("google-cloud-vertex-ai", Kind::Vertex),
        ("openai", Kind::OpenAi),
    ])
}

pub(super) fn read_task(field: &Field<'_>) -> Option<Task> {
    field.choice(&[
        ("llm/v1/chat", Task::Chat),
        ("llm/v1/completions", Task::Completions),
        ("llm/v1/embeddings", Task::Embeddings),
    ])
}
