//! Envoy's clusters, and where one leads.

/// A server, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    pub tls: bool,
    pub host: String,
    pub port: u16,
    /// `host` as a `:authority`: with the port where it is not the scheme's own.
    pub authority: String,
    /// Without a slash at its end; `/v1` for OpenAI's own.
    pub path_prefix: String,
}

/// A cluster by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cluster {
    /// Named by the operator; exists in Envoy.
    Existing(String),
    /// `weir render` makes it.
    Rendered(String),
}

impl Cluster {
    pub fn name(&self) -> &str {
        match self {
            Self::Existing(name) | Self::Rendered(name) => name,
        }
    }
}
