//! Inputs in every order that Envoy may give them: one row and one settlement, nothing left hanging.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::json;

use super::drive::*;
use crate::host::{Input, Verdict};

/// The attempt that was under way is in the record, whoever failed before.
#[test]
fn the_client_goes_away_before_the_answer() {
    let rig = Rig::new(&policy());
    for (failed, entity) in [(0, "a"), (1, "b"), (2, "c"), (3, "c")] {
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        for _ in 0..failed {
            rig.wait_ms(10);
            stream.attempt(Outcome::Reset(30));
        }
        if failed == 1 {
            // It is the next attempt that tells of the first.
            stream.begin_attempt();
        }
        rig.wait_ms(5);
        let row = stream.row();
        assert_eq!(row["row"]["status_code"], 499);
        assert_eq!(row["row"]["output_token_count"], 0);
        assert_eq!(row["detail"]["complete"], false);
        assert_eq!(row["detail"]["served_entity_name"], entity);
        let attempts = row["detail"]["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 3.min(failed + 1), "{attempts:?}");
        if failed < 3 {
            let last =
                json!({"served_entity_name": entity, "status_code": null, "error": "client_gone", "latency_ms": 5});
            assert_eq!(attempts[failed], last);
        }
    }
}

/// A body in pieces, ended by its last piece, by an empty one, or by trailers; and trailers with no body at all.
#[test]
fn a_body_ends_in_every_way() {
    let rig = Rig::new(&policy());
    let key = [("authorization", "Bearer alice-key"), ("transfer-encoding", "chunked")];
    let body = chat(json!({}));
    for way in 0..4 {
        let mut stream = rig.open(&key, false);
        assert_eq!(stream.verdict, Verdict::Pause);
        for size in [1, body.len() / 2] {
            stream.body(&body[..size], false);
            assert_eq!(stream.verdict, Verdict::Pause);
        }
        match way {
            0 => stream.body(&body, true),
            1 => {
                stream.body(&body, false);
                stream.body(&body, true);
            }
            2 => {
                stream.body(&body, false);
                stream.trailers();
            }
            _ => {
                stream = rig.open(&key, false);
                stream.trailers();
                assert_eq!(stream.reply().status, 400);
                stream.row();
                continue;
            }
        }
        let received = stream.begin_attempt().1;
        assert_eq!(received.body, chat(json!({"model": "a-model"})), "way {way}");
        stream.answered();
        assert_eq!(stream.row()["row"]["status_code"], 200);
    }
    let mut stream = rig.open(&key, false);
    stream.body("", true);
    assert_eq!(stream.reply().status, 400);
}

/// Trailers are no part of a provider's API. Those of a refused request go nowhere anyhow.
#[test]
fn trailers_are_taken_off_what_is_sent() {
    let rig = Rig::new(&policy());
    let key = [("authorization", "Bearer alice-key"), ("transfer-encoding", "chunked")];
    let removed = || rig.host.calls.borrow().get("remove_request_trailers").copied();
    for (body, expected) in [(chat(json!({})), Some(1)), ("hello".to_owned(), None)] {
        rig.host.calls.take();
        let mut stream = rig.open(&key, false);
        stream.body(&body, false);
        stream.trailers();
        assert_eq!((stream.is_sent(), removed()), (expected.is_some(), expected), "{body}");
        stream.input(Input::Done);
    }
}

/// Every input in every phase, twice: nothing panics, nothing goes on that was refused, and there is one row at most.
#[test]
fn any_input_in_any_phase() {
    let inputs = [
        Input::RequestHeaders { end: false },
        Input::RequestHeaders { end: true },
        Input::RequestBody { size: 0, end: true },
        Input::RequestBody { size: 9, end: false },
        Input::RequestBody { size: usize::MAX, end: true },
        Input::RequestTrailers,
        Input::ResponseHeaders { end: true },
        Input::ResponseHeaders { end: false },
        Input::ResponseBody { size: 0, end: true },
        Input::ResponseBody { size: usize::MAX, end: false },
        Input::ResponseTrailers,
        Input::Log,
        Input::Done,
    ];
    let rig = Rig::new(&policy());
    for first in inputs {
        for second in inputs {
            for third in inputs {
                let mut stream = rig.chat(DATABRICKS, &chat(json!({})));
                let pairs = [(":status", &b"400"[..])];
                rig.host.response_headers.replace(crate::headers::Headers::from_pairs(pairs));
                let order = [first, second, third, Input::Log, Input::Done];
                order.iter().for_each(|input| stream.input(*input));
                assert_eq!(rig.host.rows.take().len(), 1, "{order:?}");
                let mut refused = rig.send(&[], "");
                [first, second, third].iter().for_each(|input| refused.input(*input));
                let ended = [first, second, third].iter().any(|input| matches!(input, Input::Log | Input::Done));
                assert!(ended || !refused.is_sent());
                rig.host.rows.take();
            }
        }
    }
}
