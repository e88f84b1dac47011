//! `ai_gateway`: limits, fallback and what is recorded.

use super::{
    InferenceTable,
    rate_limit::{self, Placed},
    reader::Field,
};

pub(super) struct Gateway<'a> {
    pub limits: Placed<'a>,
    pub has_fallback: bool,
    pub usage_tracking: bool,
    pub inference_table: Option<InferenceTable>,
}

impl Default for Gateway<'_> {
    fn default() -> Self {
        Self { limits: Vec::new(), has_fallback: false, usage_tracking: true, inference_table: None }
    }
}

/// `endpoint` is its name, where that is right.
pub(super) fn read<'a>(field: &Field<'a>, endpoint: Option<&str>, is_logged: bool) -> Option<Gateway<'a>> {
    let mut gateway = field.object()?;
    let has_fallback = gateway.read_or("fallback_config", false, |fallback| {
        let mut fallback = fallback.object()?;
        let enabled = fallback.read("enabled", "`true` or `false`", Field::flag);
        fallback.close();
        enabled
    });
    let limits = gateway.read_or("rate_limits", Vec::new(), rate_limit::read_all);
    let usage_tracking = gateway.read_or("usage_tracking_config", true, |tracking| read_tracking(tracking, is_logged));
    let inference_table =
        gateway.read_or("inference_table_config", None, |table| read_inference_table(table, endpoint, is_logged));
    gateway.reject_unbuilt("guardrails", "support of guardrails");
    gateway.close();
    Some(Gateway {
        limits: limits?,
        has_fallback: has_fallback?,
        usage_tracking: usage_tracking?,
        inference_table: inference_table?,
    })
}

fn read_tracking(field: &Field<'_>, is_logged: bool) -> Option<bool> {
    let mut tracking = field.object()?;
    let enabled = tracking.read_or("enabled", true, |enabled| {
        let flag = enabled.flag()?;
        if flag && !is_logged {
            enabled.warn("`true`", "`logging` in the policy: without it usage is recorded nowhere");
        }
        Some(flag)
    });
    tracking.close();
    enabled
}

fn read_inference_table(field: &Field<'_>, endpoint: Option<&str>, is_logged: bool) -> Option<Option<InferenceTable>> {
    let mut table = field.object()?;
    if !table.read("enabled", "`true` or `false`", Field::flag)? {
        table.pass_over(&TABLE_KEYS);
        table.close();
        return Some(None);
    }
    if !is_logged {
        field.report("an inference table", "`logging` in the policy: without it there is nothing that payloads go to");
    }
    let [catalog, schema, prefix, fraction] = TABLE_KEYS;
    let catalog = table.read(catalog, "the catalog's name", |name| name.matching(NAME, is_name).map(str::to_owned));
    let schema = table.read(schema, "the schema's name", |name| name.matching(NAME, is_name).map(str::to_owned));
    let own = endpoint.unwrap_or_default().to_owned();
    let prefix = table.read_or(prefix, own, |prefix| prefix.matching(PREFIX, is_prefix).map(str::to_owned));
    let sampling_fraction = table.read_or(fraction, 1.0, |fraction| {
        let share = fraction.amount()?;
        if share > 1.0 {
            fraction.reject("a number from 0 to 1");
        } else if share == 0.0 {
            fraction.warn("`0`", "a share above 0, or `enabled: false`: nothing is logged");
        }
        Some(share)
    });
    table.close();
    let table =
        InferenceTable { catalog: catalog?, schema: schema?, prefix: prefix?, sampling_fraction: sampling_fraction? };
    Some(Some(table))
}

const TABLE_KEYS: [&str; 4] = ["catalog_name", "schema_name", "table_name_prefix", "sampling_fraction"];
const NAME: &str = "1 to 255 characters without `.`, `/`, spaces and control characters";
const PREFIX: &str = "1 to 128 letters, digits, `_` or `-`";

/// What Unity Catalog takes.
fn is_name(name: &str) -> bool {
    name.len() <= 255 && !name.contains(|c: char| matches!(c, '.' | '/') || c.is_whitespace() || c.is_control())
}

/// It becomes a folder's name at the collector.
fn is_prefix(prefix: &str) -> bool {
    prefix.len() <= 128 && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
