//! When a cluster gives up: what all rendered ones have.

use serde_json::{Value, json};

/// Envoy's default, stated, since a refused connection and a lost one fall back after different times.
pub const CONNECT_TIMEOUT: &str = "5s";

/// As good as none: limits are Weir's business, and Envoy's defaults (1,024 requests; 3 retries, which turn a burst of
/// fallbacks into errors) are for another world.
const CIRCUIT_BREAKER: u32 = 1_000_000;

pub fn circuit_breakers() -> Value {
    json!({"thresholds": [{
        "max_connections": CIRCUIT_BREAKER,
        "max_pending_requests": CIRCUIT_BREAKER,
        "max_requests": CIRCUIT_BREAKER,
        "max_retries": CIRCUIT_BREAKER,
    }]})
}
