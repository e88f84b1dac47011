//! The attempt role: what the second and third provider receive, and what the record says of those that failed.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::{cell::RefCell, rc::Rc};

use serde_json::{Value, json};

use super::{drive::*, route};
use crate::{
    attempt::{ATTEMPTS, DISOWNED_HEADER},
    gateway::Gateway,
    host::Input,
    metrics::Metric,
};

#[test]
fn each_provider_gets_its_own_request_and_nothing_of_the_one_before() {
    let rig = Rig::new(&policy());
    let more = json!({"stream": true, "client_request_id": "c-1", "usage_context": {"team": "x"}, "temperature": 0.5});
    // `model` comes first, last, and not at all.
    let bodies = [
        (OPENAI, format!("{{\"model\" : \"chat\" , {}", &chat(more.clone()).replace("\"model\":\"chat\",", "")[1..])),
        (
            OPENAI,
            format!(
                "{},\n\"model\":\"chat\"}}",
                chat(more.clone()).replace("\"model\":\"chat\",", "").strip_suffix('}').unwrap()
            ),
        ),
        (DATABRICKS, chat(more.clone()).replace("\"model\":\"chat\",", "")),
    ];
    for (path, body) in bodies {
        let mut stream = rig.chat(path, &body);
        let first = stream.attempt(Outcome::Status(503));
        let others = [("b", stream.attempt(Outcome::Connect)), ("c", stream.begin_attempt().1)];
        for (entity, received) in &others {
            let value: Value = serde_json::from_str(&received.body).unwrap();
            assert_eq!(value["model"], format!("{entity}-model"));
            assert_eq!(received.body, first.body.replace("a-model", &format!("{entity}-model")));
            assert_eq!((&value["client_request_id"], &value["usage_context"]), (&Value::Null, &Value::Null));
            assert_eq!(received.header(":path"), Some(&*format!("/{entity}/v1/chat/completions")));
            assert_eq!(received.header(":authority"), Some(&*format!("{entity}.example.com")));
            assert_eq!(received.header("authorization"), Some(&*format!("Bearer secret-{entity}")));
            let text = format!("{received:?}");
            for other in ["a", "b", "c"].iter().filter(|other| *other != entity) {
                let marks = ["secret-{}", "{}.example.com", "{}-model", "/{}/v1", "org-{}"];
                for mark in marks.map(|mark| mark.replace("{}", other)) {
                    assert!(!text.contains(&mark), "{mark} in {text}");
                }
            }
        }
        assert_eq!(first.header("openai-organization"), Some("org-a"));
        assert_eq!(others[0].1.header("openai-organization"), None);
    }
}

type Note = (&'static str, Option<u16>, Option<&'static str>, u64);

#[test]
fn every_attempt_is_in_the_record() {
    let rig = Rig::new(&policy());
    let rows: &[(&[Outcome], &[Note])] = &[
        (&[], &[("a", Some(200), None, 40)]),
        (&[Outcome::Status(429)], &[("a", Some(429), None, 0), ("b", Some(200), None, 40)]),
        (
            &[Outcome::Status(401), Outcome::Connect],
            &[("a", Some(401), None, 0), ("b", None, Some("connect_failure"), 0), ("c", Some(200), None, 40)],
        ),
        (
            &[Outcome::Reset(7), Outcome::Reset(297_000)],
            &[("a", None, Some("reset"), 7), ("b", None, Some("timeout"), 297_000), ("c", Some(200), None, 40)],
        ),
    ];
    for (outcomes, expected) in rows {
        rig.host.counts.take();
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        outcomes.iter().for_each(|outcome| drop(stream.attempt(*outcome)));
        stream.begin_attempt();
        rig.wait_ms(40);
        let seen = stream.answered();
        let entity = expected.last().unwrap().0;
        assert_eq!((seen.status, seen.header("served-model-name")), (200, Some(entity)));
        assert_eq!(rig.counted(Metric::Fallbacks), outcomes.len() as u64);
        let row = stream.row();
        assert_eq!(row["detail"]["served_entity_name"], entity);
        assert_eq!(row["detail"]["attempts"], json!(expected.iter().map(attempt).collect::<Vec<_>>()));
    }
}

