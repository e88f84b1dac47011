//! What manifests for Kubernetes share: a resource, a name, the environment of a pod's proxy, and the cluster of each served
//! entity that the mesh's own control plane makes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weir_core::config::{Cluster, Config, ServedEntity};

use super::{Failure, chains, clusters};

/// Of a kind by API version and kind, with this name.
pub fn resource(namespace: &str, (api_version, kind, name): (&str, &str, &str), spec: Value) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    })
}

/// A resource's name made of any text. Different hosts stay different.
pub fn name(text: &str) -> String {
    text.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-")
}

/// The variables that the policy's secrets name, from the keys of a Secret that are called the same.
pub fn environment(config: &Config, secret: &str) -> Value {
    let key = |name: &String| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}});
    config.environment.iter().map(key).collect()
}

/// All documents of a file.
pub fn yaml(documents: &[Value], target: &str) -> Result<String, Failure> {
    let mut yaml = format!("# For {target}: change the policy, not this.\n");
    for document in documents {
        yaml.push_str("---\n");
        yaml.push_str(&serde_yaml_ng::to_string(document).map_err(|error| Failure::Usage(error.to_string()))?);
    }
    Ok(yaml)
}

/// The served entities whose clusters are Weir's own, each cluster once, in the order of the policy.
pub fn rendered_entities(config: &Config) -> Vec<&ServedEntity> {
    let mut seen = std::collections::BTreeSet::new();
    let entities = config.endpoints.iter().flat_map(|endpoint| &endpoint.entities);
    entities.filter(|entity| matches!(&entity.cluster, Cluster::Rendered(name) if seen.insert(name))).collect()
}

/// The clusters of a bootstrap where those of the entities are somebody else's: `theirs` has their names by Weir's. Composite
/// clusters point there, and what the filter calls by Weir's name is a composite one of that alone.
pub fn clusters_before(config: &Config, all: &Value, theirs: &BTreeMap<&str, String>) -> Vec<Value> {
    let plans = config.endpoints.iter().flat_map(|endpoint| &endpoint.plans);
    let alone = plans.filter(|plan| plan.entities.len() == 1).map(|plan| plan.cluster.as_str());
    let alone = alone.filter_map(|name| theirs.get(name).map(|their| chains::composite_of(name, &[their])));
    let is_other = |cluster: &&Value| clusters::name_of(cluster).is_some_and(|name| !theirs.contains_key(name));
    let others = all.as_array().into_iter().flatten().filter(is_other).cloned().map(|mut cluster| {
        let members = cluster.pointer_mut("/cluster_type/typed_config/clusters").and_then(Value::as_array_mut);
        for member in members.into_iter().flatten() {
            if let Some(their) = clusters::name_of(member).and_then(|name| theirs.get(name)) {
                member["name"] = their.as_str().into();
            }
        }
        cluster
    });
    alone.chain(others).collect()
}
