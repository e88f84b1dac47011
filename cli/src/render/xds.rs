//! A bootstrap in, the files of `--xds-dir` out: what stays (the bootstrap), and what Envoy watches, one resource type a
//! file. Filters are resources of their own, so that a new policy reaches open connections and ends none; only what a filter
//! cannot hold is left to the listener. Secrets, where they are given, travel with the policy, in the one form that Envoy blanks
//! out of /config_dump.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{clusters::name_of, wasm};

pub const BOOTSTRAP: &str = "envoy.json";
pub const CLUSTERS: &str = "cds.json";
const ROUTES: &str = "rds.json";
const LISTENERS: &str = "lds.json";

/// Where `weir render` and `weir apply` put Envoy's configuration.
#[derive(clap::Args, Clone)]
pub struct XdsArgs {
    /// The folder that Envoy watches: the bootstrap goes there too, as `envoy.json`. Envoy must see it under the same path
    #[arg(long, value_name = "DIR", required = false)]
    pub xds_dir: PathBuf,
    /// The providers' keys: a folder with a file for each, named as its environment variable (`WEIR_SECRET_OPENAI_KEY`). They go
    /// into the folder that Envoy watches; without this Envoy's own environment has them
    #[arg(long, value_name = "DIR", requires = "xds_dir")]
    pub secrets: Option<PathBuf>,
}

/// A secret's variable and its value.
pub type Secrets = Vec<(String, String)>;

/// When a file may take its place: each stage needs the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Clusters,
    /// What keeps the VM of before.
    Previous,
    Filters,
    Routes,
    Listeners,
    /// Not read again by an Envoy that runs.
    Bootstrap,
}

/// A file of the folder.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    pub name: String,
    pub stage: Stage,
    pub content: Value,
    /// What Envoy's statistics about it begin with.
    pub stats: String,
}

/// The files, in the order in which they take their places.
pub fn files(mut bootstrap: Value, folder: &Path, version: &str, secrets: Option<&Secrets>) -> Vec<File> {
    let split = Split { folder, version, secrets };
    let mut files = vec![split.file(CLUSTERS, Stage::Clusters, "cluster_manager.cds", CLUSTER, {
        taken(&mut bootstrap["static_resources"]["clusters"])
    })];
    let mut listeners = taken(&mut bootstrap["static_resources"]["listeners"]);
    for manager in listeners.iter_mut().filter_map(|listener| find(listener, "http_filters")) {
        add_previous(&mut manager["http_filters"]);
        files.extend(split.filters(&mut manager["http_filters"], "http_filter"));
        let router = manager["http_filters"].as_array_mut().and_then(|filters| filters.last_mut());
        if let Some(upstream) = router.and_then(|router| find(router, "upstream_http_filters")) {
            files.extend(split.filters(&mut upstream["upstream_http_filters"], "upstream_http_filter"));
        }
        let routes = manager["route_config"].take();
        let name = name_of(&routes).unwrap_or_default().to_owned();
        if let Some(manager) = manager.as_object_mut() {
            manager.remove("route_config");
            manager.insert("rds".into(), json!({"route_config_name": name, "config_source": split.source(ROUTES)}));
        }
        let stats = format!("http.{}.rds.{name}", manager["stat_prefix"].as_str().unwrap_or_default());
        files.push(split.file(ROUTES, Stage::Routes, &stats, ROUTE_CONFIGURATION, vec![routes]));
    }
    files.push(split.file(LISTENERS, Stage::Listeners, "listener_manager.lds", LISTENER, listeners));
    if let Some(bootstrap) = bootstrap.as_object_mut() {
        bootstrap.remove("static_resources");
        let dynamic = json!({"cds_config": split.source(CLUSTERS), "lds_config": split.source(LISTENERS)});
        bootstrap.insert("dynamic_resources".into(), dynamic);
    }
    let (name, stats) = (BOOTSTRAP.to_owned(), String::new());
    files.push(File { name, stage: Stage::Bootstrap, content: bootstrap, stats });
    files.sort_by_key(|file| file.stage);
    files
}

/// An instance that no request meets, and that keeps a VM: when the last instance in a VM goes, Envoy ends it at once, with the
/// records that it still has. `weir apply` makes it one of the VM of before where there is a new one; else it costs nothing.
fn add_previous(chain: &mut Value) {
    let Some(filters) = chain.as_array_mut() else { return };
    let is_wasm = |filter: &&Value| filter["typed_config"]["@type"] == WASM;
    let Some(gateway) = filters.iter().find(is_wasm) else { return };
    let mut filter = json!({"name": PREVIOUS, "disabled": true, "typed_config": gateway["typed_config"]});
    as_previous(&mut filter);
    filters.insert(0, filter);
}

