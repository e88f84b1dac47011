//! The compiled policy: what the request path sees. Made once per configuration by [`Config::from_slice`], which reports
//! every problem at once. The document itself is `document`'s business; one module reads each of its sections.

mod ai_gateway;
mod document;
mod endpoint;
mod entity;
mod entity_id;
mod error;
mod external_model;
mod identity;
mod inference_table;
mod limits_store;
mod logging;
mod names;
mod policy;
mod provider;
mod rate_limit;
mod reader;
mod registered_model;
mod secret;
mod traffic;
mod url;
mod variables;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::HashMap, net::IpAddr};

pub use self::{
    error::{InvalidConfig, Problem},
    inference_table::InferenceTable,
    logging::{Format, Logging},
    names::{LINK, NOWHERE},
    provider::{BedrockMaker, Credential, Provider},
    variables::{Environment, MissingSecrets},
};
pub use crate::{
    api::Task,
    secret::Secret,
    upstream::{Cluster, Upstream},
};
use crate::{
    caller::Principal,
    limits::{Limits, rls::Rls},
};

/// A policy that may come into force.
#[derive(Debug)]
pub struct Compiled {
    pub config: Config,
    /// What an operator should know; nothing of it stops the policy.
    pub warnings: Vec<Problem>,
}

/// A policy in force. Lookups are by hash; nothing in here is computed per request.
#[derive(Debug)]
pub struct Config {
    /// The first 16 hex digits of the SHA-256 of the document as configured.
    pub hash: String,
    pub account_id: Option<String>,
    pub workspace_id: Option<String>,
    /// `enforcement: shadow`: limits and permissions refuse nobody.
    pub shadow: bool,
    pub scope: Scope,
    pub identity: Identity,
    pub unmatched: Unmatched,
    /// Where requests outside the scope go in a rendered Envoy, also with [`Unmatched::Deny`].
    pub unmatched_cluster: Option<String>,
    pub max_request_bytes: usize,
    /// `limits_store.rls`; `None`: each Envoy keeps its own counts.
    pub rls: Option<Rls>,
    pub logging: Option<Logging>,
    /// In the order of the policy.
    pub endpoints: Vec<Endpoint>,
    pub names: Names,
    /// Every environment variable that a secret names, in order, each once: what the VM must be given.
    pub environment: Vec<String>,
}

/// Which hosts Weir touches. Paths are fixed, see `request`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Lower case, without port. Empty: all.
    pub hosts: Vec<String>,
}

/// What happens to an unknown endpoint or model within the scope.
#[derive(Debug, PartialEq, Eq)]
pub enum Unmatched {
    Deny,
    /// Untouched, to this cluster.
    Pass {
        cluster: String,
    },
}

/// From a name in a path or in a request's `model` to an index of [`Config::endpoints`].
#[derive(Debug, Default)]
pub struct Names {
    pub endpoints: HashMap<String, usize>,
    /// Exact names of `models`.
    pub models: HashMap<String, usize>,
    /// `gpt-4o-*` as `gpt-4o-`; longest first, so that the first match is the best one.
    pub prefixes: Vec<(String, usize)>,
}

/// `identity`.
#[derive(Debug)]
pub struct Identity {
    pub sources: Vec<Source>,
    /// Static membership, added to what the source gives.
    pub groups_of: HashMap<String, Vec<String>>,
    /// `anonymous: allow`.
    pub allow_anonymous: bool,
}

#[derive(Debug)]
pub enum Source {
    /// By the SHA-256 of the key.
    ApiKeys(HashMap<[u8; 32], KeyOwner>),
    Jwt(Jwt),
    /// The attribute that names the peer: `uri_san_peer_certificate` and so on.
    Mtls {
        attribute: &'static str,
    },
    /// By the SPIFFE id that a mesh of this trust domain gives a service account.
    Workload {
        trust_domain: String,
    },
    Header {
        user: String,
        groups: Option<String>,
        trusted_from: Vec<Cidr>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOwner {
    pub principal: Principal,
    pub groups: Vec<String>,
}

/// Claims are paths, split at dots: `realm_access.roles`.
#[derive(Debug, PartialEq, Eq)]
pub struct Jwt {
    pub user: Option<Vec<String>>,
    pub groups: Option<Vec<String>>,
    pub service_principal: Option<Vec<String>>,
    pub issuer: String,
    pub audiences: Vec<String>,
    pub jwks_file: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    pub address: IpAddr,
    pub prefix: u8,
}

#[derive(Debug)]
pub struct Endpoint {
    pub name: String,
    pub task: Task,
    /// In the order of `served_entities`.
    pub entities: Vec<ServedEntity>,
    /// One for each entity with a traffic percentage over 0.
    pub plans: Vec<Plan>,
    /// Request headers that attempts set, of all entities: gone from the request before anybody but the provider meant can
    /// see them.
    pub own_headers: Vec<Cow<'static, str>>,
    pub limits: Limits,
    /// `None`: every identified caller.
    pub permissions: Option<Vec<Permission>>,
    /// `usage_tracking_config.enabled`; true where it is absent.
    pub usage_tracking: bool,
    /// `inference_table_config`, where it is enabled.
    pub inference_table: Option<InferenceTable>,
    /// As configured: shown by the lists, of no effect.
    pub description: Option<String>,
}

/// The order of attempts where one entity is the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Indices of [`Endpoint::entities`], the primary first, each once, at most 3 (two fallbacks).
    pub entities: Vec<usize>,
    /// The primary's whole-number share of 100.
    pub traffic_percentage: u8,
    /// What the routing header names: the primary's own cluster where it is alone, else the composite cluster
    /// `weir-<endpoint>-<primary>.chain-<hash of the order>` (a dot is in no endpoint's or entity's name).
    pub cluster: String,
}

#[derive(Debug)]
pub struct ServedEntity {
    pub name: String,
    /// A UUID made of the SHA-256 of account, workspace, endpoint and the entity's canonical JSON without secrets.
    pub id: String,
    pub provider: Provider,
    pub credential: Credential,
    /// The provider's own name of the model.
    pub model: String,
    pub cluster: Cluster,
    pub upstream: Upstream,
    /// Per attempt, until the answer's headers. The same for all entities of an endpoint.
    pub first_byte_ms: u64,
    pub price: Option<Price>,
    pub tokenizer: Tokenizer,
}

/// How tokens are counted that the provider does not report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokenizer {
    /// By OpenAI's o200k_base, exactly.
    O200kBase,
    /// By o200k_base, times a ratio that is learnt from what the provider reports.
    Ratio,
}

/// US dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    pub input_per_million_usd: f64,
    pub cached_input_per_million_usd: f64,
    pub cache_write_input_per_million_usd: f64,
    pub output_per_million_usd: f64,
}

/// `permissions[]`: who may query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    User(String),
    Group(String),
    ServicePrincipal(String),
}
