//! The rows of DESIGN.md section 6: one NDJSON line each, formatted once. Every column is always there, `null` where
//! nothing is known. No secret, and in none but a payload's row a prompt or an answer.

mod columns;
mod line;
pub mod otlp;
pub mod payload;
mod row;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    api::Api,
    caller::Caller,
    config::{Config, Endpoint, Format, InferenceTable, Provider, ServedEntity},
    time::rfc3339,
    usage::Usage,
};
pub use columns::Columns;
use line::Line;
use payload::Bodies;
pub use row::{Frame, Row, RowKind};

const SCHEMA_VERSION: u32 = 1;
/// Up to the first column; the version is [`SCHEMA_VERSION`].
const USAGE_HEAD: &str = "{\"table\":\"endpoint_usage\",\"schema_version\":1,\"row\":{";

/// The facts of one exchange that is over.
#[derive(Debug)]
pub struct Exchanged<'a> {
    pub config: &'a Config,
    /// Envoy's node id.
    pub gateway: &'a str,
    pub api: &'static str,
    /// What was asked for, where a request came that far.
    pub operation: Option<Api>,
    /// `databricks_request_id`: a UUID.
    pub id: &'a str,
    pub client_request_id: Option<&'a str>,
    pub usage_context: &'a BTreeMap<String, String>,
    pub trace_id: Option<&'a str>,
    /// Envoy's `x-request-id`.
    pub request_id: Option<&'a str>,
    pub caller: Option<&'a Caller>,
    pub endpoint: Option<&'a Endpoint>,
    /// The entity that answered, or the one drawn.
    pub entity: Option<&'a ServedEntity>,
    pub status: u16,
    pub streaming: bool,
    pub input_characters: Option<u64>,
    pub output_characters: Option<u64>,
    pub usage: Usage,
    pub attempts: &'a [Attempted<'a>],
    pub limit: Option<&'a str>,
    /// What would have refused it, were it not in shadow mode.
    pub would_limit: Option<&'a str>,
    pub finish_reason: Option<&'a str>,
    pub complete: bool,
    /// Nanoseconds since the Unix epoch.
    pub received_at: u64,
    pub first_byte_at: Option<u64>,
    pub ended_at: u64,
}

impl<'a> Exchanged<'a> {
    /// Nothing but the id, and when it was: all else is for the caller to fill in.
    pub fn blank(config: &'a Config, gateway: &'a str, id: &'a str, at: u64) -> Self {
        Self {
            config,
            gateway,
            api: "",
            operation: None,
            id,
            client_request_id: None,
            usage_context: &NO_CONTEXT,
            trace_id: None,
            request_id: None,
            caller: None,
            endpoint: None,
            entity: None,
            status: 0,
            streaming: false,
            input_characters: None,
            output_characters: None,
            usage: Usage::default(),
            attempts: &[],
            limit: None,
            would_limit: None,
            finish_reason: None,
            complete: false,
            received_at: at,
            first_byte_at: None,
            ended_at: at,
        }
    }
}

static NO_CONTEXT: BTreeMap<String, String> = BTreeMap::new();

/// One attempt, as `detail.attempts` holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted<'a> {
    pub served_entity_name: &'a str,
    pub status_code: Option<u16>,
    pub error: Option<&'static str>,
    pub latency_ms: u64,
}

/// A usage row. A refusal before an endpoint was known is a stranger's.
pub fn usage_row(exchanged: &Exchanged<'_>, refused: bool) -> Row {
    let kind = match (refused, exchanged.endpoint) {
        (true, None) => RowKind::Stranger,
        (true, Some(_)) => RowKind::Refusal,
        (false, _) => RowKind::Usage,
    };
    Row { kind, status: exchanged.status, line: usage_line(exchanged, None) }
}

/// The payload of an exchange, for its endpoint's table.
pub fn payload_row(exchanged: &Exchanged<'_>, table: &InferenceTable, bodies: &Bodies<'_>) -> Row {
    match format(exchanged.config) {
        Format::Ndjson => payload::row(exchanged, table, bodies),
        Format::Otlp => otlp::payload(exchanged, table, bodies),
    }
}