fn attempt((entity, status, error, latency_ms): &Note) -> Value {
    json!({"served_entity_name": entity, "status_code": status, "error": error, "latency_ms": latency_ms})
}

/// The second attempt finds no host: nobody has told of the first, but Envoy still knows how it ended.
#[test]
fn a_second_attempt_that_is_not_sent() {
    let rig = Rig::new(&policy());
    let status = ("metadata/filter_metadata/weir.failed/status", "503");
    let connect = ("upstream/transport_failure_reason", "delayed connect error");
    let rows = [
        (Some(status), ("a", Some(503), None, 30)),
        (Some(connect), ("a", None, Some("connect_failure"), 30)),
        (None, ("a", None, Some("reset"), 30)),
    ];
    for (known, expected) in rows {
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        stream.attempt(Outcome::Reset(30));
        rig.host.set_property("upstream/request_attempt_count", &2u64.to_le_bytes());
        if let Some((path, value)) = known {
            rig.host.set_property(path, value.as_bytes());
        }
        assert_eq!(stream.envoy_answers("503", "no_healthy_upstream").status, 502);
        let attempts = &stream.row()["detail"]["attempts"];
        assert_eq!(*attempts, json!([attempt(&expected), attempt(&("b", None, Some("not_sent"), 0))]));
    }
}

/// (how each attempt fails, what Envoy passes on, what the client gets)
#[test]
fn the_last_error_is_the_clients() {
    let rig = Rig::new(&policy());
    let connect = "upstream_reset_before_response_started{connection_failure}";
    let rows = [
        ([Outcome::Status(503), Outcome::Connect, Outcome::Status(429)], "429", "via_upstream", 429, 429, Value::Null),
        (
            [Outcome::Status(429), Outcome::Status(500), Outcome::Status(401)],
            "401",
            "via_upstream",
            502,
            401,
            Value::Null,
        ),
        ([Outcome::Status(401), Outcome::Reset(1), Outcome::Connect], "503", connect, 502, 0, json!("connect_failure")),
        (
            [Outcome::Status(401), Outcome::Connect, Outcome::Reset(1)],
            "504",
            "upstream_response_timeout",
            504,
            0,
            json!("timeout"),
        ),
    ];
    for (outcomes, status, details, expected, last_status, last_error) in rows {
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        for outcome in outcomes {
            stream.attempt(outcome);
        }
        rig.host.set_property("response/code_details", details.as_bytes());
        let seen = stream.answer(&[(":status", status)], &["x"]);
        assert_eq!(seen.status, expected);
        let row = stream.row();
        let attempts = row["detail"]["attempts"].as_array().unwrap();
        assert_eq!((attempts.len(), &row["detail"]["served_entity_name"]), (3, &json!("c")));
        assert_eq!(attempts[2]["status_code"].as_u64().unwrap_or(0), last_status);
        assert_eq!(attempts[2]["error"], last_error);
        assert_eq!(row["row"]["output_token_count"], 0);
    }
}

thread_local! {
    static HELD: RefCell<Vec<Rc<Gateway>>> = const { RefCell::new(Vec::new()) };
}

/// A reload between the plan and an attempt: the attempt is made with the policy that it was planned with.
#[test]
fn an_attempt_keeps_to_the_policy_of_its_plan() {
    let mut rig = Rig::new(&policy());
    HELD.set(vec![rig.gateway.clone()]);
    rig.in_force = |hash| HELD.with_borrow(|held| held.iter().find(|gateway| gateway.config.hash == hash).cloned());
    let mut other = policy();
    other["endpoints"][0] = endpoint("chat", &["c", "a"]);
    rig.attempts = compiled(&other);
    let mut stream = rig.chat(OPENAI, &chat(json!({})));
    stream.attempt(Outcome::Status(503));
    let received = stream.attempt(Outcome::Status(200));
    assert_eq!(received.header("authorization"), Some("Bearer secret-b"));
    assert_eq!(&*received.body, chat(json!({"model": "b-model"})));
}

