//! Clusters that a new policy no longer names: streams of the old one still run through them, so they stay for an hour.
//! What is kept, and since when, stands in a file of its own beside those that Envoy reads.

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

pub const FILE: &str = "retired.json";

/// An answer that takes longer is cut.
const KEPT_SECONDS: u64 = 3600;

/// A cluster and since when nobody names it, in seconds since 1970.
pub struct Retired(Vec<(u64, Value)>);

impl Retired {
    /// What `old` names and `new` does not, and what was retired before and is not over.
    pub fn new(file: Option<&Value>, old: Option<&Value>, new: &Value, now: u64) -> Self {
        let mut named: BTreeSet<&str> = clusters(Some(new)).filter_map(name_of).collect();
        let entries = file.and_then(Value::as_array).into_iter().flatten();
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
        Self(kept)
    }

    pub fn to_file(&self) -> Value {
        self.0.iter().map(|(since, cluster)| json!({"since": since, "cluster": cluster})).collect()
    }

    /// Adds them to the resources of a file for Envoy.
    pub fn keep_in(&self, content: &mut Value) {
        if let Some(resources) = content["resources"].as_array_mut() {
            resources.extend(self.0.iter().map(|(_, cluster)| cluster.clone()));
        }
    }
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
        retired.0.iter().map(|(since, cluster)| (*since, name_of(cluster).unwrap())).collect()
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
    fn a_cluster_that_moves() {
        let at = |port: u16| json!({"resources": [{"name": "a", "load_assignment": port}, {"name": "b", "x": port}]});
        assert_eq!(moved(Some(&at(1)), &at(2)), ["a"]);
        assert!(moved(Some(&at(1)), &at(1)).is_empty() && moved(None, &at(1)).is_empty());
    }
}
