//! A limit in words: for the caller whom it refused, and for the record.

use super::{Limit, LimitKey, Limits, Refusal};

impl Limits {
    /// Which limit, of whom, how much, until when.
    pub fn message(&self, endpoint: &str, refusal: &Refusal) -> String {
        let Some(limit) = self.entries().get(refusal.limit) else { return String::new() };
        let Refusal { maximum, unit, used, .. } = refusal;
        let whose = match &limit.key {
            LimitKey::Endpoint => "all callers together".to_owned(),
            LimitKey::EachUser => "each user".to_owned(),
            LimitKey::User(name) => format!("user {name}"),
            LimitKey::ServicePrincipal(name) => format!("service principal {name}"),
            LimitKey::UserGroup(name) => format!("group {name}"),
        };
        let named = limit.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let period = limit.period;
        if *maximum == 0 {
            return format!("the limit{named} for {whose} on endpoint {endpoint} is 0 {unit} per {period}: it blocks");
        }
        format!(
            "the limit{named} of {maximum} {unit} per {period} for {whose} on endpoint {endpoint} is reached ({used} used): \
             send the request again in {} s",
            refusal.retry_after_seconds()
        )
    }

    /// A limit as the record's `detail.limit` names it: its own name, or what it is.
    pub fn label(&self, index: usize) -> Option<String> {
        let limit = self.entries().get(index)?;
        Some(limit.name.clone().unwrap_or_else(|| described(limit)))
    }
}

/// `user_group interns per minute`.
fn described(limit: &Limit) -> String {
    let (key, principal) = match &limit.key {
        LimitKey::Endpoint => ("endpoint", None),
        LimitKey::EachUser => ("user", None),
        LimitKey::User(name) => ("user", Some(name)),
        LimitKey::ServicePrincipal(name) => ("service_principal", Some(name)),
        LimitKey::UserGroup(name) => ("user_group", Some(name)),
    };
    let principal = principal.map(|name| format!(" {name}")).unwrap_or_default();
    format!("{key}{principal} per {}", limit.period)
}
