//! Which entity is tried first: drawn by `traffic_percentage`.

use crate::config::{Endpoint, Plan};

/// Draws a plan with 64 random bits; `None` only where the endpoint has no plan at all, which no configuration gives.
pub fn draw(endpoint: &Endpoint, random: u64) -> Option<&Plan> {
    // The high half times 100, its upper 32 bits: 0 to 99, each as often as the other up to 1 in 43 million.
    let mut ticket = ((random >> 32) * 100) >> 32;
    for plan in &endpoint.plans {
        match ticket.checked_sub(u64::from(plan.traffic_percentage)) {
            Some(rest) => ticket = rest,
            None => return Some(plan),
        }
    }
    endpoint.plans.first()
}