/// A role that does nothing without requests.
pub fn as_previous(filter: &mut Value) {
    filter["name"] = PREVIOUS.into();
    let plugin = &mut filter["typed_config"]["config"];
    plugin["name"] = PREVIOUS.into();
    plugin["root_id"] = wasm::ATTEMPT.into();
}

/// The VM that a file's filter runs in.
pub fn vm_of(content: &Value) -> Option<Value> {
    find(&mut content.clone(), "vm_config").map(|plugin| plugin["vm_config"].clone())
}

const PREVIOUS: &str = "weir.previous";
pub const GATEWAY: &str = "ecds-weir.gateway.json";

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";
const LISTENER: &str = "envoy.config.listener.v3.Listener";
const ROUTE_CONFIGURATION: &str = "envoy.config.route.v3.RouteConfiguration";
const EXTENSION: &str = "envoy.config.core.v3.TypedExtensionConfig";
const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const JWT_AUTHN: &str = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";
const WITH_MATCHER: &str = "type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher";

struct Split<'a> {
    folder: &'a Path,
    version: &'a str,
    secrets: Option<&'a Secrets>,
}

impl Split<'_> {
    /// Envoy waits for each file as long as it takes: without its filters a listener must not go to work.
    fn source(&self, file: &str) -> Value {
        json!({
            "resource_api_version": "V3",
            "path_config_source": {"path": self.folder.join(file)},
            "initial_fetch_timeout": "0s",
        })
    }

    fn file(&self, name: &str, stage: Stage, stats: &str, kind: &str, resources: Vec<Value>) -> File {
        let typed = resources.into_iter().map(|mut resource| {
            resource["@type"] = format!("type.googleapis.com/{kind}").into();
            resource
        });
        let content = json!({"version_info": self.version, "resources": typed.collect::<Vec<_>>()});
        File { name: name.to_owned(), stage, content, stats: stats.to_owned() }
    }

    /// Takes the filters that follow the policy out of a chain. The last one stays: it is the chain's end.
    fn filters(&self, chain: &mut Value, kind: &str) -> Vec<File> {
        let Some((_, filters)) = chain.as_array_mut().and_then(|filters| filters.split_last_mut()) else {
            return Vec::new();
        };
        let of_policy = |filter: &&mut Value| {
            let config = &filter["typed_config"];
            let config =
                if config["@type"] == WITH_MATCHER { &config["extension_config"]["typed_config"] } else { config };
            config["@type"] == WASM || config["@type"] == JWT_AUTHN
        };
        filters.iter_mut().filter(of_policy).map(|filter| self.filter(filter, kind)).collect()
    }

    fn filter(&self, filter: &mut Value, kind: &str) -> File {
        let name = name_of(filter).unwrap_or_default().to_owned();
        let type_url = filter["typed_config"]["@type"].clone();
        let file = format!("ecds-{name}.json");
        let found = json!({
            "name": name,
            "config_discovery": {"config_source": self.source(&file), "type_urls": [type_url]},
        });
        let mut resource = std::mem::replace(filter, found);
        if let Some(fields) = resource.as_object_mut()
            && let Some(disabled) = fields.remove("disabled")
        {
            filter["disabled"] = disabled;
        }
        if let Some(plugin) = find(&mut resource, "vm_config") {
            self.deliver(plugin);
        }
        let stats = format!("extension_config_discovery.{kind}.{name}");
        let stage = if name == PREVIOUS { Stage::Previous } else { Stage::Filters };
        self.file(&file, stage, &stats, EXTENSION, vec![resource])
    }

    /// The policy with its version, so that each version is configured, and answered for, also where it says what the one
    /// before said; and with its secrets, which then are no environment variables any more.
    fn deliver(&self, plugin: &mut Value) {
        let document = plugin["configuration"].take();
        let secrets = self.secrets.into_iter().flatten().map(|(name, value)| {
            json!({
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
                "name": name,
                "generic_secret": {"secret": {"inline_string": value}},
            })
        });
        let resources: Vec<_> = std::iter::once(document).chain(secrets).collect();
        plugin["configuration"] = json!({
            "@type": "type.googleapis.com/envoy.service.discovery.v3.DiscoveryResponse",
            "version_info": self.version,
            "resources": resources,
        });
        if self.secrets.is_some()
            && let Some(vm) = plugin["vm_config"].as_object_mut()
        {
            vm.remove("environment_variables");
            vm.remove("configuration");
        }
    }
}

