//! A request's body, read once as its API has it: bytes in, the orders that it brings and the `Ask` that it means out.

use bytes::Bytes;
use serde_json::Value;

use super::ask::Ask;
use super::behaviour::Behaviour;
use super::openai::request::Wire;
use super::route::{Api, Route};
use super::{anthropic, bedrock, cohere, databricks, google, openai};

/// A body as it came.
pub enum Body {
    /// Typed, since load tests send this.
    OpenAi(Box<Wire>),
    Json(Value),
    /// Not JSON by right: a form.
    Bytes,
}

impl Body {
    pub fn read(route: &Route, bytes: &Bytes) -> Result<Self, String> {
        match route.api {
            Api::Token => Ok(Self::Bytes),
            Api::Chat | Api::Completions | Api::Embeddings | Api::Models | Api::None => {
                Wire::read(bytes).map(Box::new).map(Self::OpenAi)
            }
            Api::Invocations => match Wire::read(bytes) {
                Ok(wire) if wire.api().is_some() => Ok(Self::OpenAi(Box::new(wire))),
                Ok(_) => serde_json::from_slice(bytes).map(Self::Json).map_err(|error| error.to_string()),
                Err(error) => Err(error),
            },
            _ => match serde_json::from_slice(bytes) {
                Ok(json @ Value::Object(_)) => Ok(Self::Json(json)),
                Ok(_) => Err("the body is not a request of this API: expected an object".to_owned()),
                Err(error) => Err(format!("the body is not a request of this API: {error}")),
            },
        }
    }

    /// The orders for the mock of that name.
    pub fn orders(&self, name: &str) -> Result<Option<Behaviour>, String> {
        match self {
            Self::OpenAi(wire) => wire.mock.as_ref().map_or(Ok(None), |mock| Behaviour::from_body(mock, name)),
            Self::Json(json) => json.get("mock").map_or(Ok(None), |mock| Behaviour::from_value(mock, name)),
            Self::Bytes => Ok(None),
        }
    }

    /// What it asks for. The error is the 400's message.
    pub fn ask(self, route: &Route, api: Api) -> Result<Ask, String> {
        let model = route.model.clone();
        match self {
            Self::OpenAi(wire) => wire.ask(api, model),
            Self::Bytes => Ok(Ask::default()),
            Self::Json(json) => match api {
                Api::Responses => openai::responses::read(&json, model),
                Api::Messages => anthropic::request::read(&json, false),
                Api::CountTokens => anthropic::request::read(&json, true),
                Api::Generate
                | Api::StreamGenerate
                | Api::EmbedContent
                | Api::BatchEmbed
                | Api::Predict
                | Api::CountContent => google::request::read(&json, api, model.unwrap_or_default()),
                Api::Converse => bedrock::request::converse(&json, model.unwrap_or_default(), false),
                Api::ConverseStream => bedrock::request::converse(&json, model.unwrap_or_default(), true),
                Api::Invoke => bedrock::request::invoke(&json, model.unwrap_or_default()),
                Api::CohereChat => cohere::chat(&json),
                Api::CohereEmbed => cohere::embed(&json),
                Api::Invocations => databricks::read(&json, model.unwrap_or_default()),
                _ => Ok(Ask::default()),
            },
        }
    }
}