/// In another VM the attempt role may know another policy while a reload is under way: no provider gets what is another's.
#[test]
fn an_attempt_astray_reaches_nobody_with_anything() {
    let mut rig = Rig::new(&policy());
    let mut other = policy();
    other["account_id"] = json!("other");
    rig.attempts = compiled(&other);
    let mut stream = rig.chat(OPENAI, &chat(json!({})));
    stream.attempt(Outcome::Status(503));
    for broken_plan in [false, true] {
        if broken_plan {
            rig.host.set_property("weir.plan", b"nonsense");
        }
        let received = stream.attempt(Outcome::Status(200));
        assert_eq!((received.header(":path"), &*received.body), (Some("/"), ""));
        assert_eq!(received.header(":authority"), Some("weir.invalid"));
        assert_eq!((received.header("authorization"), received.header("openai-organization")), (None, None));
        // Whatever that provider says is no answer to the request.
        assert_eq!(rig.host.response_headers.borrow().text(":status"), Some("503"));
    }
    let notes = rig.host.properties.borrow().get(ATTEMPTS).cloned().unwrap();
    assert_eq!(notes.len(), 3 * 7);
    // Nor is it the caller's to see.
    let marked = [(":status", "503"), ("content-type", "text/plain"), (DISOWNED_HEADER, "1")];
    let seen = stream.answer(&marked, &["whatever that provider says"]);
    assert_eq!((seen.status, &seen.json()["error"]["code"]), (502, &json!("upstream_error")));
    assert_eq!((seen.header(DISOWNED_HEADER), seen.header("served-model-name")), (None, None));
}

/// A plan without a fallback leaves no handover, and others' retries are not Weir's business.
#[test]
fn attempts_of_what_weir_has_not_planned_pass() {
    let rig = Rig::new(&policy());
    let mut policy = policy();
    policy["endpoints"][0] = endpoint("chat", &["a"]);
    let alone = Rig::new(&policy);
    let mut stream = alone.chat(OPENAI, &chat(json!({})));
    let received = stream.begin_attempt().1;
    assert_eq!(received.header("x-envoy-max-retries"), Some("0"));
    assert_eq!(route::cluster(&alone.host).as_deref(), Some("weir-chat-a"));
    assert_eq!(alone.host.properties.borrow().get("weir.plan"), None);
    for number in [1u64, 2] {
        rig.host.end_stream();
        rig.host.set_property("upstream/request_attempt_count", &number.to_le_bytes());
        let mut attempt = crate::attempt::Attempt::new(rig.gateway.clone(), rig.in_force);
        for input in [Input::RequestHeaders { end: true }, Input::ResponseHeaders { end: true }, Input::Done] {
            assert_eq!(attempt.handle(input, &rig.host), crate::host::Step::default());
        }
    }
}

/// A body that trailers end, for an attempt that is not the first.
#[test]
fn trailers_end_an_attempts_body() {
    let rig = Rig::new(&policy());
    let mut stream = rig.chat(OPENAI, &chat(json!({})));
    stream.attempt(Outcome::Status(500));
    rig.host.set_property("upstream/request_attempt_count", &2u64.to_le_bytes());
    let body = chat(json!({"model": "a-model"}));
    rig.host.request_body.replace(body.clone().into_bytes());
    let mut attempt = crate::attempt::Attempt::new(rig.gateway.clone(), rig.in_force);
    for input in [
        Input::RequestHeaders { end: false },
        Input::RequestBody { size: body.len(), end: false },
        Input::RequestTrailers,
    ] {
        let step = attempt.handle(input, &rig.host);
        rig.host.apply(step.effects);
    }
    assert_eq!(*rig.host.request_body.borrow(), chat(json!({"model": "b-model"})).into_bytes());
}