fn taken(list: &mut Value) -> Vec<Value> {
    match list.take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

/// The first object, depth first, that has `key`.
fn find<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    if value.get(key).is_some() {
        return Some(value);
    }
    match value {
        Value::Object(fields) => fields.values_mut().find_map(|value| find(value, key)),
        Value::Array(items) => items.iter_mut().find_map(|value| find(value, key)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic, also in its own functions")]

    use super::*;

    /// One listener with both roles, as `bootstrap` has them.
    fn bootstrap() -> Value {
        let plugin = json!({
            "vm_config": {"vm_id": "weir", "configuration": "KEY", "environment_variables": {"host_env_keys": ["KEY"]}},
            "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "{}"},
        });
        let wasm = |name: &str| json!({"name": name, "typed_config": {"@type": WASM, "config": plugin}});
        let matched = |filter: Value| json!({"name": filter["name"], "typed_config": {"@type": WITH_MATCHER, "extension_config": filter}});
        let plain = |name: &str| json!({"name": name, "typed_config": {"@type": "other"}});
        let router = json!({"name": "router", "typed_config": {"@type": "router",
            "upstream_http_filters": [matched(plain("mutation")), matched(wasm("weir.attempt")), plain("codec")]}});
        let manager = json!({
            "stat_prefix": "weir", "route_config": {"name": "weir"},
            "http_filters": [plain("other"), wasm("weir.gateway"), router],
        });
        json!({
            "node": {"id": "weir"}, "admin": {},
            "static_resources": {
                "clusters": [{"name": "a"}],
                "listeners": [{"name": "weir", "filter_chains": [{"filters": [{"typed_config": manager}]}]}],
            },
        })
    }

    fn plugin(file: &File) -> Value {
        find(&mut file.content.clone(), "vm_config").unwrap().clone()
    }

    #[test]
    fn what_follows_the_policy_is_a_file_and_the_rest_stays() {
        let files = files(bootstrap(), Path::new("/xds"), "v1", None);
        let names: Vec<_> = files.iter().map(|file| (file.name.as_str(), file.stats.as_str())).collect();
        assert_eq!(
            names,
            [
                ("cds.json", "cluster_manager.cds"),
                ("ecds-weir.previous.json", "extension_config_discovery.http_filter.weir.previous"),
                ("ecds-weir.gateway.json", "extension_config_discovery.http_filter.weir.gateway"),
                ("ecds-weir.attempt.json", "extension_config_discovery.upstream_http_filter.weir.attempt"),
                ("rds.json", "http.weir.rds.weir"),
                ("lds.json", "listener_manager.lds"),
                ("envoy.json", ""),
            ]
        );
        assert!(files.is_sorted_by_key(|file| file.stage), "in the order of their use");
        assert!(files[..6].iter().all(|file| file.content["version_info"] == "v1"));
        let listener = files[5].content["resources"][0].to_string();
        assert!(!listener.contains("vm_config") && !listener.contains("route_config\""), "{listener}");
        for path in
            ["/xds/ecds-weir.gateway.json", "/xds/ecds-weir.attempt.json", "/xds/rds.json", r#""name":"other","typed"#]
        {
            assert!(listener.contains(path), "{path} in {listener}");
        }
        let kept = &files[6].content;
        assert_eq!(kept["dynamic_resources"]["cds_config"]["path_config_source"]["path"], "/xds/cds.json");
        assert_eq!((&kept["node"]["id"], kept.get("static_resources")), (&json!("weir"), None));
    }

    #[test]
    fn both_roles_get_one_version_of_the_policy_and_its_secrets() {
        let secrets = vec![("KEY".to_owned(), "sk-1".to_owned())];
        for secrets in [None, Some(&secrets)] {
            let files = files(bootstrap(), Path::new("/xds"), "v1", secrets);
            let [previous, gateway, attempt] = [&files[1], &files[2], &files[3]].map(plugin);
            assert_eq!(gateway, attempt);
            assert_eq!((&previous["vm_config"], &previous["root_id"]), (&gateway["vm_config"], &json!("attempt")));
            let delivered = &gateway["configuration"];
            assert_eq!((&delivered["version_info"], &delivered["resources"][0]["value"]), (&json!("v1"), &json!("{}")));
            let secret = delivered.pointer("/resources/1/generic_secret/secret/inline_string");
            assert_eq!(secret, secrets.map(|_| json!("sk-1")).as_ref());
            assert_eq!(gateway["vm_config"].get("environment_variables").is_some(), secrets.is_none());
            assert_eq!(
                gateway["vm_config"].get("configuration").is_some(),
                secrets.is_none(),
                "one VM for all secrets"
            );
        }
    }
}
