//! What a new policy no longer names: clusters, and the VM of before where there is a new one. Streams still run through them, so
//! they stay for an hour. What is kept, and since when, stands in a file of its own beside those that Envoy reads.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::render::xds::{as_previous, vm_of};

pub const FILE: &str = "retired.json";

/// An answer that takes longer is cut.
const KEPT_SECONDS: u64 = 3600;

/// A cluster and since when nobody names it, in seconds since 1970.
#[derive(Default)]
pub struct Retired {
    clusters: Vec<(u64, Value)>,
    vm_since: u64,
}

impl Retired {
    /// What `old` names and `new` does not, and what was retired before and is not over.
    pub fn new(file: Option<&Value>, old: Option<&Value>, new: &Value, now: u64) -> Self {
        let mut named: BTreeSet<&str> = clusters(Some(new)).filter_map(name_of).collect();
        let entries = file.and_then(|file| file["clusters"].as_array()).into_iter().flatten();
        let before = entries.filter_map(|entry| Some((entry["since"].as_u64()?, entry.get("cluster")?)));
        let before: Vec<_> = before.collect();
        let since =
            |cluster: &Value| before.iter().find(|(_, kept)| name_of(kept) == name_of(cluster)).map(|(at, _)| *at);
        let all = clusters(old).chain(before.iter().map(|(_, cluster)| *cluster));
        let mut kept = Vec::new();
        for cluster in all {
            let since = since(cluster).unwrap_or(now);
            let is_over = now.saturating_sub(since) >= KEPT_SECONDS;
            if name_of(cluster).is_some_and(|name| named.insert(name)) && !is_over {
                kept.push((since, cluster.clone()));
            }
        }
        let vm_since = file.and_then(|file| file["vm_since"].as_u64()).unwrap_or_default();
        Self { clusters: kept, vm_since }
    }

    /// Makes `new`, the file of the instance that keeps a VM, one of the VM of before: of `gateway`'s, the gateway's file until
    /// now, or of the one that `old` keeps. Whether it is another one than it was.
    pub fn keep_vm(&mut self, old: Option<&Value>, gateway: Option<&Value>, new: &mut Value, now: u64) -> bool {
        let resources = |content: Option<&Value>| content.map(|content| content["resources"].clone());
        let vm = vm_of(new);
        let is_gone =
            |content: &&Value| vm_of(content).is_some_and(|other| Some(&other) != vm.as_ref() && has_code(&other));
        if let Some(gateway) = gateway.filter(is_gone) {
            new["resources"] = gateway["resources"].clone();
            as_previous(&mut new["resources"][0]);
            self.vm_since = now;
        } else if let Some(old) = old.filter(is_gone)
            && now.saturating_sub(self.vm_since) < KEPT_SECONDS
        {
            new["resources"] = old["resources"].clone();
        }
        resources(old) != resources(Some(new))
    }

    pub fn to_file(&self) -> Value {
        let clusters = self.clusters.iter().map(|(since, cluster)| json!({"since": since, "cluster": cluster}));
        json!({"clusters": clusters.collect::<Vec<_>>(), "vm_since": self.vm_since})
    }

    /// Adds them to the resources of a file for Envoy.
    pub fn keep_in(&self, content: &mut Value) {
        if let Some(resources) = content["resources"].as_array_mut() {
            resources.extend(self.clusters.iter().map(|(_, cluster)| cluster.clone()));
        }
    }
}

/// A file that is gone cannot be read again; where it is named by a relative path, that is told from here.
fn has_code(vm: &Value) -> bool {
    vm["code"]["local"]["filename"].as_str().is_some_and(|file| Path::new(file).is_file())
}

/// Clusters whose name stays and whose address does not.
pub fn moved(old: Option<&Value>, new: &Value) -> Vec<String> {
    const WHERE: [&str; 3] = ["load_assignment", "transport_socket", "type"];
    let differs = |cluster: &Value, other: &Value| WHERE.iter().any(|key| cluster.get(key) != other.get(key));
    let moved = clusters(Some(new))
        .filter(|cluster| clusters(old).any(|other| name_of(other) == name_of(cluster) && differs(cluster, other)));
    moved.filter_map(name_of).map(str::to_owned).collect()
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn clusters(content: Option<&Value>) -> impl Iterator<Item = &Value> {
    content.and_then(|content| content["resources"].as_array()).into_iter().flatten()
}

fn name_of(cluster: &Value) -> Option<&str> {
    cluster.get("name")?.as_str()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic, also in its own functions")]

    use super::*;

    fn file(names: &[&str]) -> Value {
        json!({"resources": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()})
    }

    fn kept(retired: &Retired) -> Vec<(u64, &str)> {
        retired.clusters.iter().map(|(since, cluster)| (*since, name_of(cluster).unwrap())).collect()
    }

    #[test]
    fn a_cluster_stays_for_an_hour_after_its_last_policy() {
        let first = Retired::new(None, Some(&file(&["a", "b"])), &file(&["b", "c"]), 1000);
        assert_eq!(kept(&first), [(1000, "a")]);
        let mut live = file(&["b", "c"]);
        first.keep_in(&mut live);
        let second = Retired::new(Some(&first.to_file()), Some(&live), &file(&["c"]), 1500);
        assert_eq!(kept(&second), [(1500, "b"), (1000, "a")], "each by its own time");
        let back = Retired::new(Some(&second.to_file()), Some(&file(&["c", "b", "a"])), &file(&["a", "c"]), 1600);
        assert_eq!(kept(&back), [(1500, "b")], "named again");
        let over = Retired::new(Some(&second.to_file()), Some(&file(&["c", "b", "a"])), &file(&["c"]), 4600);
        assert_eq!(kept(&over), [(1500, "b")]);
        assert_eq!(kept(&Retired::new(None, None, &file(&["a"]), 0)), []);
    }

    #[test]
    fn the_vm_of_before_stays_for_an_hour() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            let plugin = json!({"root_id": "gateway", "vm_config": {"code": {"local": {"filename": path}}}});
            json!({"resources": [{"name": "weir.gateway", "typed_config": {"config": plugin}}]})
        };
        let (one, two) = (file("one"), file("two"));
        let mut retired = Retired::default();
        let mut kept = two.clone();
        assert!(retired.keep_vm(Some(&one), Some(&one), &mut kept, 1000));
        assert_eq!(vm_of(&kept), vm_of(&one));
        assert_eq!(kept.pointer("/resources/0/typed_config/config/root_id"), Some(&json!("attempt")));
        let mut next = two.clone();
        assert!(!retired.keep_vm(Some(&kept), Some(&two), &mut next, 4599), "as it was");
        assert_eq!(vm_of(&next), vm_of(&one));
        let mut next = two.clone();
        assert!(retired.keep_vm(Some(&kept), Some(&two), &mut next, 4600));
        assert_eq!(vm_of(&next), vm_of(&two));
        std::fs::remove_file(folder.path().join("one")).unwrap();
        let mut next = two.clone();
        retired.keep_vm(Some(&one), Some(&one), &mut next, 1000);
        assert_eq!(vm_of(&next), vm_of(&two), "its file is gone");
    }

    #[test]
    fn a_cluster_that_moves() {
        let at = |port: u16| json!({"resources": [{"name": "a", "load_assignment": port}, {"name": "b", "x": port}]});
        assert_eq!(moved(Some(&at(1)), &at(2)), ["a"]);
        assert!(moved(Some(&at(1)), &at(1)).is_empty() && moved(None, &at(1)).is_empty());
    }
}
