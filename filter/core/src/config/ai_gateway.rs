//! `ai_gateway`: limits, fallback and what is recorded.

use super::{
    rate_limit::{self, Placed},
    reader::{Field, Object},
};

pub(super) struct Gateway<'a> {
    pub limits: Placed<'a>,
    pub has_fallback: bool,
    pub usage_tracking: bool,
}

impl Default for Gateway<'_> {
    fn default() -> Self {
        Self { limits: Vec::new(), has_fallback: false, usage_tracking: true }
    }
}

pub(super) fn read<'a>(field: &Field<'a>, is_logged: bool) -> Option<Gateway<'a>> {
    let mut gateway = field.object()?;
    let has_fallback = gateway.read_or("fallback_config", false, |fallback| {
        let mut fallback = fallback.object()?;
        let enabled = fallback.read("enabled", "`true` or `false`", Field::flag);
        fallback.close();
        enabled
    });
    let limits = gateway.read_or("rate_limits", Vec::new(), rate_limit::read_all);
    let usage_tracking = gateway.read_or("usage_tracking_config", true, |tracking| read_tracking(tracking, is_logged));
    reject_inference_table(&mut gateway);
    gateway.reject_unbuilt("guardrails", "support of guardrails");
    gateway.close();
    Some(Gateway { limits: limits?, has_fallback: has_fallback?, usage_tracking: usage_tracking? })
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

fn reject_inference_table(gateway: &mut Object<'_>) {
    let Some(mut table) = gateway.take("inference_table_config").and_then(|field| field.object()) else { return };
    let expected = "`false`: inference tables are not built yet";
    table.read("enabled", expected, |enabled| {
        if enabled.flag()? {
            enabled.reject(expected);
        }
        Some(())
    });
    table.pass_over(&["catalog_name", "schema_name", "table_name_prefix", "sampling_fraction"]);
    table.close();
}
