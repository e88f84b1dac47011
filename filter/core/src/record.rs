//! The rows of DESIGN.md section 6: one NDJSON line each, formatted once. Every column is always there, `null` where
//! nothing is known. No prompt, no answer, no secret.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    caller::Caller,
    config::{Config, Endpoint, Provider, ServedEntity},
    export::{Row, RowKind},
    time::rfc3339,
    usage::Usage,
};

const SCHEMA_VERSION: u32 = 1;

/// The facts of one exchange that is over.
#[derive(Debug)]
pub struct Exchanged<'a> {
    pub config: &'a Config,
    /// Envoy's node id.
    pub gateway: &'a str,
    pub api: &'static str,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    let line = UsageLine {
        table: "endpoint_usage",
        schema_version: SCHEMA_VERSION,
        row: UsageRow::of(exchanged),
        detail: Detail::of(exchanged),
    };
    Row { kind, status: exchanged.status, line: serde_json::to_vec(&line).unwrap_or_default() }
}

/// Stands for `counts` refusals (by status) that had no row of their own.
pub fn counts_row(config: &Config, gateway: &str, id: &str, now: u64, counts: &BTreeMap<u16, u64>) -> Row {
    let exchanged = Exchanged::blank(config, gateway, id, now);
    let row = UsageRow { status_code: None, request_streaming: None, ..UsageRow::of(&exchanged) };
    let detail = Detail { api: None, counts: Some(counts), ..Detail::of(&exchanged) };
    let line = UsageLine { table: "endpoint_usage", schema_version: SCHEMA_VERSION, row, detail };
    Row { kind: RowKind::Stranger, status: 0, line: serde_json::to_vec(&line).unwrap_or_default() }
}

/// A row for every served entity of the policy.
pub fn entity_rows(config: &Config) -> impl Iterator<Item = Row> {
    config.endpoints.iter().flat_map(move |endpoint| {
        endpoint.entities.iter().map(move |entity| {
            let line = EntityLine {
                table: "served_entities",
                schema_version: SCHEMA_VERSION,
                config_hash: &config.hash,
                row: EntityRow::of(config, endpoint, entity),
            };
            Row { kind: RowKind::Entities, status: 0, line: serde_json::to_vec(&line).unwrap_or_default() }
        })
    })
}

#[derive(Serialize)]
struct UsageLine<'a> {
    table: &'static str,
    schema_version: u32,
    row: UsageRow<'a>,
    detail: Detail<'a>,
}

/// `system.serving.endpoint_usage`: 14 columns.
#[derive(Serialize)]
struct UsageRow<'a> {
    account_id: Option<&'a str>,
    workspace_id: Option<&'a str>,
    client_request_id: Option<&'a str>,
    databricks_request_id: &'a str,
    requester: Option<&'a str>,
    status_code: Option<u16>,
    request_time: String,
    input_token_count: u64,
    output_token_count: u64,
    input_character_count: Option<u64>,
    output_character_count: Option<u64>,
    usage_context: Option<&'a BTreeMap<String, String>>,
    request_streaming: Option<bool>,
    served_entity_id: Option<&'a str>,
}

impl<'a> UsageRow<'a> {
    fn of(exchanged: &Exchanged<'a>) -> Self {
        Self {
            account_id: exchanged.config.account_id.as_deref(),
            workspace_id: exchanged.config.workspace_id.as_deref(),
            client_request_id: exchanged.client_request_id,
            databricks_request_id: exchanged.id,
            requester: exchanged.caller.map(Caller::name),
            status_code: Some(exchanged.status),
            request_time: rfc3339(exchanged.received_at),
            input_token_count: exchanged.usage.input,
            output_token_count: exchanged.usage.output,
            input_character_count: exchanged.input_characters,
            output_character_count: exchanged.output_characters,
            usage_context: Some(exchanged.usage_context).filter(|context| !context.is_empty()),
            request_streaming: Some(exchanged.streaming),
            served_entity_id: exchanged.entity.map(|entity| entity.id.as_str()),
        }
    }
}

#[derive(Serialize)]
struct Detail<'a> {
    endpoint_name: Option<&'a str>,
    served_entity_name: Option<&'a str>,
    api: Option<&'static str>,
    groups: &'a [String],
    attempts: &'a [Attempted<'a>],
    latency_ms: u64,
    time_to_first_byte_ms: Option<u64>,
    token_source: Option<&'static str>,
    cached_input_tokens: Option<u64>,
    cache_write_input_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    cost_usd: Option<f64>,
    limit: Option<&'a str>,
    would_limit: Option<&'a str>,
    guardrail: Option<&'a str>,
    finish_reason: Option<&'a str>,
    complete: bool,
    trace_id: Option<&'a str>,
    request_id: Option<&'a str>,
    gateway: &'a str,
    config_hash: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<&'a BTreeMap<u16, u64>>,
}

impl<'a> Detail<'a> {
    fn of(exchanged: &Exchanged<'a>) -> Self {
        let since_received = |at: u64| at.saturating_sub(exchanged.received_at) / 1_000_000;
        let price = exchanged.entity.and_then(|entity| entity.price.as_ref());
        let was_used = exchanged.usage.source.is_some();
        Self {
            endpoint_name: exchanged.endpoint.map(|endpoint| endpoint.name.as_str()),
            served_entity_name: exchanged.entity.map(|entity| entity.name.as_str()),
            api: Some(exchanged.api),
            groups: exchanged.caller.map(|caller| caller.groups.as_slice()).unwrap_or_default(),
            attempts: exchanged.attempts,
            latency_ms: since_received(exchanged.ended_at),
            time_to_first_byte_ms: exchanged.first_byte_at.map(since_received),
            token_source: exchanged.usage.source.map(|source| source.name()),
            cached_input_tokens: exchanged.usage.cached_input,
            cache_write_input_tokens: exchanged.usage.cache_write_input,
            reasoning_tokens: exchanged.usage.reasoning,
            cost_usd: price.filter(|_| was_used).map(|price| exchanged.usage.cost_usd(price)),
            limit: exchanged.limit,
            would_limit: None,
            guardrail: None,
            finish_reason: exchanged.finish_reason,
            complete: exchanged.complete,
            trace_id: exchanged.trace_id,
            request_id: exchanged.request_id,
            gateway: exchanged.gateway,
            config_hash: &exchanged.config.hash,
            counts: None,
        }
    }
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
