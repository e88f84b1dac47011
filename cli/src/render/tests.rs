//! A policy of a few entities, and what is made of it.

use std::collections::HashMap;

use serde_json::{Value, json};
use weir_core::{
    config::{
        Cluster, Config, Credential, Endpoint, Identity, Jwt, Logging, Names, Plan, Provider, Scope, Secret,
        ServedEntity, Source, Task, Tokenizer, Unmatched, Upstream,
    },
    limits::{Limits, Rules},
    oauth::{Grant, Kind},
    paths::{PATHS, Target},
};

use super::{
    bootstrap::bootstrap,
    clusters,
    options::Options,
    version::{Chain, EnvoyVersion},
};

mod versions;

pub fn upstream(tls: bool, host: &str, port: u16) -> Upstream {
    Upstream { tls, host: host.into(), port, authority: host.into(), path_prefix: "/v1".into() }
}

pub fn entity(name: &str, cluster: Cluster, upstream: Upstream) -> ServedEntity {
    ServedEntity {
        name: name.into(),
        id: name.into(),
        provider: Provider::OpenAi { organization: None },
        credential: Credential::Header {
            name: "authorization".into(),
            value: Secret::new("Bearer sk-held-back".into()),
        },
        model: "m".into(),
        cluster,
        upstream,
        first_byte_ms: 120_000,
        price: None,
        tokenizer: Tokenizer::O200kBase,
    }
}

/// `chat`: https, http and an existing cluster, falling back in turn; `one`: a single entity by IP address.
pub fn config() -> Config {
    let rendered = |name: &str| Cluster::Rendered(name.into());
    let chat = vec![
        entity("a", rendered("weir-chat-a"), upstream(true, "api.a.example", 443)),
        entity("b", rendered("weir-chat-b"), upstream(false, "b.internal", 8000)),
        entity("c", Cluster::Existing("own".into()), upstream(true, "c.example", 443)),
    ];
    let one = vec![entity("d", rendered("weir-one-d"), upstream(true, "[2001:db8::1]", 8443))];
    let plan = |entities: Vec<usize>, percentage, cluster: &str| Plan {
        entities,
        traffic_percentage: percentage,
        cluster: cluster.into(),
    };
    let endpoint = |name: &str, entities, plans| Endpoint {
        name: name.into(),
        task: Task::Chat,
        own_headers: vec!["authorization".into()],
        entities,
        plans,
        limits: Limits::new(name, vec![], Rules::default()),
        permissions: None,
        usage_tracking: true,
        inference_table: None,
        description: None,
    };
    Config {
        shadow: false,
        hash: "0123456789abcdef".into(),
        account_id: None,
        workspace_id: None,
        scope: Scope { hosts: vec!["ai.example.com".into(), "ai.example.org".into(), "ai.example.com".into()] },
        identity: Identity { sources: vec![], groups_of: HashMap::new(), allow_anonymous: true },
        unmatched: Unmatched::Deny,
        unmatched_cluster: None,
        max_request_bytes: 1_000_000,
        rls: None,
        logging: Some(Logging {
            cluster: rendered("weir-records"),
            authority: "127.0.0.1:9902".into(),
            path: "/v1/records".into(),
            upstream: upstream(false, "127.0.0.1", 9902),
            authorization: Some(Secret::new("Bearer sk-held-back".into())),
            format: weir_core::config::Format::Ndjson,
            is_local: true,
            flush_interval_ms: 1000,
            max_batch_bytes: 1,
            max_buffered_bytes: 1,
        }),
        endpoints: vec![
            endpoint(
                "chat",
                chat,
                vec![plan(vec![0, 1, 2], 90, "weir-chat-a.chain"), plan(vec![1, 0, 2], 10, "weir-chat-b.chain")],
            ),
            endpoint("one", one, vec![plan(vec![0], 100, "weir-one-d")]),
        ],
        names: Names::default(),
        environment: vec!["WEIR_SECRET_A_KEY".into(), "OTHER".into()],
    }
}

fn jwt_source(issuer: &str) -> Source {
    Source::Jwt(Jwt {
        user: Some(vec!["email".into()]),
        groups: None,
        service_principal: None,
        issuer: issuer.into(),
        audiences: vec!["weir".into()],
        jwks_file: "jwks.json".into(),
    })
}

fn options() -> Options {
    Options {
        version: EnvoyVersion::V1_40,
        unpaused: false,
        merged: false,
        listen: "127.0.0.1:8080".parse().unwrap(),
        admin: "[::1]:9901".parse().unwrap(),
        wasm: "dist/weir.wasm".into(),
        policy_folder: "/etc/weir".into(),
        access_log: "/dev/stdout".into(),
        access_log_usage: false,
        clusters: vec![],
    }
}

fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is absent in {value:#}"))
}

fn rendered(config: &Config) -> Value {
    bootstrap(config, r#"{"the": "policy"}"#, &options())
}

fn hcm(bootstrap: &Value) -> &Value {
    at(bootstrap, "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
}

fn routes(bootstrap: &Value) -> Vec<&Value> {
    at(hcm(bootstrap), "/route_config/virtual_hosts/0/routes").as_array().unwrap().iter().collect()
}

fn cluster<'a>(bootstrap: &'a Value, name: &str) -> &'a Value {
    let all = at(bootstrap, "/static_resources/clusters").as_array().unwrap();
    all.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no cluster {name}"))
}

#[test]
fn servers_of_tokens_have_clusters_of_their_own() {
    let secret = Secret::new("s3cret".into());
    let kind = Kind::Client { id: "i".into(), secret, scope: "x".into() };
    let mut grant = Grant::new(upstream(true, "login.example", 443), kind);
    grant.cluster = "weir-one-d.token".into();
    let mut config = config();
    config.endpoints[1].entities[0].credential = Credential::Fetched(Box::new(grant));
    let rendered = clusters::clusters(&config, Chain::Composite, &[]);
    let cluster = rendered.iter().find(|cluster| clusters::name_of(cluster) == Some("weir-one-d.token")).unwrap();
    assert_eq!(at(cluster, "/transport_socket/typed_config/sni"), "login.example");
    assert!(!format!("{rendered:?}").contains("s3cret"));
}

#[test]
fn both_roles_are_one_file_and_one_policy() {
    let bootstrap = rendered(&config());
    let filters = at(hcm(&bootstrap), "/http_filters").as_array().unwrap();
    let names: Vec<_> = filters.iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["weir.gateway", "envoy.filters.http.router"]);
    let gateway = at(&filters[0], "/typed_config/config");
    let upstream = at(&filters[1], "/typed_config/upstream_http_filters").as_array().unwrap();
    let attempt = at(&upstream[1], "/typed_config/extension_config/typed_config/config");
    let names: Vec<_> = upstream.iter().map(|f| f["name"].as_str().unwrap()).collect();
    // The header by which Envoy knows a first attempt goes last.
    let expected =
        ["weir.tell", "weir.attempt", "weir.note", "weir.routing_headers", "envoy.filters.http.upstream_codec"];
    assert_eq!(names, expected);
    assert_eq!((&gateway["root_id"], &attempt["root_id"]), (&json!("gateway"), &json!("attempt")));
    for key in ["vm_config", "configuration", "failure_policy", "allow_on_headers_stop_iteration"] {
        assert_eq!(gateway[key], attempt[key], "{key}");
    }
    assert_eq!(gateway["configuration"]["value"], r#"{"the": "policy"}"#);
    let environment = at(gateway, "/vm_config/environment_variables/host_env_keys");
    assert_eq!(*environment, json!(["WEIR_SECRET_A_KEY", "OTHER"]));
    assert_eq!(at(gateway, "/vm_config/configuration/value"), "WEIR_SECRET_A_KEY OTHER", "other variables, another VM");
}

#[test]
fn no_secret_is_rendered() {
    assert!(!rendered(&config()).to_string().contains("sk-held-back"));
}

/// Incoming requests name a cluster by header for exactly the paths that the filter forwards; the filter sees no other
/// path. What it has rewritten has a route of its own, before all others.
#[test]
fn the_routing_header_counts_on_forwarded_paths_alone() {
    let bootstrap = rendered(&config());
    let routes = routes(&bootstrap);
    let (outside, weir) = routes.split_last().unwrap();
    let (rewritten, weir) = weir.split_first().unwrap();
    assert_eq!(rewritten["match"]["headers"], json!([{"name": "x-weir-cluster", "present_match": true}]));
    assert_eq!(rewritten["route"]["host_rewrite_header"], "x-weir-authority");
    let removed = at(rewritten, "/typed_per_filter_config/weir.routing_headers/mutations/request_mutations");
    let names = ["x-weir-cluster", "x-weir-authority", "x-forwarded-proto", "x-weir-failed"];
    assert_eq!(*removed, json!(names.map(|name| json!({"remove": name}))));
    for (route, path) in weir.iter().zip(PATHS) {
        assert_eq!(route["name"], format!("weir:{}", path.pattern));
        let by_header = route.pointer("/route/cluster_header") == Some(&json!("x-weir-cluster"));
        assert_eq!(by_header, matches!(path.target, Target::Query { .. }), "{route}");
        assert_eq!(by_header, route.get("direct_response").is_none(), "{route}");
        assert!(route.pointer("/typed_per_filter_config/weir.gateway").is_none());
    }
    assert_eq!(weir.len(), PATHS.len());
    assert_eq!(at(outside, "/typed_per_filter_config/weir.gateway")["disabled"], true);
    let mutations = at(hcm(&bootstrap), "/early_header_mutation_extensions/0/typed_config/mutations");
    assert_eq!(*mutations, json!([{"remove": "x-weir-cluster"}, {"remove": "x-weir-authority"}]));
}

