//! Every answer that Weir gives itself: status, headers, JSON in the shape of the caller's API. A message says what is
//! wrong and what to do; none holds a secret, a prompt or another caller's name.

use std::borrow::Cow;

use serde_json::json;

use crate::{decimal, headers::Value, limits::Standing, paths::Shape, translate::client::messages::kind};

/// A whole local answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(Cow<'static, str>, Value)>,
    pub body: Vec<u8>,
}

/// Why a request is not answered by a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    InvalidRequest(String),
    Limited { message: String, exceeded: Exceeded, retry_after_seconds: u64 },
    MethodNotAllowed { allowed: &'static str },
    PermissionDenied { caller: String, endpoint: String },
    TooLarge { max_bytes: usize },
    Unauthenticated(&'static str),
    Unavailable(&'static str),
    UnknownEndpoint { name: String },
    UpstreamAuthFailed { served_entity: String },
    UpstreamFailed { timed_out: bool },
}

/// What a limit is about, as OpenAI's clients tell errors apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    Requests,
    Tokens,
    /// Of a day or a month, or of money: trying again soon is of no use.
    Quota,
}

/// What the table in DESIGN.md section 2 says of a [`Denied`].
struct Codes {
    status: u16,
    error_code: &'static str,
    openai_type: &'static str,
    openai_code: &'static str,
}

/// How long a client shall wait for the worker's shared data to calm down.
const CONTENDED_RETRY_SECONDS: u64 = 1;

impl Denied {
    pub fn status(&self) -> u16 {
        self.codes().status
    }

    /// `request_id` is `x-databricks-request-id`; the limits' headers are added where limits apply.
    pub fn reply(&self, shape: Shape, request_id: &str, standings: &Standings) -> Reply {
        let mut headers = vec![
            (Cow::Borrowed("content-type"), text("application/json")),
            (Cow::Borrowed("x-databricks-request-id"), text(request_id.to_owned())),
        ];
        match self {
            Self::Limited { retry_after_seconds, exceeded, .. } => {
                headers.push(("retry-after".into(), text(retry_after_seconds.to_string())));
                if *exceeded == Exceeded::Quota {
                    headers.push(("x-should-retry".into(), text("false")));
                }
            }
            Self::MethodNotAllowed { allowed } => headers.push(("allow".into(), text(*allowed))),
            Self::Unauthenticated(_) => headers.push(("www-authenticate".into(), text("Bearer"))),
            Self::Unavailable(_) => {
                headers.push(("retry-after".into(), text(CONTENDED_RETRY_SECONDS.to_string())));
            }
            _ => {}
        }
        headers.extend(standings.headers());
        Reply { status: self.status(), headers, body: self.body(shape) }
    }

    pub fn body(&self, shape: Shape) -> Vec<u8> {
        let codes = self.codes();
        error_body(codes.status, shape, codes.error_code, codes.openai_type, codes.openai_code, &self.message())
    }

    fn codes(&self) -> Codes {
        let codes =
            |status, error_code, openai_type, openai_code| Codes { status, error_code, openai_type, openai_code };
        let invalid = "invalid_request_error";
        match self {
            Self::InvalidRequest(_) => codes(400, "BAD_REQUEST", invalid, "invalid_request_error"),
            Self::Limited { exceeded, .. } => {
                let (openai_type, code) = match exceeded {
                    Exceeded::Requests => ("requests", "rate_limit_exceeded"),
                    Exceeded::Tokens => ("tokens", "rate_limit_exceeded"),
                    Exceeded::Quota => ("insufficient_quota", "insufficient_quota"),
                };
                codes(429, "REQUEST_LIMIT_EXCEEDED", openai_type, code)
            }
            Self::MethodNotAllowed { .. } => codes(405, "BAD_REQUEST", invalid, "method_not_allowed"),
            Self::PermissionDenied { .. } => codes(403, "PERMISSION_DENIED", invalid, "permission_denied"),
            Self::TooLarge { .. } => codes(413, "BAD_REQUEST", invalid, "request_too_large"),
            Self::Unauthenticated(_) => codes(401, "UNAUTHENTICATED", invalid, "invalid_api_key"),
            Self::Unavailable(_) => codes(503, "TEMPORARILY_UNAVAILABLE", "server_error", "server_error"),
            Self::UnknownEndpoint { .. } => codes(404, "RESOURCE_DOES_NOT_EXIST", invalid, "model_not_found"),
            Self::UpstreamAuthFailed { .. } => codes(502, "INTERNAL_ERROR", "server_error", "upstream_auth_failed"),
            Self::UpstreamFailed { timed_out } => {
                let status = if *timed_out { 504 } else { 502 };
                codes(status, "TEMPORARILY_UNAVAILABLE", "server_error", "upstream_error")
            }
        }
    }

    fn message(&self) -> String {
        match self {
            Self::InvalidRequest(why) | Self::Limited { message: why, .. } => sentence(why),
            Self::MethodNotAllowed { allowed } => format!("This path takes {allowed} only."),
            Self::PermissionDenied { caller, endpoint } => {
                format!("{caller} may not query endpoint {endpoint}. Ask its owner for CAN_QUERY.")
            }
            Self::TooLarge { max_bytes } => {
                format!("The request's body is larger than the {max_bytes} bytes that are allowed.")
            }
            Self::Unauthenticated(why) | Self::Unavailable(why) => sentence(why),
            Self::UnknownEndpoint { name } => {
                let name = clipped(name);
                format!("There is no endpoint or model {name:?}. GET /v1/models lists those that you may query.")
            }
            Self::UpstreamAuthFailed { served_entity } => format!(
                "The provider of served entity {served_entity} refused this gateway's own credential. \
                 This is for the gateway's operator to mend, not for you."
            ),
            Self::UpstreamFailed { timed_out: false } => {
                "No model could be reached. Send the request again in a moment.".into()
            }
            Self::UpstreamFailed { timed_out: true } => {
                "No model answered in time. Send the request again in a moment.".into()
            }
        }
    }
}

/// The tightest limits that apply, for the `x-ratelimit-*` headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    pub requests: Option<Standing>,
    pub tokens: Option<Standing>,
}

