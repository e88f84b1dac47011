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
    manifests(&args, config, "{}", "/etc/weir".into(), None)
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    documents.iter().filter(|document| document["kind"] == kind).collect()
}

#[test]
fn each_entity_has_a_backend_and_a_rule_that_no_client_can_take() {
    let documents = rendered(&tests::config(), &[]);
    let backends: Vec<_> =
        of_kind(&documents, "Backend").iter().map(|backend| &backend["spec"]["endpoints"][0]).collect();
    assert_eq!(*backends[0], json!({"fqdn": {"hostname": "api.a.example", "port": 443}}));
    assert_eq!(*backends[2], json!({"ip": {"address": "2001:db8::1", "port": 8443}}));
    let policies = of_kind(&documents, "BackendTLSPolicy");
    assert_eq!(policies[0]["spec"]["validation"]["hostname"], "api.a.example");
    let routes = of_kind(&documents, "HTTPRoute");
    let rules = routes[1]["spec"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 3);
    assert_eq!(rules[0]["matches"], json!([{"headers": [{"name": "x-weir-cluster", "value": "weir-chat-a"}]}]));
    assert_eq!(rules[0]["backendRefs"][0]["name"], "weir-chat-a-0");
    let limits = &of_kind(&documents, "BackendTrafficPolicy")[0]["spec"];
    assert_eq!(limits["targetRefs"][0]["name"], routes[1]["metadata"]["name"]);
    assert_eq!(limits["circuitBreaker"]["maxParallelRetries"], 1_000_000);
}

#[test]
fn patches_are_an_envoys_settings_in_its_order() {
    let documents = rendered(&tests::config(), &[]);
    let patches = of_kind(&documents, "EnvoyPatchPolicy")[0]["spec"]["jsonPatches"].as_array().unwrap();
    let of = |kind: &str| -> Vec<&Value> {
        let is = |patch: &&Value| patch["type"].as_str().is_some_and(|name| name.ends_with(kind));
        patches.iter().filter(is).map(|patch| &patch["operation"]["value"]).collect()
    };
    let clusters = of(".Cluster");
    let members = |name: &str| {
        let cluster = clusters.iter().find(|cluster| cluster["name"] == name).unwrap();
        cluster.pointer("/cluster_type/typed_config/clusters").cloned()
    };
    let rule = |number: usize| json!({"name": format!("httproute/weir/weir-providers-0/rule/{number}")});
    let nowhere = json!({"name": "weir-nowhere"});
    assert_eq!(members("weir-one-d"), Some(json!([rule(2)])));
    assert_eq!(members("weir-attempt-1.weir-chat-a"), Some(json!([rule(0), nowhere])));
    assert_eq!(members("weir-attempt-2.weir-chat-b"), Some(json!([nowhere, rule(1), nowhere])));
    let first = ["weir-attempt-1.weir-chat-a", "weir-attempt-2.weir-chat-b", "own"];
    assert_eq!(members("weir-chat-a.chain"), Some(json!(first.map(|name| json!({ "name": name })))));
    // Each is put before all others: the first one last.
    let routes = of(".RouteConfiguration");
    assert_eq!((&routes[0]["name"], &routes[routes.len() - 1]["name"]), (&json!("outside"), &json!("weir")));
    let listener = patches.iter().filter(|patch| patch["name"] == "weir/weir/http");
    let paths: Vec<_> = listener.filter_map(|patch| patch["operation"]["path"].as_str()).collect();
    for path in ["/early_header_mutation_extensions", "/http_filters/0", "/upstream_http_filters", "/routes/0"] {
        assert!(paths.contains(&path), "{path}");
    }
    assert!(!paths.contains(&"/route_config") && !paths.contains(&"/http_filters"));
    assert!(!format!("{documents:?}").contains("sk-held-back"));
}

#[test]
fn the_gateway_api_allows_so_many_rules() {
    let mut config = tests::config();
    let entity = |number: u16| {
        let (name, port) = (format!("weir-chat-e{number}"), 8000 + number);
        tests::entity(&name, weir_core::config::Cluster::Rendered(name.clone()), tests::upstream(false, "e", port))
    };
    config.endpoints[0].entities = (0..20).map(entity).collect();
    let documents = rendered(&config, &[]);
    let rules = |route: &Value| route["spec"]["rules"].as_array().unwrap().len();
    assert_eq!(of_kind(&documents, "HTTPRoute").into_iter().map(rules).collect::<Vec<_>>(), [1, 16, 5]);
}
