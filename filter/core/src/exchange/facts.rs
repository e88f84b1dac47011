//! What an exchange knows of its request from the door on: for the record, and to undo for access logs what was changed
//! for the provider.

use std::collections::BTreeMap;

use super::{Gateway, payload::Payload};
use crate::{
    api::Api,
    caller::Caller,
    config::Endpoint,
    headers::Headers,
    host::{Effect, Host},
    id::uuid,
    paths::{Shape, Target},
    request::{InvalidRequest, MAX_USAGE_CONTEXT_BYTES},
    restore,
    tokens::{Count, KeptBody},
};

/// The one `x-weir-*` header that a client may send: a JSON object of strings.
const USAGE_CONTEXT_HEADER: &str = "x-weir-usage-context";

#[derive(Debug)]
pub struct Facts {
    /// `databricks_request_id`.
    pub id: String,
    pub shape: Shape,
    /// What is asked for; where the path does not say it, known with the endpoint.
    pub asked: Api,
    /// The path's pattern, as the record's `api`.
    pub api: &'static str,
    /// Nanoseconds since the Unix epoch.
    pub received_at: u64,
    pub caller: Option<Caller>,
    /// Index of the policy's endpoints.
    pub endpoint: Option<usize>,
    pub client_request_id: Option<String>,
    pub usage_context: BTreeMap<String, String>,
    pub streaming: bool,
    pub prompt_characters: Option<u64>,
    /// What would have refused the request, were it not in shadow mode: a limit's label, or `permissions`.
    pub would_limit: Option<String>,
    /// Where the endpoint's inference table takes this request.
    pub payload: Option<Box<Payload>>,
    /// To be counted if the provider does not.
    pub prompt: KeptBody,
    /// See [`super::Exchange`].
    pub is_unpaused: bool,
    headers: Headers,
}

impl Facts {
    pub fn new(headers: Headers, pattern: &'static str, target: Target, host: &impl Host) -> Self {
        let (shape, api) = match target {
            Target::Query { shape, api } => (shape, api),
            Target::Local(local) => (local.shape(), None),
        };
        Self {
            id: uuid(host.random(), host.random()),
            shape,
            asked: api.unwrap_or(Api::Chat),
            api: pattern,
            received_at: host.now(),
            caller: None,
            endpoint: None,
            client_request_id: None,
            usage_context: BTreeMap::new(),
            streaming: false,
            prompt_characters: None,
            would_limit: None,
            payload: None,
            prompt: KeptBody::default(),
            is_unpaused: false,
            headers,
        }
    }

    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    pub fn endpoint<'g>(&self, gateway: &'g Gateway) -> Option<&'g Endpoint> {
        gateway.config.endpoints.get(self.endpoint?)
    }

    /// Envoy's `x-request-id`.
    pub fn request_id(&self) -> Option<&str> {
        self.headers.text("x-request-id")
    }

    /// Of a W3C `traceparent`: `00-<trace id>-<span id>-<flags>`.
    pub fn trace_id(&self) -> Option<&str> {
        let id = self.headers.text("traceparent")?.split('-').nth(1)?;
        (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
    }

    /// Reads `x-weir-usage-context`, where the client sent one.
    pub fn read_usage_context(&mut self) -> Result<(), InvalidRequest> {
        let Some(value) = self.headers.value(USAGE_CONTEXT_HEADER) else { return Ok(()) };
        if value.len() > MAX_USAGE_CONTEXT_BYTES {
            return Err(InvalidRequest(format!(
                "the {USAGE_CONTEXT_HEADER} header is longer than the {MAX_USAGE_CONTEXT_BYTES} bytes that are allowed"
            )));
        }
        self.usage_context = serde_json::from_slice(value).map_err(|_| {
            InvalidRequest(format!("the {USAGE_CONTEXT_HEADER} header must be a JSON object of strings"))
        })?;
        Ok(())
    }

    /// The prompt's tokens.
    pub fn count_prompt(&self) -> Count {
        self.prompt.count(self.prompt_characters.unwrap_or(0))
    }

    /// Takes the credential out of the request's headers, which access logs share, and puts back what the client sent.
    pub fn restore(&self, gateway: &Gateway, effects: &mut Vec<Effect>) {
        let own = self.endpoint(gateway).map(|endpoint| endpoint.own_headers.as_slice()).unwrap_or_default();
        effects.extend(own.iter().map(|name| Effect::RemoveRequestHeader(name.clone())));
        restore::restore(&self.headers, effects);
    }
}
