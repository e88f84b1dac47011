//! The attempt role behind an aggregate cluster: it goes by the host that Envoy has chosen.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::json;

use super::drive::*;
use crate::{
    attempt::Attempt,
    headers::Headers,
    host::{Input, fake::FakeHost},
};

const HOST: &str = "xds/upstream_host_metadata/filter_metadata/weir/cluster";

fn fails(mut attempt: Attempt, host: &FakeHost) {
    host.response_headers.replace(Headers::from_pairs([(":status", &b"503"[..])]));
    host.apply(attempt.handle(Input::ResponseHeaders { end: false }, host).effects);
    attempt.handle(Input::Done, host);
}

/// Each row: the hosts' entities in the order of attempts, and whom each attempt is made for.
#[test]
fn whoever_is_passed_over_is_noted_and_gets_nothing() {
    for (hosts, recorded) in [
        (&["a", "b", "c"][..], json!([["a", 503, null], ["b", 503, null], ["c", 200, null]])),
        (&["b", "c"], json!([["a", null, "not_sent"], ["b", 503, null], ["c", 200, null]])),
        (&["a", "c"], json!([["a", 503, null], ["b", null, "not_sent"], ["c", 200, null]])),
        (&["c"], json!([["a", null, "not_sent"], ["b", null, "not_sent"], ["c", 200, null]])),
    ] {
        let rig = Rig::new(&policy());
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        for (at, entity) in hosts.iter().enumerate() {
            rig.host.set_property(HOST, format!("weir-chat-{entity}").as_bytes());
            let (attempt, received) = stream.begin_attempt_by_host();
            assert_eq!(received.header("authorization"), Some(&*format!("Bearer secret-{entity}")), "{hosts:?}");
            assert_eq!(received.header(":authority"), Some(&*format!("{entity}.example.com")));
            assert!(received.body.contains(&format!("\"{entity}-model\"")), "{}", received.body);
            if at + 1 < hosts.len() {
                fails(attempt, &rig.host);
            }
        }
        let seen = stream.answered();
        assert_eq!(seen.header("served-model-name"), Some("c"));
        let row = stream.row();
        let attempts = row["detail"]["attempts"].as_array().unwrap().iter();
        let attempts: Vec<_> =
            attempts.map(|a| json!([a["served_entity_name"], a["status_code"], a["error"]])).collect();
        assert_eq!(json!(attempts), recorded, "{hosts:?}");
    }
}

#[test]
fn a_host_that_is_no_entitys_gets_nobodys_request() {
    for cluster in ["weir-other-a", ""] {
        let rig = Rig::new(&policy());
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        rig.host.set_property(HOST, cluster.as_bytes());
        let (_, received) = stream.begin_attempt_by_host();
        assert_eq!((received.header("authorization"), &*received.body), (None, ""), "{received:?}");
    }
    // Nor does one that has had its turn.
    let rig = Rig::new(&policy());
    let mut stream = rig.chat(OPENAI, &chat(json!({})));
    for authorization in [Some("Bearer secret-a"), None] {
        rig.host.set_property(HOST, b"weir-chat-a");
        let (attempt, received) = stream.begin_attempt_by_host();
        assert_eq!(received.header("authorization"), authorization);
        fails(attempt, &rig.host);
    }
}

#[test]
fn a_host_that_does_not_say_is_the_next_ones_where_that_has_a_cluster_of_the_operators() {
    let mut policy = policy();
    policy["endpoints"][0]["config"]["served_entities"][1]["cluster"] = json!("own");
    for (hosts, paid) in [
        (&[Some("a"), None, Some("c")][..], &[Some("a"), Some("b"), Some("c")][..]),
        (&[None], &[None]),
        (&[Some("a"), Some("c"), None], &[Some("a"), Some("c"), None]),
    ] {
        let rig = Rig::new(&policy);
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        for (host, paid) in hosts.iter().zip(paid) {
            rig.host.properties.borrow_mut().remove(HOST);
            if let Some(entity) = host {
                rig.host.set_property(HOST, format!("weir-chat-{entity}").as_bytes());
            }
            let (attempt, received) = stream.begin_attempt_by_host();
            let expected = paid.map(|entity| format!("Bearer secret-{entity}"));
            assert_eq!(received.header("authorization"), expected.as_deref(), "{hosts:?}");
            fails(attempt, &rig.host);
        }
    }
}
