//! Who may query what.

use super::{Gateway, close::Replied, facts::Facts};
use crate::{policy, reply::Denied};

/// The endpoint is known: whether the caller may query it.
pub fn permitted(gateway: &Gateway, mut facts: Facts) -> Result<Facts, Box<Replied>> {
    match (facts.endpoint(gateway), &facts.caller) {
        (Some(endpoint), Some(caller)) if policy::may_query(endpoint, caller) => Ok(facts),
        (Some(_), Some(_)) if gateway.config.shadow => {
            facts.would_limit = Some("permissions".to_owned());
            Ok(facts)
        }
        (endpoint, caller) => {
            let denied = Denied::PermissionDenied {
                caller: caller.as_ref().map(|caller| caller.name().to_owned()).unwrap_or_default(),
                endpoint: endpoint.map(|endpoint| endpoint.name.clone()).unwrap_or_default(),
            };
            Err(Replied::new(facts, denied))
        }
    }
}
