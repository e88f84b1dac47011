//! `weir render envoy --only`: the parts of a bootstrap that an operator merges into an Envoy of his own, as
//! docs/existing-envoy.md walks through. Nothing in them changes what that Envoy does with other requests.

use serde_json::{Value, json};
use weir_core::config::Config;

use super::{clusters, filters, options::Options, routes};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// For the HTTP connection manager: `early_header_mutation_extensions`, the `http_filters` that go before the router,
    /// and the router's `upstream_http_filters`
    Filters,
    /// A list for `static_resources.clusters`, or for CDS
    Clusters,
    /// A list that goes before the routes of the virtual host, or of each one, where Weir is to serve
    Routes,
}

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Self::Filters => "filters",
            Self::Clusters => "clusters",
            Self::Routes => "routes",
        }
    }

    pub fn of(self, config: &Config, policy_json: &str, options: &Options) -> Value {
        let options = &Options { merged: true, ..options.clone() };
        match self {
            Self::Filters => json!({
                "early_header_mutation_extensions": [filters::early_header_mutation()],
                "http_filters": filters::before_router(config, policy_json, options),
                "upstream_http_filters": filters::in_router(config, policy_json, options),
            }),
            Self::Clusters => clusters::clusters(config, options.version.chain(), &options.clusters).into(),
            Self::Routes => routes::own_routes(config, options).into(),
        }
    }
}
