//! Who serves an entity, and with what an attempt proves itself there.

use std::borrow::Cow;

use super::Secret;
use crate::{
    oauth::Grant,
    translate::{embeddings::Embedder, provider::Wire},
};

/// Whose API an entity speaks, and what of it is in the path or in headers.
#[derive(Debug)]
pub enum Provider {
    Anthropic,
    Azure {
        deployment: String,
        api_version: String,
    },
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

impl Provider {
    /// As `external_model.provider` has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Azure { .. } | Self::OpenAi { .. } => "openai",
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
            Self::Azure { .. } | Self::Custom | Self::Databricks | Self::Model { .. } | Self::OpenAi { .. } => {
                Wire::OpenAi
            }
        }
    }
}

/// What an attempt proves itself with. A token that must be fetched, or a signature over the request, is a variant of its
/// own: [`crate::provider::address`] writes the header from it.
#[derive(Debug)]
pub enum Credential {
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
    /// The header that it stands in.
    pub fn header(&self) -> Option<&Cow<'static, str>> {
        match self {
            Self::Fetched(_) => Some(&AUTHORIZATION),
            Self::Header { name, .. } => Some(name),
            Self::None => None,
        }
    }

    /// Whether an attempt can be made with it: a token that has not been fetched is none. `now` is asked for where it matters.
    pub fn is_ready(&self, now: impl FnOnce() -> u64) -> bool {
        match self {
            Self::Fetched(grant) => grant.is_ready(now()),
            Self::Header { .. } | Self::None => true,
        }
    }
}
