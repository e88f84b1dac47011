//! Which endpoint a request means, and whether its caller may query it.

use crate::{
    config::{Endpoint, Names, Permission, Principal},
    identity::Caller,
};

/// The endpoint that a request's `model` means: by its own name, by one of its `models`, or by the longest pattern.
/// An index of [`crate::config::Config::endpoints`].
pub fn endpoint_for_model(names: &Names, model: &str) -> Option<usize> {
    let exact = names.endpoints.get(model).or_else(|| names.models.get(model));
    let by_prefix = || names.prefixes.iter().find(|(prefix, _)| model.starts_with(prefix)).map(|(_, index)| index);
    exact.or_else(by_prefix).copied()
}

/// Without `permissions` every caller may.
pub fn may_query(endpoint: &Endpoint, caller: &Caller) -> bool {
    let Some(permissions) = &endpoint.permissions else { return true };
    permissions.iter().any(|permission| match (permission, &caller.principal) {
        (Permission::User(name), Principal::User(user)) => name == user,
        (Permission::ServicePrincipal(name), Principal::ServicePrincipal(principal)) => name == principal,
        (Permission::Group(name), _) => caller.groups.contains(name),
        _ => false,
    })
}