fn format(config: &Config) -> Format {
    config.logging.as_ref().map_or(Format::Ndjson, |logging| logging.format)
}

/// Stands for `counts` refusals (by status) that had no row of their own.
pub fn counts_row(config: &Config, gateway: &str, id: &str, now: u64, counts: &BTreeMap<u16, u64>) -> Row {
    let exchanged = Exchanged::blank(config, gateway, id, now);
    let line = match format(config) {
        Format::Ndjson => usage_line(&exchanged, Some(counts)),
        Format::Otlp => otlp::usage(&exchanged, Some(counts)),
    };
    Row { kind: RowKind::Stranger, status: 0, line }
}

/// A row for every served entity of the policy.
pub fn entity_rows(config: &Config, now: u64) -> impl Iterator<Item = Row> {
    config.endpoints.iter().flat_map(move |endpoint| {
        endpoint.entities.iter().map(move |entity| {
            let row = EntityRow::of(config, endpoint, entity);
            let line = match format(config) {
                Format::Ndjson => serde_json::to_vec(&EntityLine {
                    table: "served_entities",
                    schema_version: SCHEMA_VERSION,
                    config_hash: &config.hash,
                    row,
                })
                .unwrap_or_default(),
                Format::Otlp => otlp::entity(config, &serde_json::to_value(row).unwrap_or_default(), now),
            };
            Row { kind: RowKind::Entities, status: 0, line }
        })
    })
}

/// The line of `endpoint_usage`. With `counts` it is about no request of its own: what only a request has is `null`.
fn usage_line(exchanged: &Exchanged<'_>, counts: Option<&BTreeMap<u16, u64>>) -> Vec<u8> {
    let mut line = Line::new(USAGE_HEAD);
    usage_columns(&mut line, exchanged, counts.is_none());
    line.raw("},\"detail\":{");
    detail(&mut line, exchanged, counts.is_none());
    if let Some(counts) = counts {
        line.counts("\"counts\":", counts);
    }
    line.finish("}}")
}

/// `system.serving.endpoint_usage`: 14 columns.
fn usage_columns(line: &mut impl Columns, exchanged: &Exchanged<'_>, of_a_request: bool) {
    let Exchanged { config, usage, .. } = exchanged;
    line.text("\"account_id\":", config.account_id.as_deref());
    line.text("\"workspace_id\":", config.workspace_id.as_deref());
    line.text("\"client_request_id\":", exchanged.client_request_id);
    line.text("\"databricks_request_id\":", Some(exchanged.id));
    line.text("\"requester\":", exchanged.caller.map(Caller::name));
    line.number("\"status_code\":", of_a_request.then_some(exchanged.status.into()));
    line.text("\"request_time\":", Some(&rfc3339(exchanged.received_at)));
    line.number("\"input_token_count\":", Some(usage.input));
    line.number("\"output_token_count\":", Some(usage.output));
    line.number("\"input_character_count\":", exchanged.input_characters);
    line.number("\"output_character_count\":", exchanged.output_characters);
    line.map("\"usage_context\":", exchanged.usage_context);
    line.flag("\"request_streaming\":", of_a_request.then_some(exchanged.streaming));
    line.text("\"served_entity_id\":", exchanged.entity.map(|entity| entity.id.as_str()));
}

