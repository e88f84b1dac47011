//! `external_model`: the provider, its own name of the model, where it is and the credential for it.

use super::{
    Provider, Task, Upstream,
    reader::{Field, Object, Word},
    secret, url,
};

/// What `external_model` says.
pub(super) struct External<'a> {
    pub provider: Provider,
    pub name: String,
    pub task: Task,
    /// Where the task stands.
    pub task_field: Field<'a>,
    pub upstream: Upstream,
}

pub(super) fn read<'a>(field: &Field<'a>) -> Option<External<'a>> {
    let mut model = field.object()?;
    let provider = model.read("provider", "`openai`", read_provider);
    let name = model.read("name", "the provider's own name of the model", Field::owned);
    let task = model.read("task", "a task such as `llm/v1/chat`", |task| Some((task.clone(), read_task(task)?)));
    let openai = match provider {
        Some(()) => {
            reject_other_configs(&mut model);
            model.read("openai_config", "an object with `openai_api_key`", read_openai)
        }
        None => {
            model.pass_over(OTHER_CONFIGS);
            model.pass_over(&["openai_config"]);
            None
        }
    };
    model.close();
    let (task_field, task) = task?;
    let (provider, upstream) = openai?;
    Some(External { provider, name: name?, task, task_field, upstream })
}

const OTHER_CONFIGS: &[&str] = &[
    "ai21labs_config",
    "amazon_bedrock_config",
    "anthropic_config",
    "cohere_config",
    "custom_provider_config",
    "databricks_model_serving_config",
    "google_cloud_vertex_ai_config",
    "palm_config",
];

fn reject_other_configs(model: &mut Object<'_>) {
    for key in OTHER_CONFIGS {
        if let Some(field) = model.take(key) {
            field.reject("no such key with `provider: openai`");
        }
    }
}

fn read_provider(field: &Field<'_>) -> Option<()> {
    if field.node.text() == Some("palm") {
        field.reject("another provider: Google has shut the PaLM API down");
        return None;
    }
    field.choice(&[
        ("openai", Word::Built(())),
        ("ai21labs", Word::Unbuilt("provider ai21labs")),
        ("amazon-bedrock", Word::Unbuilt("provider amazon-bedrock")),
        ("anthropic", Word::Unbuilt("provider anthropic")),
        ("cohere", Word::Unbuilt("provider cohere")),
        ("custom", Word::Unbuilt("provider custom")),
        ("databricks-model-serving", Word::Unbuilt("provider databricks-model-serving")),
        ("google-cloud-vertex-ai", Word::Unbuilt("provider google-cloud-vertex-ai")),
    ])
}

fn read_task(field: &Field<'_>) -> Option<Task> {
    field.choice(&[
        ("llm/v1/chat", Word::Built(Task::Chat)),
        ("llm/v1/completions", Word::Built(Task::Completions)),
        ("llm/v1/embeddings", Word::Built(Task::Embeddings)),
    ])
}

const AZURE_KEYS: &[&str] = &[
    "microsoft_entra_client_id",
    "microsoft_entra_client_secret",
    "microsoft_entra_client_secret_plaintext",
    "microsoft_entra_tenant_id",
    "openai_api_version",
    "openai_deployment_name",
];

fn read_openai(field: &Field<'_>) -> Option<(Provider, Upstream)> {
    let mut openai = field.object()?;
    let kind = openai.read_or("openai_api_type", (), |kind| {
        kind.choice(&[
            ("openai", Word::Built(())),
            ("azure", Word::Unbuilt("Azure")),
            ("azuread", Word::Unbuilt("Azure with Entra ID")),
        ])
    });
    // Another kind of server takes other keys: one error is enough.
    kind?;
    for key in AZURE_KEYS {
        if let Some(field) = openai.take(key) {
            field.reject_unseen("no such key: Azure is not built yet");
        }
    }
    let authorization = secret::bearer_of(&mut openai, "openai_api_key", "openai_api_key_plaintext");
    let upstream = openai.read_or("openai_api_base", openai_itself(), read_base);
    let organization = openai.read_if("openai_organization", |organization| {
        let expected = "visible ASCII characters: it goes into a header";
        organization.matching(expected, |text| text.bytes().all(|b| b.is_ascii_graphic())).map(str::to_owned)
    });
    openai.close();
    Some((Provider::OpenAi { authorization: authorization?, organization: organization? }, upstream?))
}

/// Ends before `/chat/completions`.
fn read_base(field: &Field<'_>) -> Option<Upstream> {
    let upstream = url::read(field)?;
    if upstream.path_prefix.ends_with("/chat/completions") {
        field.reject("a base that ends before `/chat/completions`");
        return None;
    }
    if upstream.host == "api.openai.com" && upstream.path_prefix.is_empty() {
        field.warn(field.node.show(), "`https://api.openai.com/v1`: OpenAI's API begins at `/v1`");
    }
    Some(upstream)
}

fn openai_itself() -> Upstream {
    Upstream {
        tls: true,
        host: "api.openai.com".to_owned(),
        port: 443,
        authority: "api.openai.com".to_owned(),
        path_prefix: "/v1".to_owned(),
    }
}
