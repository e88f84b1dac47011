use clap::Parser as _;
use serde_json::{Value, json};
use weir_core::config::Config;

use super::{super::tests, *};

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn rendered(config: &Config, arguments: &[&str]) -> Vec<Value> {
    let arguments = ["weir", "policy.yaml"].iter().chain(arguments);
    let args = Command::try_parse_from(arguments).map_err(|error| error.to_string()).unwrap().args;
    manifests(&args, config, "{\"endpoints\": []}", "/etc/weir".into(), None).unwrap()
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    documents.iter().filter(|document| document["kind"] == kind).collect()
}

fn patches(documents: &[Value]) -> &Vec<Value> {
    of_kind(documents, "EnvoyFilter")[0]["spec"]["configPatches"].as_array().unwrap()
}

/// The values that are added, inserted or merged at such places.
fn values<'a>(documents: &'a [Value], place: &str) -> Vec<&'a Value> {
    patches(documents).iter().filter(|patch| patch["applyTo"] == place).map(|patch| &patch["patch"]["value"]).collect()
}

#[test]
fn providers_are_istios_and_plans_are_weirs() {
    let documents = rendered(&tests::config(), &[]);
    let clusters = values(&documents, "CLUSTER");
    let names: Vec<_> = clusters.iter().map(|cluster| cluster["name"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["weir-one-d", "weir-nowhere", "weir-records"]);
    let members = |name: &str| {
        let cluster = clusters.iter().find(|cluster| cluster["name"] == name).unwrap();
        cluster.pointer("/cluster_type/typed_config/clusters").cloned()
    };
    let named = |names: &[&str]| Some(names.iter().map(|name| json!({ "name": name })).collect::<Value>());
    let order = ["weir-attempt-1.weir-chat-a", "weir-attempt-2.weir-chat-b", "own"];
    assert_eq!(members("weir-chat-a.chain"), named(&order));
    assert_eq!(members(order[0]), named(&["outbound|443||api.a.example", "weir-nowhere"]));
    assert_eq!(members(order[1]), named(&["weir-nowhere", "outbound|8000||b.internal", "weir-nowhere"]));
    assert_eq!(members("weir-one-d"), named(&["outbound|8443||ip-2001-db8--1.weir.internal"]));
    assert_eq!(members("weir-records"), None);

    let entries = of_kind(&documents, "ServiceEntry");
    let hosts: Vec<_> = entries.iter().map(|entry| entry["spec"]["hosts"][0].as_str().unwrap()).collect();
    assert_eq!(hosts, ["api.a.example", "b.internal", "ip-2001-db8--1.weir.internal"]);
    assert_eq!(entries[2]["spec"]["endpoints"], json!([{"address": "2001:db8::1"}]));
    let rules = of_kind(&documents, "DestinationRule");
    let settings = |at: usize| &rules[at]["spec"]["trafficPolicy"]["portLevelSettings"][0];
    let name = "api.a.example";
    assert_eq!(settings(0)["tls"], json!({"mode": "SIMPLE", "sni": name, "subjectAltNames": [name]}));
    assert_eq!(settings(1)["tls"], json!({"mode": "DISABLE"}));
    for (at, rule) in rules.iter().enumerate() {
        assert_eq!(settings(at)["connectionPool"]["http"]["maxRetries"], 1_000_000);
        assert_eq!(rule["spec"]["exportTo"], json!(["."]));
    }
}

/// The registry has the cluster's own services, and says how to reach them.
#[test]
fn services_of_the_cluster_have_no_entry() {
    let mut config = tests::config();
    config.endpoints[0].entities[1].upstream.host = "vllm.ml.svc.cluster.local".into();
    let documents = rendered(&config, &[]);
    assert_eq!(of_kind(&documents, "ServiceEntry").len(), 2);
    let rules = of_kind(&documents, "DestinationRule");
    let rule = rules.iter().find(|rule| rule["spec"]["host"] == "vllm.ml.svc.cluster.local").unwrap();
    assert_eq!(rule["spec"]["trafficPolicy"]["portLevelSettings"][0].get("tls"), None);
    assert_eq!(of_kind(&rendered(&config, &["--cluster-domain", "corp"]), "ServiceEntry").len(), 3);
}

#[test]
fn filters_routes_and_settings_are_those_of_an_envoy() {
    let documents = rendered(&tests::config(), &[]);
    let filters = values(&documents, "HTTP_FILTER");
    assert_eq!(filters[0]["name"], "weir.gateway");
    assert_eq!(filters[1]["name"], "envoy.filters.http.router");
    assert_eq!(filters[1]["typed_config"]["upstream_http_filters"].as_array().unwrap().len(), 5);
    let manager = values(&documents, "NETWORK_FILTER")[0]["typed_config"].as_object().unwrap();
    assert!(manager.contains_key("early_header_mutation_extensions") && manager.contains_key("access_log"));
    for theirs in ["http_filters", "route_config", "stat_prefix"] {
        assert!(!manager.contains_key(theirs), "{theirs}");
    }
    let quiet = rendered(&tests::config(), &["--access-log", "none"]);
    assert!(values(&quiet, "NETWORK_FILTER")[0]["typed_config"].get("access_log").is_none());
    let routes = values(&documents, "HTTP_ROUTE");
    assert_eq!((&routes[0]["name"], &routes[routes.len() - 1]["name"]), (&json!("weir"), &json!("outside")));
    let removed = &routes[0]["typed_per_filter_config"]["weir.routing_headers"]["mutations"]["request_mutations"];
    assert!(removed.as_array().unwrap().contains(&json!({"remove": "x-envoy-peer-metadata"})));
    assert!(documents.iter().all(|document| document["metadata"]["namespace"] == "weir"));
    assert!(!format!("{documents:?}").contains("sk-held-back"));
}

/// istiod makes the gateway role; the attempt role, a patch, must be in the same VM.
#[test]
fn a_wasm_plugin_in_place_of_the_gateway_roles_patch() {
    let documents = rendered(&tests::config(), &["--wasm-plugin", "--namespace", "team", "--name", "llm"]);
    let plugin = of_kind(&documents, "WasmPlugin")[0];
    assert_eq!(plugin["metadata"], json!({"name": "llm", "namespace": "team"}));
    let spec = &plugin["spec"];
    assert_eq!(spec["selector"]["matchLabels"], json!({"istio": "llm"}));
    assert_eq!((&spec["url"], &spec["pluginName"]), (&json!("file:///etc/weir/weir.wasm"), &json!("gateway-unpaused")));
    assert_eq!(spec["pluginConfig"], json!({"endpoints": []}), "the policy");
    assert_eq!(spec["vmConfig"]["env"][0], json!({"name": "WEIR_SECRET_A_KEY", "valueFrom": "HOST"}));
    let filters = values(&documents, "HTTP_FILTER");
    let names: Vec<_> = filters.iter().map(|filter| &filter["name"]).collect();
    assert_eq!(names, ["weir.buffer", "weir.headers", "envoy.filters.http.router"]);
    let attempt = &filters[2]["typed_config"]["upstream_http_filters"][1]["typed_config"]["extension_config"];
    let vm = attempt.pointer("/typed_config/config/vm_config").and_then(Value::as_object).unwrap();
    assert_eq!(attempt["name"], "weir.attempt");
    assert!(!vm.contains_key("vm_id") && !vm.contains_key("configuration") && vm.contains_key("code"));
    for (version, name) in [
        ("1.31", "extensions.istio.io/trafficextension/weir.weir~istio-translated-wasmplugin"),
        ("1.30", "extensions.istio.io/wasmplugin/weir.weir"),
    ] {
        let documents = rendered(&tests::config(), &["--wasm-plugin", "--istio-version", version]);
        let routes = values(&documents, "HTTP_ROUTE");
        let off = routes[routes.len() - 1]["typed_per_filter_config"].as_object().unwrap();
        assert!(off.contains_key(name) && !off.contains_key("weir.gateway"), "{off:?}");
    }
    assert!(of_kind(&rendered(&tests::config(), &[]), "WasmPlugin").is_empty());
}

/// The agent sees what comes by discovery alone.
#[test]
fn code_that_is_fetched_comes_by_discovery() {
    let documents = rendered(&tests::config(), &["--wasm", "oci://registry.example/weir:1"]);
    let extensions = values(&documents, "EXTENSION_CONFIG");
    let names: Vec<_> = extensions.iter().map(|extension| &extension["name"]).collect();
    assert_eq!(names, ["weir.gateway", "weir.attempt"]);
    let code = "/typed_config/config/vm_config/code/remote/http_uri/uri";
    assert!(extensions.iter().all(|extension| *extension.pointer(code).unwrap() == "oci://registry.example/weir:1"));
    let hash = extensions[0].pointer("/typed_config/config/vm_config/code/remote/sha256");
    assert_eq!(hash, Some(&json!("nil")), "the agent's word for none: Envoy's own validation wants one");
    let filters = values(&documents, "HTTP_FILTER");
    let upstream = &filters[1]["typed_config"]["upstream_http_filters"];
    for filter in [filters[0], &upstream[1]] {
        assert!(filter.get("typed_config").is_none() && filter["config_discovery"].is_object(), "{filter}");
    }
    assert_eq!(upstream[1]["name"], "weir.attempt");
}

#[test]
fn keys_and_code_are_in_the_gateways_pods_alone() {
    let documents = rendered(&tests::config(), &["--wasm-image", "weir-wasm:1", "--secret", "keys"]);
    let pod = &of_kind(&documents, "Deployment")[0]["spec"]["template"]["spec"];
    let reference = json!({"secretKeyRef": {"name": "keys", "key": "WEIR_SECRET_A_KEY"}});
    assert_eq!(pod["containers"][0]["env"][0], json!({"name": "WEIR_SECRET_A_KEY", "valueFrom": reference}));
    assert_eq!(pod["volumes"][0]["image"]["reference"], "weir-wasm:1");
    assert_eq!(pod["containers"][0]["volumeMounts"][0]["mountPath"], "/etc/weir");
}