#[test]
fn forwarded_routes_outlast_their_attempts_and_hold_twice_the_limit() {
    let bootstrap = rendered(&config());
    for route in routes(&bootstrap).into_iter().filter(|r| r.pointer("/route/retry_policy").is_some()) {
        assert_eq!(route["request_body_buffer_limit"], 2_000_000);
        assert_eq!(route["route"]["timeout"], "0s");
        assert_eq!(route["route"]["idle_timeout"], "390.000s");
        assert_eq!(route["route"]["retry_policy"]["num_retries"], 2);
    }
    let mut quick = config();
    quick.endpoints.iter_mut().flat_map(|e| &mut e.entities).for_each(|e| e.first_byte_ms = 1);
    let bootstrap = rendered(&quick);
    assert_eq!(routes(&bootstrap)[0]["route"]["idle_timeout"], "300.000s");
}

#[test]
fn hosts_and_what_is_outside() {
    let mut config = config();
    let names = |bootstrap: &Value| at(hcm(bootstrap), "/route_config/virtual_hosts").as_array().unwrap().clone();
    let hosts = names(&rendered(&config));
    assert_eq!(hosts[0]["domains"], json!(["ai.example.com", "ai.example.org"]));
    assert_eq!(hosts[1]["domains"], json!(["*"]));
    assert_eq!(hosts[1]["routes"].as_array().unwrap().len(), 1);
    assert_eq!(hosts[1]["routes"][0]["direct_response"]["status"], 404);
    assert_eq!(hosts[0]["routes"].as_array().unwrap().last(), Some(&hosts[1]["routes"][0]));

    config.scope.hosts.clear();
    config.unmatched_cluster = Some("rest".into());
    let hosts = names(&rendered(&config));
    assert_eq!(hosts.len(), 1);
    assert_eq!(hosts[0]["domains"], json!(["*"]));
    let last = hosts[0]["routes"].as_array().unwrap().last().unwrap();
    assert_eq!(last["route"], json!({"cluster": "rest", "timeout": "0s"}));
    assert!(last.get("request_body_buffer_limit").is_none());
}

#[test]
fn tokens_are_verified_on_weirs_routes_and_refused_by_the_filter() {
    let mut config = config();
    config.identity.sources = vec![jwt_source("https://one"), jwt_source("https://two")];
    let bootstrap = rendered(&config);
    let filter = at(hcm(&bootstrap), "/http_filters/0");
    assert_eq!(filter["name"], "envoy.filters.http.jwt_authn");
    assert!(filter["typed_config"].get("rules").is_none());
    let requirements = at(filter, "/typed_config/requirement_map/weir/requires_any/requirements");
    assert_eq!(
        *requirements,
        json!([{"provider_name": "jwt-0"}, {"provider_name": "jwt-1"}, {"allow_missing_or_failed": {}}])
    );
    let provider = at(filter, "/typed_config/providers/jwt-1");
    assert_eq!(provider["issuer"], "https://two");
    assert_eq!(provider["forward"], true);
    assert_eq!(provider["payload_in_metadata"], "jwt_payload");
    assert_eq!(at(hcm(&bootstrap), "/http_filters/1/name"), "weir.gateway");
    let routes = routes(&bootstrap);
    let (outside, weir) = routes.split_last().unwrap();
    assert!(outside.pointer("/typed_per_filter_config/envoy.filters.http.jwt_authn").is_none());
    for route in weir.iter().filter(|route| route["name"] != "weir") {
        let required = &route["typed_per_filter_config"]["envoy.filters.http.jwt_authn"]["requirement_name"];
        assert_eq!(required, "weir");
    }
}

