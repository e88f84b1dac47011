//! What a request is answered with.

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::Value;

/// Why a request is not served.
pub struct Refused(pub StatusCode, pub String);

/// What is answered with 200.
pub enum Answer {
    Json(Value),
    Text(&'static str, Bytes),
}
