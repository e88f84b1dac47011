//! Whether a caller may query an endpoint.

use crate::{
    caller::{Caller, Principal},
    config::{Endpoint, Permission},
};

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
