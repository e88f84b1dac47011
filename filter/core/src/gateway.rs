//! What both roles of one configuration share, in each worker.

use crate::{config::Config, limits::Guesses};

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
}