/// The `detail` object of DESIGN.md section 6.
fn detail(line: &mut impl Columns, exchanged: &Exchanged<'_>, of_a_request: bool) {
    let Exchanged { usage, entity, .. } = exchanged;
    let since_received = |at: u64| at.saturating_sub(exchanged.received_at) / 1_000_000;
    let price = entity.and_then(|entity| entity.price.as_ref()).filter(|_| usage.source.is_some());
    let groups = exchanged.caller.map(|caller| caller.groups.as_slice()).unwrap_or_default();
    line.text("\"endpoint_name\":", exchanged.endpoint.map(|endpoint| endpoint.name.as_str()));
    line.text("\"served_entity_name\":", entity.map(|entity| entity.name.as_str()));
    line.text("\"api\":", of_a_request.then_some(exchanged.api));
    line.texts("\"groups\":", groups);
    line.objects("\"attempts\":", exchanged.attempts, attempt);
    line.number("\"latency_ms\":", Some(since_received(exchanged.ended_at)));
    line.number("\"time_to_first_byte_ms\":", exchanged.first_byte_at.map(since_received));
    line.text("\"token_source\":", usage.source.map(|source| source.name()));
    line.number("\"cached_input_tokens\":", usage.cached_input);
    line.number("\"cache_write_input_tokens\":", usage.cache_write_input);
    line.number("\"reasoning_tokens\":", usage.reasoning);
    line.float("\"cost_usd\":", price.map(|price| usage.cost_usd(price)));
    line.text("\"limit\":", exchanged.limit);
    line.text("\"would_limit\":", exchanged.would_limit);
    line.text("\"guardrail\":", None);
    line.text("\"finish_reason\":", exchanged.finish_reason);
    line.flag("\"complete\":", Some(exchanged.complete));
    line.text("\"trace_id\":", exchanged.trace_id);
    line.text("\"request_id\":", exchanged.request_id);
    line.text("\"gateway\":", Some(exchanged.gateway));
    line.text("\"config_hash\":", Some(&exchanged.config.hash));
}

fn attempt(line: &mut impl Columns, attempt: &Attempted<'_>) {
    line.text("\"served_entity_name\":", Some(attempt.served_entity_name));
    line.number("\"status_code\":", attempt.status_code.map(u64::from));
    line.text("\"error\":", attempt.error);
    line.number("\"latency_ms\":", Some(attempt.latency_ms));
}

#[derive(Serialize)]
struct EntityLine<'a> {
    table: &'static str,
    schema_version: u32,
    config_hash: &'a str,
    row: EntityRow<'a>,
}

/// `system.serving.served_entities`: 18 columns. The collector assigns the version and the times.
#[derive(Serialize)]
struct EntityRow<'a> {
    served_entity_id: &'a str,
    account_id: Option<&'a str>,
    workspace_id: Option<&'a str>,
    created_by: Option<&'a str>,
    endpoint_name: &'a str,
    endpoint_id: Option<&'a str>,
    served_entity_name: &'a str,
    entity_type: &'static str,
    entity_name: &'a str,
    entity_version: Option<&'a str>,
    endpoint_config_version: Option<u32>,
    task: Option<&'static str>,
    external_model_config: Option<ExternalModelConfig>,
    foundation_model_config: Option<()>,
    custom_model_config: Option<()>,
    feature_spec_config: Option<()>,
    change_time: Option<&'a str>,
    endpoint_delete_time: Option<&'a str>,
}

#[derive(Serialize)]
struct ExternalModelConfig {
    provider: &'static str,
}

impl<'a> EntityRow<'a> {
    fn of(config: &'a Config, endpoint: &'a Endpoint, entity: &'a ServedEntity) -> Self {
        let (entity_type, entity_name, entity_version) = match &entity.provider {
            // Databricks' own models are in that catalog.
            Provider::Model { entity_name, entity_version } if entity_name.starts_with("system.ai.") => {
                ("FOUNDATION_MODEL", entity_name, entity_version.as_deref())
            }
            Provider::Model { entity_name, entity_version } => ("CUSTOM_MODEL", entity_name, entity_version.as_deref()),
            _ => ("EXTERNAL_MODEL", &entity.model, None),
        };
        let provider = Some(entity.provider.name()).filter(|name| !name.is_empty());
        Self {
            served_entity_id: &entity.id,
            account_id: config.account_id.as_deref(),
            workspace_id: config.workspace_id.as_deref(),
            created_by: None,
            endpoint_name: &endpoint.name,
            endpoint_id: None,
            served_entity_name: &entity.name,
            entity_type,
            entity_name,
            entity_version,
            endpoint_config_version: None,
            task: endpoint.task.name(),
            external_model_config: provider.map(|provider| ExternalModelConfig { provider }),
            foundation_model_config: None,
            custom_model_config: None,
            feature_spec_config: None,
            change_time: None,
            endpoint_delete_time: None,
        }
    }
}
