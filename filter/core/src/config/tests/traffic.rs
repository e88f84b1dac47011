//! `traffic_config`, and the plans that follow from it.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const ENTITIES: &str = "/endpoints/0/config/served_entities";
const ROUTES: &str = "/endpoints/0/config/traffic_config/routes";

#[test]
fn plans_follow_the_split() {
    let plan = |entities: &[usize], traffic_percentage, cluster: &str| Plan {
        entities: entities.to_vec(),
        traffic_percentage,
        cluster: cluster.to_owned(),
    };
    let config = compiled(&[(&format!("{ENTITIES}/-"), entity("d", json!({})))]);
    assert_eq!(
        config.endpoints[0].plans,
        [plan(&[0, 1, 2], 90, "weir-chat-a.chain-86822b4c"), plan(&[1, 0, 2], 10, "weir-chat-b.chain-2600f4ff")]
    );
    let config = compiled(&[(&format!("{ENTITIES}/2/cluster"), json!("own"))]);
    let name = config.endpoints[0].plans[0].cluster.strip_prefix("weir-chat-a.chain-").unwrap();
    assert_ne!(name, "86822b4c", "another order is another cluster");
    let config = compiled(&[
        ("/endpoints/0/ai_gateway/fallback_config/enabled", json!(false)),
        (&format!("{ENTITIES}/1/cluster"), json!("openai")),
    ]);
    assert_eq!(config.endpoints[0].plans, [plan(&[0], 90, "weir-chat-a"), plan(&[1], 10, "openai")]);
    let config = compiled(&[("/endpoints/0", endpoint("solo"))]);
    assert_eq!(config.endpoints[0].plans, [plan(&[0], 100, "weir-solo-only")]);
}

#[test]
fn splits() {
    let routes = |routes: Value| [(ROUTES, routes)];
    let route = |name: &str, percentage: Value| json!({"served_entity_name": name, "traffic_percentage": percentage});
    let path = "endpoints[0].config.traffic_config";
    check_errors(&[
        (&routes(json!([route("a", json!(100))])), &[]),
        (&routes(json!([route("a", json!(0)), route("c", json!(100))])), &[]),
        (
            &routes(json!([route("a", json!(90)), route("b", json!(9))])),
            &[&format!("{path}.routes: found percentages that sum to 99, expected exactly 100")],
        ),
        (
            &routes(json!([route("a", json!(100)), route("b", json!(100))])),
            &[&format!("{path}.routes: found percentages that sum to 200, expected exactly 100")],
        ),
        (
            &routes(json!([route("a", json!(33.3)), route("b", json!(101))])),
            &[
                &format!("{path}.routes[0].traffic_percentage: found `33.3`, expected a whole number from 0 to 100"),
                &format!("{path}.routes[1].traffic_percentage: found `101`, expected a whole number from 0 to 100"),
            ],
        ),
        (
            &routes(json!([route("a", json!(50)), route("a", json!(50))])),
            &[&format!("{path}.routes[1].served_entity_name: found `a`, expected an entity that has no other route")],
        ),
        (
            &routes(json!([route("x", json!(100))])),
            &[&format!(
                "{path}.routes[0].served_entity_name: found `x`, expected the name of one of `served_entities`"
            )],
        ),
        (
            &routes(json!([{"served_model_name": "a", "traffic_percentage": 100}])),
            &[&format!(
                "{path}.routes[0].served_model_name: found `a`, expected no such key: Databricks gave it up for \
                 `served_entity_name`"
            )],
        ),
        (&routes(json!([{"served_model_name": "a", "served_entity_name": "a", "traffic_percentage": 100}])), &[]),
        (&routes(json!([])), &[&format!("{path}.routes: found an empty list, expected at least one entry")]),
        (
            &[("/endpoints/0/config/traffic_config", json!("()"))],
            &[&format!("{path}: found nothing, expected the split of the traffic: there are several served entities")],
        ),
        (
            &[("/endpoints/0/config/traffic_config/sticky", json!({"header": "x"}))],
            &[&format!("{path}.sticky: found an object, expected no such key: `sticky` is not built yet")],
        ),
    ]);
}
