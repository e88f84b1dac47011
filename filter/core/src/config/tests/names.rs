//! Names that must be unique in the whole policy, and how they are found.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[test]
fn names_of_models() {
    let models = |chat: Value, more: Value| [("/endpoints/0/models", chat), ("/endpoints/1/models", more)];
    let check = |edits: &[(&str, Value)], expected: &[&str]| {
        let mut all = vec![("/endpoints/-", endpoint("more"))];
        all.extend_from_slice(edits);
        check_errors(&[(&all, expected)]);
    };
    check(&models(json!(["gpt", "gpt-*", "*", "chat"]), json!(["gpt-4*"])), &[]);
    check(
        &models(json!(["more"]), json!(["gpt"])),
        &["endpoints[0].models[0]: found `more`, expected no other endpoint's name: endpoints[1]"],
    );
    check(
        &models(json!(["gpt", "g*"]), json!(["gpt", "g*"])),
        &[
            "endpoints[1].models[0]: found `gpt`, expected a name that is claimed once: endpoints[0] has it",
            "endpoints[1].models[1]: found `g*`, expected a name that is claimed once: endpoints[0] has it",
        ],
    );
    check(
        &models(json!(["a*b"]), json!(["a**"])),
        &[
            "endpoints[0].models[0]: found `a*b`, expected a model's name, or its beginning and one `*` at the end",
            "endpoints[1].models[0]: found `a**`, expected a model's name, or its beginning and one `*` at the end",
        ],
    );
}

#[test]
fn look_ups() {
    let config = compiled(&[
        ("/endpoints/-", endpoint("more")),
        ("/endpoints/-", endpoint("last")),
        ("/endpoints/0/models", json!(["gpt-4o", "gpt-*", "gpt-4o-mini*"])),
        ("/endpoints/1/models", json!(["gpt-4*", "abc-*", "é*"])),
    ]);
    for (model, expected) in [
        ("chat", Some("chat")),
        ("last", Some("last")),
        ("gpt-4o", Some("chat")),
        ("gpt-4o-2024", Some("more")),
        ("gpt-4", Some("more")),
        ("gpt-4o-mini", Some("chat")),
        ("gpt-4o-mini-x", Some("chat")),
        ("gpt-3", Some("chat")),
        ("abc-1", Some("more")),
        ("était", Some("more")),
        ("gpt", None),
        ("", None),
        ("CHAT", None),
    ] {
        let found = config.endpoint_for_model(model).map(|endpoint| endpoint.name.as_str());
        assert_eq!(found, expected, "{model}");
    }
    assert_eq!(config.endpoint("more").map(|endpoint| endpoint.name.as_str()), Some("more"));
    assert!(config.endpoint("gpt-4o").is_none());
}

#[test]
fn clusters_that_collide() {
    let solo = |name: &str, entity_name: &str, cluster: Option<&str>| {
        let mut solo = json!({"name": name, "config": {"served_entities": [entity(entity_name, json!({}))]}});
        if let Some(cluster) = cluster {
            edit(&mut solo, "/config/served_entities/0/cluster", json!(cluster));
        }
        solo
    };
    let two = |first: Value, second: Value| [("/endpoints/-", first), ("/endpoints/-", second)];
    check_errors(&[
        (
            &two(solo("x-y", "z", None), solo("x", "y-z", None)),
            &["endpoints[2].config.served_entities[0]: found the cluster name `weir-x-y-z`, which \
                 endpoints[1].config.served_entities[0] has too, expected another one: set `cluster`, or rename the \
                 endpoint or the entity"],
        ),
        (&two(solo("x-y", "z", None), solo("x", "y-z", Some("own"))), &[]),
        (&two(solo("x", "y", Some("shared")), solo("z", "y", Some("shared"))), &[]),
        (
            &two(solo("x", "y", Some("weir-chat-a")), solo("z", "y", Some("weir-chat-b.chain-00"))),
            &[
                "endpoints[1].config.served_entities[0].cluster: found `weir-chat-a`, expected the name of a cluster of \
                 your own: `weir render` makes this one for endpoints[0].config.served_entities[0]",
                "endpoints[2].config.served_entities[0].cluster: found `weir-chat-b.chain-00`, expected the name of a \
                 cluster of your own: `weir render` makes this one for endpoints[0].config.served_entities[1]",
            ],
        ),
        (
            &two(solo("x", "y", Some("weir-nowhere")), solo("z", "y", Some("weir-attempt-1.a"))),
            &[
                "endpoints[1].config.served_entities[0].cluster: found `weir-nowhere`, expected the name of a cluster of \
                 your own: `weir render` makes this one for plans",
                "endpoints[2].config.served_entities[0].cluster: found `weir-attempt-1.a`, expected the name of a cluster \
                 of your own: `weir render` makes this one for plans",
            ],
        ),
        (
            &two(solo("x", "y", Some("weir-records")), endpoint("z")),
            &[
                "endpoints[1].config.served_entities[0].cluster: found `weir-records`, expected the name of a cluster of \
                 your own: `weir render` makes this one for logging",
            ],
        ),
    ]);
}