const OF_REQUESTS: [&str; 3] =
    ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
const OF_TOKENS: [&str; 3] = ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];

impl Standings {
    pub fn headers(&self) -> impl Iterator<Item = (Cow<'static, str>, Value)> {
        [(&self.requests, OF_REQUESTS), (&self.tokens, OF_TOKENS)].into_iter().flat_map(
            |(standing, [limit, remaining, reset])| {
                standing.iter().flat_map(move |standing| {
                    [
                        (Cow::Borrowed(limit), text(decimal::text(standing.limit))),
                        (Cow::Borrowed(remaining), text(decimal::text(standing.remaining))),
                        (Cow::Borrowed(reset), text(standing.reset())),
                    ]
                })
            },
        )
    }

    /// Whether `name` is among [`Standings::headers`].
    pub fn is_header(&self, name: &[u8]) -> bool {
        let is_in = |names: [&str; 3]| names.iter().any(|known| known.as_bytes() == name);
        (self.requests.is_some() && is_in(OF_REQUESTS)) || (self.tokens.is_some() && is_in(OF_TOKENS))
    }
}

/// A provider's own error, in Databricks' shape.
pub fn databricks_error(status: u16, message: &str) -> Vec<u8> {
    let error_code = match status {
        403 => "PERMISSION_DENIED",
        404 => "RESOURCE_DOES_NOT_EXIST",
        429 => "REQUEST_LIMIT_EXCEEDED",
        400..=499 => "BAD_REQUEST",
        502..=504 => "TEMPORARILY_UNAVAILABLE",
        _ => "INTERNAL_ERROR",
    };
    error_body(status, Shape::Databricks, error_code, "", "", message)
}

pub fn json(value: &serde_json::Value, request_id: &str) -> Reply {
    let headers = vec![
        (Cow::Borrowed("content-type"), text("application/json")),
        (Cow::Borrowed("x-databricks-request-id"), text(request_id.to_owned())),
    ];
    Reply { status: 200, headers, body: value.to_string().into_bytes() }
}

pub fn text(value: impl Into<Cow<'static, str>>) -> Value {
    match value.into() {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn error_body(
    status: u16,
    shape: Shape,
    error_code: &str,
    openai_type: &str,
    openai_code: &str,
    message: &str,
) -> Vec<u8> {
    let body = match shape {
        Shape::Anthropic => json!({ "type": "error", "error": { "type": kind(status), "message": message } }),
        Shape::Databricks => json!({ "error_code": error_code, "message": message }),
        Shape::OpenAi => {
            json!({ "error": { "message": message, "type": openai_type, "param": null, "code": openai_code } })
        }
    };
    body.to_string().into_bytes()
}

/// With a capital and a full stop. What is quoted in it may be the caller's whole body: that is cut.
fn sentence(text: &str) -> String {
    let text = clipped(text);
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

/// No message of Weir's own is longer.
const MAX_MESSAGE_CHARS: usize = 500;

fn clipped(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}