#[test]
fn clusters_follow_their_upstreams() {
    let bootstrap = rendered(&config());
    let all = at(&bootstrap, "/static_resources/clusters").as_array().unwrap();
    let names: Vec<_> = all.iter().filter_map(clusters::name_of).collect();
    assert_eq!(
        names,
        [
            "weir-nowhere",
            "weir-chat-a",
            "weir-chat-b",
            "weir-one-d",
            "weir-records",
            "weir-attempt-1.weir-chat-a",
            "weir-attempt-2.weir-chat-b",
            "weir-chat-a.chain",
            "weir-attempt-1.weir-chat-b",
            "weir-attempt-2.weir-chat-a",
            "weir-chat-b.chain",
        ]
    );
    for cluster in all {
        assert_eq!(at(cluster, "/circuit_breakers/thresholds/0/max_retries"), 1_000_000);
    }
    let san = "/transport_socket/typed_config/common_tls_context/validation_context/match_typed_subject_alt_names/0";
    let (https, http) = (cluster(&bootstrap, "weir-chat-a"), cluster(&bootstrap, "weir-chat-b"));
    assert_eq!(at(https, "/cluster_type/typed_config/dns_lookup_family"), "V4_PREFERRED");
    assert_eq!(at(https, "/transport_socket/typed_config/sni"), "api.a.example");
    assert_eq!(*at(https, san), json!({"san_type": "DNS", "matcher": {"exact": "api.a.example"}}));
    assert!(http.get("transport_socket").is_none());
    let by_ip = cluster(&bootstrap, "weir-one-d");
    assert_eq!(by_ip["type"], "STATIC");
    assert!(by_ip.pointer("/transport_socket/typed_config/sni").is_none());
    assert_eq!(*at(by_ip, san), json!({"san_type": "IP_ADDRESS", "matcher": {"exact": "2001:db8::1"}}));
    let members = |name: &str| at(cluster(&bootstrap, name), "/cluster_type/typed_config/clusters").clone();
    let order = ["weir-attempt-1.weir-chat-b", "weir-attempt-2.weir-chat-a", "own"];
    assert_eq!(members("weir-chat-b.chain"), json!(order.map(|name| json!({ "name": name }))));
    let second = ["weir-nowhere", "weir-chat-a", "weir-nowhere"];
    assert_eq!(members("weir-attempt-2.weir-chat-a"), json!(second.map(|name| json!({ "name": name }))));
}

#[test]
fn the_operators_own_clusters() {
    let mut config = config();
    config.unmatched_cluster = Some("rest".into());
    assert_eq!(clusters::missing(&config, &[]), ["own", "rest"]);
    let own = json!({"name": "own", "anything": [1]});
    assert_eq!(clusters::missing(&config, std::slice::from_ref(&own)), ["rest"]);
    let bootstrap = bootstrap(&config, "{}", &Options { clusters: vec![own.clone()], ..options() });
    assert_eq!(*cluster(&bootstrap, "own"), own);
    assert!(clusters::doubled(&clusters::clusters(&config, Chain::Composite, std::slice::from_ref(&own))).is_empty());
    assert_eq!(clusters::doubled(&[own.clone(), json!({"name": "b"}), own]), ["own"]);
}

#[test]
fn the_access_log_holds_nothing_of_a_providers_or_a_callers_secrets() {
    let to_stdout = rendered(&config());
    let log = at(hcm(&to_stdout), "/access_log/0/typed_config");
    let fields = at(log, "/log_format/json_format");
    assert_eq!(fields["databricks_request_id"], "%RESP(X-DATABRICKS-REQUEST-ID)%");
    assert_eq!(fields.get("weir"), None, "the collector has it");
    let usage = |config: &Config, access_log_usage| {
        let bootstrap = bootstrap(config, "{}", &Options { access_log_usage, ..options() });
        at(hcm(&bootstrap), "/access_log/0/typed_config/log_format/json_format")["weir"].clone()
    };
    assert_eq!(usage(&config(), true), "%FILTER_STATE(wasm.weir.usage:PLAIN)%");
    let without_collector = Config { logging: None, ..config() };
    assert_eq!(usage(&without_collector, false), "%FILTER_STATE(wasm.weir.usage:PLAIN)%");
    let text = fields.to_string();
    assert_eq!(fields["path"], "%PATH(NQ:PATH)%", "no query string, and nothing that a client can set");
    // An upstream address is a provider's host.
    for leak in
        ["REQ(:PATH)", "ORIGINAL-PATH", "AUTHORIZATION", "API-KEY", "COOKIE", "%UPSTREAM_HOST", "REMOTE_ADDRESS%"]
    {
        assert!(!text.to_uppercase().contains(leak), "{leak} in {text}");
    }
    let to_file = bootstrap(&config(), "{}", &Options { access_log: "a.log".into(), ..options() });
    assert_eq!(at(hcm(&to_file), "/access_log/0/typed_config/path"), "a.log");
}
