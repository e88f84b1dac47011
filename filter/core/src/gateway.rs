//! What both roles of one configuration share, in each worker.

use crate::{config::Config, headers::Headers, limits::Guesses};

/// What all exchanges of one configuration share.
#[derive(Debug)]
pub struct Gateway {
    pub config: Config,
    /// Of all that the filter was configured with, secrets too: the same policy with another secret is another configuration.
    pub delivery: u128,
    /// Envoy's node id.
    pub node: String,
    /// This worker's own.
    pub guesses: Guesses,
}

impl Gateway {
    pub fn new(config: Config, delivery: u128, node: String) -> Self {
        Self { config, delivery, node, guesses: Guesses::default() }
    }

    /// Whether the policy is about requests to their host.
    pub fn is_host_in_scope(&self, headers: &Headers) -> bool {
        let hosts = &self.config.scope.hosts;
        if hosts.is_empty() {
            return true;
        }
        let name = headers.text(":authority").unwrap_or_default();
        // The port is behind the last colon, unless that stands inside an IPv6 address's brackets.
        let name = name.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(name, |(name, _)| name);
        hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }
}
