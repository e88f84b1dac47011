//! The whole document: reads the policy's own keys and hands each section to its reader.

use std::cell::RefCell;

use sha2::{Digest, Sha256};

use super::{
    Cluster, Compiled, Config, Environment, Identity, InvalidConfig, MissingSecrets, Problem, Scope, Unmatched,
    endpoint,
    entity_id::Owner,
    identity, limits_store, logging,
    names::Claims,
    reader::{Field, Findings, Object},
    url::{self, read_cluster},
    variables::Variables,
};
use crate::{
    decimal::hex_of,
    limits::{Conflict, Reserve, Rules},
};

impl Config {
    /// Compiles a policy document. `environment` is asked for the variables that secrets name.
    ///
    /// # Errors
    ///
    /// All that is wrong with the document, at once.
    pub fn from_slice(
        json: &[u8],
        environment: &Environment<'_>,
        missing_secrets: MissingSecrets,
    ) -> Result<Compiled, InvalidConfig> {
        let document = serde_json::from_slice(json).map_err(|error| InvalidConfig {
            problems: vec![Problem {
                path: String::new(),
                found: format!("no JSON ({error})"),
                expected: "a JSON object".to_owned(),
            }],
            warnings: Vec::new(),
        })?;
        let hash = Self::hash_of(json);
        let findings = Findings {
            problems: RefCell::default(),
            warnings: RefCell::default(),
            variables: Variables::new(environment, missing_secrets),
        };
        let config = read(&Field::root(&document, &findings), hash);
        let (problems, warnings) = (findings.problems.into_inner(), findings.warnings.into_inner());
        match config {
            Some(mut config) if problems.is_empty() => {
                config.environment = findings.variables.into_variables();
                Ok(Compiled { config, warnings })
            }
            _ => Err(InvalidConfig { problems, warnings }),
        }
    }

    /// [`Config::hash`] of a document.
    pub fn hash_of(json: &[u8]) -> String {
        let hash = Sha256::digest(json);
        hex_of(hash.first_chunk::<8>().map_or(&[], |first| first))
    }
}

fn read(field: &Field<'_>, hash: String) -> Option<Config> {
    let mut policy = field.object()?;
    let account_id = policy.read_if("account_id", Field::owned);
    let workspace_id = policy.read_if("workspace_id", Field::owned);
    let scope = policy.read_or("scope", Scope::default(), read_scope);
    let identity = read_identity(field, &mut policy);
    let (unmatched, unmatched_cluster) = read_unmatched(&mut policy).unzip();
    let rules = read_rules(&mut policy);
    let rls = policy.read_or("limits_store", None, limits_store::read);
    let max_request_bytes = policy.read_or("max_request_bytes", 16 << 20, |bytes| bytes.bytes(1));
    let logging = policy.read_if("logging", logging::read);
    // A broken `logging` is there all the same.
    let is_logged = logging.as_ref().is_none_or(Option::is_some);
    let owner = Owner {
        account_id: account_id.as_ref().and_then(Option::as_deref),
        workspace_id: workspace_id.as_ref().and_then(Option::as_deref),
        is_logged,
        rules: rules.unwrap_or_default(),
        shares_limits: rls.as_ref().is_none_or(Option::is_some),
    };
    let mut claims = Claims::default();
    if let Some(Some(logging)) = &logging
        && let Cluster::Rendered(name) = &logging.cluster
    {
        claims.reserve(name, "logging");
    }
    if let Some(Some(rls)) = &rls
        && let Cluster::Rendered(name) = &rls.cluster
    {
        claims.reserve(name, "limits_store.rls");
    }
    let endpoints = policy.read("endpoints", "a list of endpoints", |list| {
        let mut index = 0..;
        list.some(|field| endpoint::read(field, index.next()?, &owner, &mut claims))
    });
    policy.close();
    let names = claims.settle();
    Some(Config {
        hash,
        shadow: rules?.shadow,
        scope: scope?,
        identity: identity?,
        unmatched: unmatched?,
        unmatched_cluster: unmatched_cluster?,
        max_request_bytes: max_request_bytes?,
        rls: rls?,
        logging: logging?,
        endpoints: endpoints?,
        account_id: account_id?,
        workspace_id: workspace_id?,
        names,
        environment: Vec::new(),
    })
}

fn read_scope(field: &Field<'_>) -> Option<Scope> {
    let mut scope = field.object()?;
    let hosts = scope.read_or("hosts", Vec::new(), |hosts| {
        hosts.some(|host| {
            host.matching("a host name without scheme, port and path", url::is_host).map(str::to_ascii_lowercase)
        })
    });
    scope.close();
    Some(Scope { hosts: hosts? })
}

fn read_identity(policy_field: &Field<'_>, policy: &mut Object<'_>) -> Option<Identity> {
    let nobody = Identity { sources: Vec::new(), groups_of: Default::default(), allow_anonymous: false };
    let identity = policy.read_or("identity", nobody, identity::read)?;
    if identity.sources.is_empty() && !identity.allow_anonymous {
        policy_field.warn(
            "no `identity.sources`",
            "at least one, or `identity.anonymous: allow`: every request is refused (401)",
        );
    }
    Some(identity)
}

fn read_unmatched(policy: &mut Object<'_>) -> Option<(Unmatched, Option<String>)> {
    let pass = policy.read_or("unmatched", false, |field| field.choice(&[("deny", false), ("pass", true)]));
    let cluster = policy.read_if("unmatched_cluster", read_cluster);
    match (pass?, cluster?) {
        (false, cluster) => Some((Unmatched::Deny, cluster)),
        (true, Some(cluster)) => Some((Unmatched::Pass { cluster: cluster.clone() }, Some(cluster))),
        (true, None) => {
            policy.report_missing("unmatched_cluster", "the cluster that `unmatched: pass` leads to");
            None
        }
    }
}

/// What holds for all limits of all endpoints.
fn read_rules(policy: &mut Object<'_>) -> Option<Rules> {
    let shadow = policy.read_or("enforcement", false, |field| field.choice(&[("enforce", false), ("shadow", true)]));
    let conflict = policy.read_or("limit_conflict", Conflict::Strictest, |field| {
        field.choice(&[("strictest", Conflict::Strictest), ("databricks", Conflict::Databricks)])
    });
    let reserves =
        policy.read_or("accounting", false, |field| field.choice(&[("after_response", false), ("reserve", true)]));
    let reserve = policy.read_or("reserve", DEFAULT_RESERVE, read_reserve);
    let (reserves, reserve) = (reserves?, reserve?);
    Some(Rules { conflict: conflict?, shadow: shadow?, reserve: reserves.then_some(reserve) })
}

/// The contract's own figures.
const DEFAULT_RESERVE: Reserve = Reserve { default_max_tokens: 1_024, cap: 16_384 };

fn read_reserve(field: &Field<'_>) -> Option<Reserve> {
    let mut reserve = field.object()?;
    let default_max_tokens =
        reserve.read_or("default_max_tokens", DEFAULT_RESERVE.default_max_tokens, |tokens| tokens.whole(1..=u64::MAX));
    let cap = reserve.read_or("cap", DEFAULT_RESERVE.cap, |tokens| tokens.whole(1..=u64::MAX));
    reserve.close();
    let reserve = Reserve { default_max_tokens: default_max_tokens?, cap: cap? };
    if reserve.cap < reserve.default_max_tokens {
        field.report(
            format!("a `cap` of {}", reserve.cap),
            format!("at least `default_max_tokens`, which is {}", reserve.default_max_tokens),
        );
        return None;
    }
    Some(reserve)
}
