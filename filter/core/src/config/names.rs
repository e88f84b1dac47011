//! Names that must be unique in the whole policy: endpoints, what else a request's `model` may say, and clusters.
//! Claims come in while endpoints are read; they are settled when all are known.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
    fmt,
};

use sha2::{Digest, Sha256};

use super::{
    Endpoint, Names,
    reader::{Field, Path},
};

/// The cluster that refuses every connection, and what those begin with that end there (`weir render`, docs/decisions/0018).
pub const NOWHERE: &str = "weir-nowhere";
pub const LINK: &str = "weir-attempt-";

/// Who wants which name, so far.
#[derive(Default)]
pub(super) struct Claims<'a> {
    endpoints: HashMap<&'a str, usize>,
    models: Vec<(Field<'a>, &'a str, usize)>,
    /// `weir-<endpoint>-<entity>`, and who has it.
    rendered: HashMap<String, Holder<'a>>,
    existing: Vec<(Field<'a>, &'a str)>,
}

enum Holder<'a> {
    Entity(Path<'a>),
    Gateway(&'static str),
}

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entity(path) => path.fmt(f),
            Self::Gateway(what) => f.write_str(what),
        }
    }
}

impl<'a> Claims<'a> {
    /// Reads an endpoint's name. The same name twice is `None`.
    pub fn read_endpoint(&mut self, field: &Field<'a>, index: usize) -> Option<&'a str> {
        // 63: what Databricks allows.
        let name = field.matching("letters, digits, `-` and `_`, at most 63 of them", is_name)?;
        match self.endpoints.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(index);
                Some(name)
            }
            Entry::Occupied(first) => {
                field.reject(format!("a name of its own: endpoints[{}] has this one", first.get()));
                None
            }
        }
    }

    /// Reads one of an endpoint's `models`.
    pub fn read_model(&mut self, field: &Field<'a>, index: usize) -> Option<()> {
        let valid = |model: &str| !model.strip_suffix('*').unwrap_or(model).contains('*');
        let model = field.matching("a model's name, or its beginning and one `*` at the end", valid)?;
        self.models.push((field.clone(), model, index));
        Some(())
    }

    /// The entity wants the cluster name `weir-<endpoint>-<entity>`, or one that is derived from it.
    pub fn claim_rendered(&mut self, entity: &Field<'a>, endpoint: &str, name: &str, is_existing: bool) {
        match self.rendered.entry(rendered_cluster(endpoint, name)) {
            Entry::Vacant(entry) => {
                entry.insert(Holder::Entity(entity.path.clone()));
            }
            Entry::Occupied(first) => entity.report(
                format!("the cluster name `{}`, which {} has too", first.key(), first.get()),
                if is_existing {
                    "names that give another one: rename the endpoint or the entity"
                } else {
                    "another one: set `cluster`, or rename the endpoint or the entity"
                },
            ),
        }
    }

    /// Nobody else may have a cluster of this name.
    pub fn reserve(&mut self, cluster: &str, owner: &'static str) {
        self.rendered.insert(cluster.to_owned(), Holder::Gateway(owner));
    }

    pub fn claim_existing(&mut self, field: &Field<'a>, name: &'a str) {
        self.existing.push((field.clone(), name));
    }

    /// All claims are in: reports those that clash.
    pub fn settle(self) -> Names {
        self.settle_clusters();
        let mut exact: HashMap<&str, usize> = HashMap::new();
        for (field, model, index) in &self.models {
            match self.endpoints.get(model) {
                Some(other) if other != index => field.reject(format!("no other endpoint's name: endpoints[{other}]")),
                _ => {}
            }
            match exact.entry(model) {
                Entry::Vacant(entry) => {
                    entry.insert(*index);
                }
                Entry::Occupied(first) => {
                    field.reject(format!("a name that is claimed once: endpoints[{}] has it", first.get()));
                }
            }
        }
        let mut names = Names {
            endpoints: self.endpoints.into_iter().map(|(name, index)| (name.to_owned(), index)).collect(),
            ..Names::default()
        };
        for (model, index) in exact {
            match model.strip_suffix('*') {
                Some(prefix) => names.prefixes.push((prefix.to_owned(), index)),
                None => {
                    names.models.insert(model.to_owned(), index);
                }
            }
        }
        names.prefixes.sort_unstable_by(|(a, _), (b, _)| (Reverse(a.len()), a).cmp(&(Reverse(b.len()), b)));
        names
    }

    fn settle_clusters(&self) {
        for (field, name) in &self.existing {
            if let Some(owner) = self.rendered.get(name.split_once(CHAIN).map_or(*name, |(primary, _)| primary)) {
                field.reject(format!("the name of a cluster of your own: `weir render` makes this one for {owner}"));
            } else if *name == NOWHERE || name.starts_with(LINK) {
                field.reject("the name of a cluster of your own: `weir render` makes this one for plans");
            }
        }
    }
}

impl Names {
    /// The endpoint that a request's `model` means: by its own name, by one of `models`, by the longest prefix.
    pub fn find(&self, model: &str) -> Option<usize> {
        let exact = self.endpoints.get(model).or_else(|| self.models.get(model));
        exact.copied().or_else(|| self.find_prefix(model.as_bytes()))
    }

    /// One binary search for each length that occurs.
    fn find_prefix(&self, model: &[u8]) -> Option<usize> {
        let mut left = self.prefixes.as_slice();
        while let Some((longest, _)) = left.first() {
            let (same, shorter) = left.split_at(left.partition_point(|(prefix, _)| prefix.len() == longest.len()));
            if let Some(head) = model.get(..longest.len())
                && let Ok(at) = same.binary_search_by(|(prefix, _)| prefix.as_bytes().cmp(head))
            {
                return same.get(at).map(|(_, index)| *index);
            }
            left = shorter;
        }
        None
    }
}

/// The cluster that `weir render` makes for an entity.
pub(super) fn rendered_cluster(endpoint: &str, entity: &str) -> String {
    format!("weir-{endpoint}-{entity}")
}

/// The composite cluster of a primary with fallbacks. A dot is in no endpoint's or entity's name. The order of clusters is a
/// part of its name: a request that was planned before a reload must not meet a new order with the old one's credentials.
pub(super) fn chain_cluster<'a>(endpoint: &str, primary: &str, order: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for cluster in order {
        hash.update(cluster);
        hash.update([0]);
    }
    let order: String = hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("weir-{endpoint}-{primary}{CHAIN}{order}")
}

const CHAIN: &str = ".chain-";

/// An endpoint's or a served entity's name.
pub(super) fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

impl super::Config {
    /// The endpoint of that name.
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.get(*self.names.endpoints.get(name)?)
    }

    /// The endpoint that a request's `model` means: by its own name, by one of `models`, by the longest prefix.
    pub fn endpoint_for_model(&self, model: &str) -> Option<&Endpoint> {
        self.endpoints.get(self.names.find(model)?)
    }
}
