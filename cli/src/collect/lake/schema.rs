//! The tables' columns, in Arrow's types, in the order in which readers see them. The names and types of the first, third and fourth are
//! Databricks' (`system.serving.endpoint_usage`, `system.serving.served_entities`, inference tables).

use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

/// The partition column of tables that have one of their own.
pub const DATE: &str = "request_date";

/// What the wide table takes over from `endpoint_usage`, so that its readers need no join.
pub const SHARED: [&str; 7] = [
    "databricks_request_id",
    "request_time",
    "requester",
    "status_code",
    "input_token_count",
    "output_token_count",
    "usage_context",
];

pub fn endpoint_usage() -> SchemaRef {
    schema([
        text("account_id"),
        text("workspace_id"),
        text("client_request_id"),
        text("databricks_request_id"),
        text("requester"),
        int("status_code"),
        timestamp("request_time"),
        long("input_token_count"),
        long("output_token_count"),
        long("input_character_count"),
        long("output_character_count"),
        map("usage_context", DataType::Utf8),
        field("request_streaming", DataType::Boolean),
        text("served_entity_id"),
    ])
}

/// The `detail` object alone.
pub fn detail() -> Fields {
    let attempt = Fields::from(vec![text("served_entity_name"), int("status_code"), text("error"), long("latency_ms")]);
    Fields::from(vec![
        text("endpoint_name"),
        text("served_entity_name"),
        text("api"),
        list("groups", DataType::Utf8),
        list("attempts", DataType::Struct(attempt)),
        long("latency_ms"),
        long("time_to_first_byte_ms"),
        text("token_source"),
        long("cached_input_tokens"),
        long("cache_write_input_tokens"),
        long("reasoning_tokens"),
        field("cost_usd", DataType::Float64),
        text("limit"),
        text("would_limit"),
        text("guardrail"),
        text("finish_reason"),
        field("complete", DataType::Boolean),
        text("trace_id"),
        text("request_id"),
        text("gateway"),
        text("config_hash"),
        map("counts", DataType::Int64),
    ])
}

/// What is shared, the `detail` object, and the date.
pub fn endpoint_usage_detail() -> SchemaRef {
    let usage = endpoint_usage();
    let shared = SHARED.iter().filter_map(|name| usage.field_with_name(name).ok().cloned()).map(Arc::new);
    let date = Arc::new(field(DATE, DataType::Date32));
    Arc::new(Schema::new(shared.chain(detail().iter().cloned()).chain([date]).collect::<Vec<FieldRef>>()))
}

pub fn payload() -> SchemaRef {
    schema([
        text("databricks_request_id"),
        field(DATE, DataType::Date32),
        text("client_request_id"),
        timestamp("request_time"),
        int("status_code"),
        field("sampling_fraction", DataType::Float64),
        long("execution_duration_ms"),
        text("request"),
        text("response"),
        list("logging_error_codes", DataType::Utf8),
        text("served_entity_id"),
        text("requester"),
    ])
}

pub fn served_entities() -> SchemaRef {
    let structure = |name, fields: Vec<Field>| field(name, DataType::Struct(fields.into()));
    let custom = || vec![long("min_concurrency"), long("max_concurrency"), text("compute_type")];
    schema([
        text("served_entity_id"),
        text("account_id"),
        text("workspace_id"),
        text("created_by"),
        text("endpoint_name"),
        text("endpoint_id"),
        text("served_entity_name"),
        text("entity_type"),
        text("entity_name"),
        text("entity_version"),
        int("endpoint_config_version"),
        text("task"),
        structure("external_model_config", vec![text("provider")]),
        structure(
            "foundation_model_config",
            vec![long("min_provisioned_throughput"), long("max_provisioned_throughput")],
        ),
        structure("custom_model_config", custom()),
        structure("feature_spec_config", custom()),
        timestamp("change_time"),
        timestamp("endpoint_delete_time"),
    ])
}

pub fn quarantine() -> SchemaRef {
    schema([timestamp("received_time"), text("reason"), text("line"), text("line_base64")])
}

pub fn payload_access() -> SchemaRef {
    schema([timestamp("access_time"), text("who"), text("peer"), text("databricks_request_id")])
}

fn schema<const N: usize>(fields: [Field; N]) -> SchemaRef {
    Arc::new(Schema::new(fields.to_vec()))
}

/// Every column may be null: so no reader has to care, and a column can be added to rows that exist.
fn field(name: &str, kind: DataType) -> Field {
    Field::new(name, kind, true)
}

fn text(name: &str) -> Field {
    field(name, DataType::Utf8)
}

fn int(name: &str) -> Field {
    field(name, DataType::Int32)
}

fn long(name: &str) -> Field {
    field(name, DataType::Int64)
}

fn timestamp(name: &str) -> Field {
    field(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
}

/// With the names that Parquet's and Delta's other writers give to what is inside.
fn list(name: &str, of: DataType) -> Field {
    field(name, DataType::List(Arc::new(field("element", of))))
}

fn map(name: &str, of: DataType) -> Field {
    let entry = Fields::from(vec![Field::new("key", DataType::Utf8, false), field("value", of)]);
    field(name, DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false))
}
