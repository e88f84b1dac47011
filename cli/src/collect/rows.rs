//! The rows of DESIGN.md section 6 as types: a record's JSON in, one value per table out, or why it fits none. What is optional there is
//! optional here; a value of a wrong type is an error, never a null. Nothing here writes.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Microseconds since the Unix epoch, as Delta's TIMESTAMP holds them.
pub type Micros = i64;

/// Times before this are a broken clock's: 2020-01-01, before there was anything to gate.
const EARLIEST: Micros = 1_577_836_800_000_000;
/// How far ahead of this machine's clock a gateway's may be.
const AHEAD: Duration = Duration::from_secs(86_400);

/// `system.serving.endpoint_usage`: 14 columns.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct UsageRow {
    pub account_id: Option<String>,
    pub workspace_id: Option<String>,
    pub client_request_id: Option<String>,
    #[serde(default)]
    pub databricks_request_id: String,
    pub requester: Option<String>,
    pub status_code: Option<i32>,
    #[serde(deserialize_with = "request_time")]
    pub request_time: Micros,
    pub input_token_count: Option<i64>,
    pub output_token_count: Option<i64>,
    pub input_character_count: Option<i64>,
    pub output_character_count: Option<i64>,
    pub usage_context: Option<BTreeMap<String, String>>,
    pub request_streaming: Option<bool>,
    pub served_entity_id: Option<String>,
}

/// `detail`, as columns.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Detail {
    pub endpoint_name: Option<String>,
    pub served_entity_name: Option<String>,
    pub api: Option<String>,
    pub groups: Option<Vec<String>>,
    pub attempts: Option<Vec<Attempt>>,
    #[serde(deserialize_with = "whole")]
    pub latency_ms: Option<i64>,
    #[serde(deserialize_with = "whole")]
    pub time_to_first_byte_ms: Option<i64>,
    pub token_source: Option<String>,
    pub cached_input_tokens: Option<i64>,
    pub cache_write_input_tokens: Option<i64>,
    pub reasoning_tokens: Option<i64>,
    pub cost_usd: Option<f64>,
    #[serde(deserialize_with = "text")]
    pub limit: Option<String>,
    #[serde(deserialize_with = "text")]
    pub would_limit: Option<String>,
    #[serde(deserialize_with = "text")]
    pub guardrail: Option<String>,
    pub finish_reason: Option<String>,
    pub complete: Option<bool>,
    pub trace_id: Option<String>,
    pub request_id: Option<String>,
    pub gateway: Option<String>,
    pub config_hash: Option<String>,
    /// Refusals by status that had no row of their own: a row with these stands for all of them.
    pub counts: Option<BTreeMap<String, i64>>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Attempt {
    pub served_entity_name: Option<String>,
    pub status_code: Option<i32>,
    pub error: Option<String>,
    #[serde(deserialize_with = "whole")]
    pub latency_ms: Option<i64>,
}

/// A request, for both usage tables.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Usage {
    pub row: UsageRow,
    #[serde(default)]
    pub detail: Detail,
}

/// `<prefix>_payload`: 12 columns. The date is the time's own, and a partition.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PayloadRow {
    #[serde(default)]
    pub databricks_request_id: String,
    pub client_request_id: Option<String>,
    #[serde(deserialize_with = "request_time")]
    pub request_time: Micros,
    pub status_code: Option<i32>,
    pub sampling_fraction: Option<f64>,
    #[serde(default, deserialize_with = "whole")]
    pub execution_duration_ms: Option<i64>,
    pub request: Option<String>,
    pub response: Option<String>,
    pub logging_error_codes: Option<Vec<String>>,
    pub served_entity_id: Option<String>,
    pub requester: Option<String>,
}

/// `system.serving.served_entities`: 18 columns, of which the collector assigns the version and the two times.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct EntityRow {
    #[serde(default)]
    pub served_entity_id: String,
    pub account_id: Option<String>,
    pub workspace_id: Option<String>,
    pub created_by: Option<String>,
    pub endpoint_name: String,
    pub endpoint_id: Option<String>,
    pub served_entity_name: Option<String>,
    pub entity_type: Option<String>,
    pub entity_name: Option<String>,
    pub entity_version: Option<String>,
    #[serde(default)]
    pub endpoint_config_version: Option<i32>,
    pub task: Option<String>,
    pub external_model_config: Option<ExternalModel>,
    pub foundation_model_config: Option<FoundationModel>,
    pub custom_model_config: Option<CustomModel>,
    pub feature_spec_config: Option<CustomModel>,
    #[serde(default, deserialize_with = "time")]
    pub change_time: Option<Micros>,
    #[serde(default, deserialize_with = "time")]
    pub endpoint_delete_time: Option<Micros>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct ExternalModel {
    pub provider: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct FoundationModel {
    pub min_provisioned_throughput: Option<i64>,
    pub max_provisioned_throughput: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct CustomModel {
    pub min_concurrency: Option<i64>,
    pub max_concurrency: Option<i64>,
    pub compute_type: Option<String>,
}

/// Who looked at a payload.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct AccessRow {
    #[serde(deserialize_with = "request_time")]
    pub access_time: Micros,
    /// The name of the token.
    pub who: String,
    pub peer: String,
    pub databricks_request_id: String,
}

/// A line that belongs into no table, and why.
#[derive(Clone, Debug, Serialize)]
pub struct QuarantineRow {
    pub received_time: Micros,
    pub reason: String,
    /// As received; what is not UTF-8 is in `line_base64` instead.
    pub line: Option<String>,
    pub line_base64: Option<String>,
}

/// A time in RFC 3339, not before 2020 and at most a day ahead of this clock.
fn request_time<'de, D: Deserializer<'de>>(from: D) -> Result<Micros, D::Error> {
    let found = String::deserialize(from)?;
    let micros =
        micros(&found).ok_or_else(|| D::Error::custom(format!("expected a time in RFC 3339, found `{found}`")))?;
    let latest = now().saturating_add(i64::try_from(AHEAD.as_micros()).unwrap_or_default());
    if (EARLIEST..=latest).contains(&micros) {
        Ok(micros)
    } else {
        Err(D::Error::custom(format!("expected a time from 2020 on and at most a day ahead, found `{found}`")))
    }
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Micros>, D::Error> {
    let found = Option::<String>::deserialize(from)?;
    Ok(found.as_deref().and_then(micros))
}

fn micros(text: &str) -> Option<Micros> {
    let since = humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok()
}

/// This machine's clock.
pub fn now() -> Micros {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// A number as a whole one.
fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    #[expect(clippy::cast_possible_truncation, reason = "it saturates, and milliseconds are far from 2^63")]
    Ok(Option::<f64>::deserialize(from)?.map(|number| number.round() as i64))
}

/// A text as it stands; anything else as its JSON, so that a newer gateway's richer value is kept.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    })
}
