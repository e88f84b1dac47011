//! `limits_store`: where limits are counted, in each Envoy or by an engine for a fleet.

use super::{Cluster, rate_limit::Placed, reader::Field, url};
use crate::limits::{
    Unit,
    rls::{MAX_AMOUNT, MAX_CLUSTER_NAME, OnError, Rls},
    usd,
};

/// The cluster that `weir render` makes. No entity's has that name: each of theirs has two dashes at least.
const CLUSTER: &str = "weir-limits";
const DEFAULT_DOMAIN: &str = "weir";
const DEFAULT_TIMEOUT_MS: u64 = 20;
/// Longer than that no request should wait for a count.
const MAX_TIMEOUT_MS: u64 = 10_000;

/// `None` inside: `local`.
pub(super) fn read(field: &Field<'_>) -> Option<Option<Rls>> {
    if field.node.text().is_some() {
        return field.choice(&[("local", ())]).map(|()| None);
    }
    let mut store = field.object()?;
    let rls = store.read("rls", "`local`, or an object with `rls`", read_rls);
    store.close();
    rls.map(Some)
}

fn read_rls(field: &Field<'_>) -> Option<Rls> {
    let mut rls = field.object()?;
    let url = rls.read_if("url", |field| {
        let upstream = url::read(field)?;
        if !upstream.path_prefix.is_empty() {
            field.reject("a URL without a path: the protocol fixes it");
            return None;
        }
        Some(upstream)
    });
    let cluster = rls.read_if("cluster", |field| {
        let name = url::read_cluster(field)?;
        if name.len() > MAX_CLUSTER_NAME {
            field.reject(format!("a name of at most {MAX_CLUSTER_NAME} characters"));
            return None;
        }
        Some(name)
    });
    let domain = rls.read_or("domain", DEFAULT_DOMAIN.to_owned(), Field::owned);
    let timeout_ms = rls.read_or("timeout_ms", DEFAULT_TIMEOUT_MS, |ms| ms.whole(1..=MAX_TIMEOUT_MS));
    let on_error = rls.read_or("on_error", OnError::Local, |on_error| {
        on_error.choice(&[("local", OnError::Local), ("allow", OnError::Allow), ("deny", OnError::Deny)])
    });
    rls.close();
    let (cluster, upstream) = match (cluster?, url?) {
        (Some(name), upstream) => (Cluster::Existing(name), upstream),
        (None, Some(upstream)) => (Cluster::Rendered(CLUSTER.to_owned()), Some(upstream)),
        (None, None) => {
            field.report(
                "neither `url` nor `cluster`",
                "the engine's `url`, or the name of a `cluster` that leads to it",
            );
            return None;
        }
    };
    Some(Rls::new(cluster, upstream, domain?, timeout_ms?, on_error?))
}

/// The protocol's numbers have 32 bits, and money goes in millionths of a dollar.
pub(super) fn check_amounts(limits: &Placed<'_>) -> Option<()> {
    let mut fits = Some(());
    for (field, limit) in limits {
        for &(unit, maximum) in &limit.units {
            let most = if unit == Unit::CostUsd { MAX_AMOUNT.saturating_mul(1_000) } else { MAX_AMOUNT };
            if maximum > most {
                let shown = if unit == Unit::CostUsd { usd(most).to_string() } else { most.to_string() };
                field.report(
                    format!("a `{unit}` of {}", unit.amount(maximum)),
                    format!("at most {shown} with `limits_store.rls`: its protocol has no larger number"),
                );
                fits = None;
            }
        }
    }
    fits
}
