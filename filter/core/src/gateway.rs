//! What both roles of one configuration share, in each worker.

use crate::config::Config;

/// What all exchanges of one configuration share.
#[derive(Debug)]
pub struct Gateway {
    pub config: Config,
    /// Envoy's node id.
    pub node: String,
}
