//! A row of `<prefix>_payload`: the request and the answer as the caller sent and saw them, cut off at nothing: a body that is too
//! large is left out whole, and said to be. No header, so no credential.

use std::borrow::Cow;

use super::{Columns, Exchanged, Row, RowKind, SCHEMA_VERSION, line::Line};
use crate::{caller::Caller, config::InferenceTable, time::rfc3339};

/// Nothing but a payload's line begins like this.
pub const HEAD: &str = "{\"table\":\"payload\"";

/// What there is of one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// It never came, or nobody can read it.
    Missing,
    TooLarge,
    Text(&'a [u8]),
}

impl<'a> Body<'a> {
    /// Copied only where it is no UTF-8.
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(bytes) => Some(String::from_utf8_lossy(bytes)),
            Self::Missing | Self::TooLarge => None,
        }
    }
}

/// The bodies of an exchange, and how long the models took.
#[derive(Clone, Copy, Debug)]
pub struct Bodies<'a> {
    pub request: Body<'a>,
    pub response: Body<'a>,
    pub execution_duration_ms: u64,
}

pub fn row(exchanged: &Exchanged<'_>, table: &InferenceTable, bodies: &Bodies<'_>) -> Row {
    let mut line = Line::new(HEAD);
    line.number("\"schema_version\":", Some(SCHEMA_VERSION.into()));
    line.text("\"catalog\":", Some(&table.catalog));
    line.text("\"schema\":", Some(&table.schema));
    line.text("\"prefix\":", Some(&table.prefix));
    line.key("\"row\":{");
    columns(&mut line, exchanged, table, bodies);
    Row { kind: RowKind::Payload, status: exchanged.status, line: line.finish("}}") }
}

/// 12 columns.
pub fn columns(line: &mut impl Columns, exchanged: &Exchanged<'_>, table: &InferenceTable, bodies: &Bodies<'_>) {
    let time = rfc3339(exchanged.received_at);
    let codes = [(bodies.request, "MAX_REQUEST_SIZE_EXCEEDED"), (bodies.response, "MAX_RESPONSE_SIZE_EXCEEDED")];
    let codes: Vec<&str> =
        codes.into_iter().filter(|(body, _)| *body == Body::TooLarge).map(|(_, code)| code).collect();
    line.text("\"databricks_request_id\":", Some(exchanged.id));
    line.text("\"request_date\":", time.get(..10));
    line.text("\"client_request_id\":", exchanged.client_request_id);
    line.text("\"request_time\":", Some(&time));
    line.number("\"status_code\":", Some(exchanged.status.into()));
    line.float("\"sampling_fraction\":", Some(table.sampling_fraction));
    line.number("\"execution_duration_ms\":", Some(bodies.execution_duration_ms));
    line.text("\"request\":", bodies.request.text().as_deref());
    line.text("\"response\":", bodies.response.text().as_deref());
    line.texts("\"logging_error_codes\":", &codes);
    line.text("\"served_entity_id\":", exchanged.entity.map(|entity| entity.id.as_str()));
    line.text("\"requester\":", exchanged.caller.map(Caller::name));
}
