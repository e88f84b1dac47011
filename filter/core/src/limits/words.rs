//! A limit in words: for the caller whom it refused, for the record, and for the log.

use std::cell::Cell;

use super::{Limit, LimitKey, Limits, Refusal, standing::duration};

/// When a shadow limit was last logged, and how many would have been refused since: at most one line a second, endpoint
/// and worker, however many requests there are.
#[derive(Debug, Default)]
pub(super) struct Said {
    at_ms: Cell<u64>,
    unsaid: Cell<u64>,
}

/// From here on a wait is told in hours.
const LONG_SECONDS: u64 = 3_600;

impl Limits {
    /// Which limit, of whom, how much, until when.
    pub fn message(&self, endpoint: &str, refusal: &Refusal) -> String {
        let Some(limit) = self.entries().get(refusal.limit) else { return String::new() };
        let Refusal { maximum, unit, used, needed, period, .. } = refusal;
        let whose = limit.key.whose();
        let named = limit.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let most = unit.amount(*maximum);
        if *maximum == 0 {
            return format!("the limit{named} for {whose} on endpoint {endpoint} is {most} per {period}: it blocks");
        }
        if needed > maximum {
            let needed = unit.amount(*needed);
            return format!(
                "the request may use {needed}, more than the limit{named} of {most} per {period} for {whose} on endpoint \
                 {endpoint} ever allows: send a smaller `max_tokens` or a shorter prompt"
            );
        }
        let seconds = refusal.retry_after_seconds();
        let wait = match seconds {
            LONG_SECONDS.. => duration(seconds.saturating_mul(1_000)),
            _ => format!("{seconds} s"),
        };
        let used = match unit {
            super::Unit::CostUsd => unit.amount(*used),
            _ => used.to_string(),
        };
        format!(
            "the limit{named} of {most} per {period} for {whose} on endpoint {endpoint} is reached ({used} used): send the \
             request again in {wait}"
        )
    }

    /// A limit as the record's `detail.limit` names it: its own name, or what it is.
    pub fn label(&self, index: usize) -> Option<String> {
        let limit = self.entries().get(index)?;
        Some(limit.name.clone().unwrap_or_else(|| limit.described()))
    }

    /// A line for the log about a call that a shadow limit would have refused, where one is due.
    pub fn shadow_line(&self, endpoint: &str, index: usize, now_ms: u64) -> Option<String> {
        let unsaid = self.said.unsaid.get();
        if now_ms.abs_diff(self.said.at_ms.get()) < 1_000 {
            self.said.unsaid.set(unsaid.saturating_add(1));
            return None;
        }
        self.said.at_ms.set(now_ms);
        self.said.unsaid.set(0);
        let label = self.label(index)?;
        let more = if unsaid > 0 { format!(", and {unsaid} more since the last such line") } else { String::new() };
        Some(format!("shadow: endpoint {endpoint}: limit `{label}` would have refused a request{more}"))
    }
}

impl Limit {
    /// `user_group interns per minute`.
    pub fn described(&self) -> String {
        let principal = self.key.principal().map(|name| format!(" {name}")).unwrap_or_default();
        format!("{}{principal} per {}", self.key.kind(), self.period)
    }
}

impl LimitKey {
    /// As in the policy's `key`; with `per: member` said so.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::EachUser | Self::User(_) => "user",
            Self::ServicePrincipal(_) => "service_principal",
            Self::UserGroup(_) => "user_group",
            Self::EachMember(_) => "member of user_group",
        }
    }

    /// As in the policy's `principal`.
    pub fn principal(&self) -> Option<&str> {
        match self {
            Self::Endpoint | Self::EachUser => None,
            Self::User(name) | Self::ServicePrincipal(name) | Self::UserGroup(name) | Self::EachMember(name) => {
                Some(name)
            }
        }
    }

    /// Whom it is for, in a sentence.
    pub fn whose(&self) -> String {
        match self {
            Self::Endpoint => "all callers together".to_owned(),
            Self::EachUser => "each user".to_owned(),
            Self::User(name) => format!("user {name}"),
            Self::ServicePrincipal(name) => format!("service principal {name}"),
            Self::UserGroup(name) => format!("group {name}"),
            Self::EachMember(name) => format!("each member of group {name}"),
        }
    }
}
