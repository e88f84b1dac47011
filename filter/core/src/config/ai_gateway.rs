//! `ai_gateway`: limits, fallback and what is recorded.

use super::{
    inference_table::{self, InferenceTable},
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
        gateway.read_or("inference_table_config", None, |table| inference_table::read(table, endpoint, is_logged));
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
