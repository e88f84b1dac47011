//! Who serves an entity, and with what an attempt proves itself there.

use std::borrow::Cow;

use super::Secret;
use crate::{
    api::Api,
    oauth::Grant,
    sigv4,
    translate::{Pair, Way, client::Client, embeddings::Embedder, provider::Wire},
};

/// Whose API an entity speaks, and what of it is in the path or in headers.
#[derive(Debug)]
pub enum Provider {
    Ai21,
    Anthropic,
    Azure {
        deployment: String,
        api_version: String,
    },
    Bedrock {
        maker: BedrockMaker,
        /// `/model/` and the model's name, encoded.
        model_path: String,
    },
    Cohere,
    Custom,
    Databricks,
    /// Google's public API, by an API key.
    Gemini,
    /// Of the operator's own, without a provider: an entity that is no external model.
    Model {
        entity_name: String,
        entity_version: Option<String>,
    },
    OpenAi {
        organization: Option<String>,
    },
    Vertex {
        project: String,
        region: String,
    },
}

/// Whose model Bedrock serves: some know more than Converse has words for, and embeddings are each maker's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BedrockMaker {
    Amazon,
    Anthropic,
    Cohere,
    Other,
}

impl Provider {
    /// As `external_model.provider` has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ai21 => "ai21labs",
            Self::Anthropic => "anthropic",
            Self::Azure { .. } | Self::OpenAi { .. } => "openai",
            Self::Bedrock { .. } => "amazon-bedrock",
            Self::Cohere => "cohere",
            Self::Custom => "custom",
            Self::Databricks => "databricks-model-serving",
            Self::Gemini | Self::Vertex { .. } => "google-cloud-vertex-ai",
            Self::Model { .. } => "",
        }
    }

    /// Whether it has OpenAI's responses itself: servers that only resemble OpenAI's may not.
    pub fn has_responses(&self) -> bool {
        matches!(self, Self::Azure { .. } | Self::OpenAi { .. })
    }

    /// How it embeds, where that is not as OpenAI does.
    pub fn embedder(&self) -> Option<Embedder> {
        match self {
            Self::Bedrock { maker: BedrockMaker::Amazon, .. } => Some(Embedder::BedrockTitan),
            Self::Bedrock { maker: BedrockMaker::Cohere, .. } => Some(Embedder::BedrockCohere),
            Self::Cohere => Some(Embedder::Cohere),
            Self::Gemini => Some(Embedder::Gemini),
            Self::Vertex { .. } => Some(Embedder::Vertex),
            _ => None,
        }
    }

    /// The API that it speaks.
    pub fn wire(&self) -> Wire {
        match self {
            Self::Anthropic => Wire::Anthropic,
            Self::Gemini | Self::Vertex { .. } => Wire::Google,
            Self::Bedrock { .. } => Wire::Bedrock,
            Self::Cohere => Wire::Cohere,
            Self::Ai21
            | Self::Azure { .. }
            | Self::Custom
            | Self::Databricks
            | Self::Model { .. }
            | Self::OpenAi { .. } => Wire::OpenAi,
        }
    }

    /// How it answers `api`; `None`: not at all.
    pub fn way(&self, api: Api) -> Option<Way> {
        let wire = self.wire();
        match (api, wire) {
            (Api::Completions | Api::Embeddings, _) if matches!(self, Provider::Ai21) => None,
            (Api::Chat | Api::Completions | Api::Embeddings, Wire::OpenAi) => Some(Way::Same),
            (Api::Predict, _) => matches!(self, Provider::Model { .. }).then_some(Way::Same),
            (Api::Messages | Api::CountTokens, Wire::Anthropic) => Some(Way::Same),
            (Api::Embeddings, _) => self.embedder().map(|embedder| Way::Translated(Pair::Embeddings(embedder))),
            (Api::Chat, _) => Some(Way::Translated(Pair::new(Client::Chat, wire))),
            (Api::Responses, _) if self.has_responses() => Some(Way::Same),
            (Api::Responses, _) => Some(Way::Translated(Pair::new(Client::Responses, wire))),
            (Api::Messages, _) => Some(Way::Translated(Pair::new(Client::Messages, wire))),
            _ => None,
        }
    }
}

/// What an attempt proves itself with. A token that must be fetched, or a signature over the request, is a variant of its
/// own: [`crate::provider::address`] writes the header from it.
#[derive(Debug)]
pub enum Credential {
    /// Signs each request when its body is known: [`crate::provider::sign`].
    Aws(Box<sigv4::Key>),
    /// A bearer token that must be fetched first, and again before it expires.
    Fetched(Box<Grant>),
    /// A request header, its name in lower case, and its whole value.
    Header {
        name: Cow<'static, str>,
        value: Secret,
    },
    None,
}

/// Where a fetched token stands.
static AUTHORIZATION: Cow<'static, str> = Cow::Borrowed("authorization");

impl Credential {
    /// The headers that it stands in.
    pub fn headers(&self) -> Vec<Cow<'static, str>> {
        match self {
            Self::Aws(_) => sigv4::HEADERS.map(Cow::Borrowed).to_vec(),
            Self::Fetched(_) => vec![AUTHORIZATION.clone()],
            Self::Header { name, .. } => vec![name.clone()],
            Self::None => Vec::new(),
        }
    }

    /// Whether an attempt can be made with it: a token that has not been fetched is none. `now` is asked for where it matters.
    pub fn is_ready(&self, now: impl FnOnce() -> u64) -> bool {
        match self {
            Self::Fetched(grant) => grant.is_ready(now()),
            Self::Aws(_) | Self::Header { .. } | Self::None => true,
        }
    }
}
