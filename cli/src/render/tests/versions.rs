//! What a version, a mode and an operator's listener change.

use serde_json::json;

use super::{super::part::Part, *};

#[test]
fn before_1_37_a_chain_is_an_aggregate_whose_hosts_say_where_they_are() {
    let bootstrap = bootstrap(&config(), "{}", &Options { version: EnvoyVersion::V1_36, ..options() });
    let chain = at(cluster(&bootstrap, "weir-chat-b.chain"), "/cluster_type");
    assert_eq!(chain["name"], "envoy.clusters.aggregate");
    assert_eq!(*at(chain, "/typed_config/clusters"), json!(["weir-chat-b", "weir-chat-a", "own"]));
    let host = "/load_assignment/endpoints/0/lb_endpoints/0/metadata/filter_metadata/weir/cluster";
    for name in ["weir-chat-a", "weir-chat-b", "weir-one-d"] {
        assert_eq!(at(cluster(&bootstrap, name), host), name);
    }
    assert_eq!(at(routes(&bootstrap)[0], "/route/retry_policy/retry_priority/typed_config/update_frequency"), 1);
    let router =
        at(hcm(&bootstrap), "/http_filters/1/typed_config/upstream_http_filters/1/typed_config/extension_config");
    assert_eq!(at(router, "/typed_config/config/root_id"), "attempt-by-host");
    let limit = |bootstrap: &Value| {
        at(bootstrap, "/static_resources/listeners/0").get("per_connection_buffer_limit_bytes").cloned()
    };
    assert_eq!(limit(&bootstrap), Some(json!(2_000_000)));
    assert_eq!(limit(&rendered(&config())), None);
    let composite = rendered(&config());
    assert!(cluster(&composite, "weir-chat-a").pointer(host).is_none());
    assert!(routes(&composite)[0].pointer("/route/retry_policy/retry_priority").is_none());
}

#[test]
fn unpaused_the_headers_come_from_filter_state() {
    let bootstrap = bootstrap(&config(), "{}", &Options { unpaused: true, ..options() });
    let filters = at(hcm(&bootstrap), "/http_filters").as_array().unwrap();
    let names: Vec<_> = filters.iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["weir.gateway", "weir.buffer", "weir.headers", "envoy.filters.http.router"]);
    let gateway = at(&filters[0], "/typed_config/config");
    assert_eq!(gateway["root_id"], "gateway-unpaused");
    assert!(gateway.get("allow_on_headers_stop_iteration").is_none());
    assert_eq!(at(&filters[1], "/typed_config/max_request_bytes"), 2_000_000);
    let cluster = at(&filters[2], "/typed_config/mutations/request_mutations/0/append/header");
    assert_eq!(*cluster, json!({"key": "x-weir-cluster", "value": "%FILTER_STATE(wasm.weir.cluster:PLAIN)%"}));
    for route in routes(&bootstrap).into_iter().filter(|route| route["name"] != "outside") {
        assert!(route.pointer("/route/host_rewrite_header").is_none(), "the attempt role's to set");
    }
    let outside = *routes(&bootstrap).last().unwrap();
    for name in &names[..3] {
        assert_eq!(outside["typed_per_filter_config"][name]["disabled"], true);
    }
}

#[test]
fn in_an_operators_listener_weirs_routes_switch_its_filters_on() {
    for unpaused in [false, true] {
        let options = Options { unpaused, ..options() };
        let filters = Part::Filters.of(&config(), "{}", &options);
        let own = filters["http_filters"].as_array().unwrap();
        assert_eq!(own.len(), if unpaused { 3 } else { 1 });
        let routes = Part::Routes.of(&config(), "{}", &options);
        for route in routes.as_array().unwrap() {
            assert_ne!(route["name"], "outside");
            for filter in own {
                assert_eq!(filter["disabled"], true);
                assert_eq!(route["typed_per_filter_config"][filter["name"].as_str().unwrap()]["config"], json!({}));
            }
        }
        assert!(at(&routes, "/0/response_headers_to_remove").to_string().contains("x-envoy-upstream-service-time"));
        let clusters = Part::Clusters.of(&config(), "{}", &options);
        assert_eq!(clusters, at(&rendered(&config()), "/static_resources/clusters").clone());
    }
}
