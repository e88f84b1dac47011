//! `limits_store.rls` through whole exchanges: the request waits for the engine, its verdict decides, and where there is none,
//! `on_error` does.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::drive::*;
use crate::{
    host::{Input, Verdict},
    metrics::Metric,
};

/// gRPC's `DEADLINE_EXCEEDED`.
const LATE: u32 = 4;

fn rig(on_error: &str, limits: Value) -> Rig {
    let mut policy = policy();
    policy["limits_store"] = json!({"rls": {"url": "http://127.0.0.1:8081", "on_error": on_error}});
    policy["endpoints"][0]["ai_gateway"]["rate_limits"] = limits;
    Rig::new(&policy)
}

fn calls_and_tokens() -> Value {
    json!([{"key": "user", "calls": 2, "tokens": 100, "renewal_period": "minute"}])
}

/// Of two descriptors: code, limit and what remains; 30 seconds to go.
fn answer(code: u8, statuses: &[(u8, u8, u8)]) -> Vec<u8> {
    let mut out = vec![0x08, code];
    for (code, limit, remaining) in statuses {
        let status = [0x08, *code, 0x12, 2, 0x08, *limit, 0x18, *remaining, 0x22, 2, 0x08, 30];
        out.extend([0x12, 12]);
        out.extend(status);
    }
    out
}

#[test]
fn the_request_waits_and_goes_on_as_it_would_have() {
    let rig = rig("deny", calls_and_tokens());
    let mut stream = rig.chat(OPENAI, &chat(json!({})));
    assert_eq!(stream.verdict, Verdict::Pause);
    assert_eq!(rig.host.asked.borrow().len(), 1);
    assert!(rig.host.request_headers.borrow().value("authorization").is_some_and(|key| key == b"Bearer alice-key"));
    stream.verdict(0, &answer(1, &[(1, 2, 1), (1, 100, 60)]));
    assert!(stream.is_sent());
    let seen = stream.answered();
    assert_eq!(seen.header("x-ratelimit-remaining-requests"), Some("1"));
    assert_eq!(seen.header("x-ratelimit-remaining-tokens"), Some("60"));
    assert_eq!(seen.header("x-ratelimit-reset-requests"), Some("30s"));
    stream.input(Input::Log);
    // 7 + 5 tokens, of both counters none here.
    let reported = rig.host.reported.borrow();
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].amount, 12);
    assert!(!rig.host.data.borrow().keys().any(|key| key.starts_with("weir.e.")), "counted elsewhere");
}

#[test]
fn a_refusal_says_which_limit_and_until_when() {
    let rig = rig("local", calls_and_tokens());
    for (statuses, code, remaining) in [
        ([(2, 2, 0), (1, 100, 60)], "rate_limit_exceeded", "0"),
        // A look at tokens that are used up: the engine says OK, since nothing was added.
        ([(1, 2, 1), (1, 100, 0)], "rate_limit_exceeded", "1"),
    ] {
        let mut stream = rig.chat(OPENAI, &chat(json!({})));
        stream.verdict(0, &answer(1, &statuses));
        let seen = stream.reply();
        stream.input(Input::Log);
        assert_eq!((seen.status, seen.json()["error"]["code"].as_str()), (429, Some(code)));
        assert_eq!(seen.header("retry-after"), Some("30"));
        assert_eq!(seen.header("x-ratelimit-remaining-requests"), Some(remaining));
    }
    assert_eq!(rig.counted(Metric::LimitsRefused), 2);
    let rows = rig.rows();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row["detail"]["limit"] == "user per minute" && row["row"]["status_code"] == 429));
    assert!(rig.host.reported.borrow().is_empty());
}

#[test]
fn without_an_answer_on_error_decides() {
    for (on_error, statuses) in [("local", [200, 200, 429]), ("allow", [200; 3]), ("deny", [503; 3])] {
        let rig = rig(on_error, calls_and_tokens());
        for (n, expected) in statuses.into_iter().enumerate() {
            let mut stream = rig.chat(OPENAI, &chat(json!({})));
            match n {
                0 => stream.verdict(LATE, &[]),
                1 => stream.verdict(0, &[0xff]),
                _ => stream.verdict(0, &answer(0, &[])),
            }
            let status = if stream.is_sent() { stream.answered().status } else { stream.reply().status };
            assert_eq!(status, expected, "{on_error}, request {n}");
            if expected == 503 {
                assert_eq!(stream.reply().header("retry-after"), Some("1"));
            }
        }
        assert_eq!(rig.counted(Metric::RlsFailed), 3);
        assert!(rig.host.reported.borrow().is_empty(), "{on_error}: the engine did not admit them");
    }
}

/// What refuses nobody when it is counted refuses nobody when it cannot be.
#[test]
fn shadow_limits_without_an_answer_refuse_nobody() {
    for (modes, expected) in [(["shadow", "shadow"], 200), (["shadow", "enforce"], 503)] {
        let limit =
            |mode: &str, period: &str| json!({"key": "user", "calls": 2, "renewal_period": period, "mode": mode});
        let rig = rig("deny", json!([limit(modes[0], "minute"), limit(modes[1], "hour")]));
        for n in 0..6 {
            let mut stream = rig.chat(OPENAI, &chat(json!({})));
            // From the sixth on the circuit is open, and nobody is asked.
            if n < 5 {
                stream.verdict(LATE, &[]);
            }
            let status = if stream.is_sent() { stream.answered().status } else { stream.reply().status };
            assert_eq!(status, expected, "{modes:?}, request {n}");
        }
    }
}

#[test]
fn an_engine_that_is_down_is_not_asked_each_time() {
    let rig = rig("allow", calls_and_tokens());
    let asked = || rig.host.asked.borrow().len();
    for _ in 0..5 {
        rig.chat(OPENAI, &chat(json!({}))).verdict(LATE, &[]);
    }
    assert_eq!(rig.host.lines.borrow().len(), 1, "{:?}", rig.host.lines);
    for _ in 0..10 {
        assert!(rig.chat(OPENAI, &chat(json!({}))).is_sent(), "nothing to wait for");
    }
    assert_eq!((asked(), rig.counted(Metric::RlsSkipped)), (5, 10));
    rig.wait_ms(500);
    let mut probe = rig.chat(OPENAI, &chat(json!({})));
    assert!(rig.chat(OPENAI, &chat(json!({}))).is_sent(), "one probe at a time");
    probe.verdict(0, &answer(1, &[(1, 2, 1), (1, 100, 60)]));
    rig.chat(OPENAI, &chat(json!({})));
    assert_eq!(asked(), 7);
    assert!(rig.host.lines.borrow()[1].contains("answers again"), "{:?}", rig.host.lines);
}

#[test]
fn who_is_gone_is_recorded_and_his_answer_changes_nothing() {
    let rig = rig("local", calls_and_tokens());
    let mut stream = rig.chat(OPENAI, &chat(json!({})));
    stream.input(Input::Log);
    stream.verdict(0, &answer(1, &[(1, 2, 1), (1, 100, 60)]));
    assert_eq!(stream.verdict, Verdict::Pause, "nothing is resumed");
    drop(stream);
    let rows = rig.rows();
    assert_eq!((rows.len(), rows[0]["row"]["status_code"].as_u64()), (1, Some(499)));
}

#[test]
fn who_is_under_no_limit_does_not_wait() {
    let rig = rig("deny", json!([{"key": "user", "principal": "bob", "calls": 2, "renewal_period": "minute"}]));
    assert!(rig.chat(OPENAI, &chat(json!({}))).is_sent());
    assert!(rig.host.asked.borrow().is_empty());
}

#[test]
fn trailers_do_not_go_on_before_the_verdict() {
    let rig = rig("deny", calls_and_tokens());
    let mut stream = rig.open(&[("authorization", "Bearer alice-key")], false);
    stream.body(&chat(json!({})), false);
    stream.trailers();
    assert_eq!(stream.verdict, Verdict::Pause);
    assert_eq!(rig.host.calls.borrow().get("remove_request_trailers"), Some(&1));
    stream.verdict(0, &answer(1, &[(1, 2, 1), (1, 100, 60)]));
    assert!(stream.is_sent());
}

fn own_limits(rig: &Rig) -> Stream<'_> {
    rig.send(&[(":method", "GET"), (":path", "/weir/v1/limits"), ("authorization", "Bearer alice-key")], "")
}

/// How the two counters of [`calls_and_tokens`] stand: used, remaining, and the seconds until nothing is used.
fn standing(seen: &Seen) -> Vec<[Value; 3]> {
    let rows = seen.json()["data"].as_array().cloned().unwrap();
    assert!(rows.iter().all(|row| row["reset_time"].is_null() == row["reset_seconds"].is_null()));
    rows.iter().map(|row| ["used", "remaining", "reset_seconds"].map(|member| row[member].clone())).collect()
}

#[test]
fn ones_own_limits_are_looked_at_in_the_engine() {
    let rig = rig("local", calls_and_tokens());
    let mut stream = own_limits(&rig);
    assert_eq!(stream.verdict, Verdict::Pause);
    let probe = rig.host.asked.borrow()[0].clone();
    assert_eq!(probe, *b"\x0a\x04weir\x12\x10\x0a\x0c\x0a\x04weir\x12\x04look\x1a\x00", "about no limit");
    stream.verdict(0, &answer(1, &[(1, 0, 0)]));
    assert_eq!(stream.verdict, Verdict::Pause);
    let question = rig.host.asked.borrow()[1].clone();
    let names = |name: &str| question.windows(name.len()).filter(|part| *part == name.as_bytes()).count();
    assert_eq!((names("alice"), names("bob"), names("\x1a\x00")), (2, 0, 2), "hers alone, and nothing is charged");
    stream.verdict(0, &answer(1, &[(1, 2, 1), (2, 100, 0)]));
    let seen = stream.reply();
    assert_eq!(seen.status, 200);
    assert_eq!(json!(standing(&seen)), json!([[1, 1, 30], [100, 0, 30]]));
    stream.input(Input::Log);
    assert!(rig.rows().is_empty(), "not recorded");
}

#[test]
fn what_an_engine_does_not_tell_is_null() {
    let nothing = json!([[null, null, null], [null, null, null]]);
    let whole = answer(1, &[(1, 2, 1), (1, 100, 60)]);
    // What comes of the probe, and of the look.
    type Answered<'a> = (u32, &'a [u8]);
    let cases: [(&str, Answered<'_>, Option<Answered<'_>>); 6] = [
        ("Limitador", (0, &answer(1, &[])), None),
        ("no answer", (LATE, &[]), None),
        ("not of the protocol", (0, &[0xff]), None),
        ("gone in between", (0, &answer(1, &[(1, 0, 0)])), Some((LATE, &[]))),
        (
            "the domain is unknown",
            (0, &answer(1, &[(1, 0, 0)])),
            Some((0, &[0x08, 1, 0x12, 2, 0x08, 1, 0x12, 2, 0x08, 1])),
        ),
        ("too many statuses", (0, &answer(1, &[(1, 0, 0)])), Some((0, &[&whole[..], &whole[2..]].concat()))),
    ];
    for (name, probe, look) in cases {
        let rig = rig("local", calls_and_tokens());
        let mut stream = own_limits(&rig);
        for (status, bytes) in [Some(probe), look].into_iter().flatten() {
            stream.verdict(status, bytes);
        }
        let seen = stream.reply();
        assert_eq!(json!(standing(&seen)), nothing, "{name}");
        assert_eq!(seen.json()["data"][0]["limit"], 2, "{name}");
        assert_eq!(rig.counted(Metric::RlsFailed), u64::from(name != "Limitador"), "{name}");
        assert!(rig.host.data.borrow().keys().all(|key| !key.starts_with("weir.u.")), "{name}");
    }
}

#[test]
fn an_engine_that_is_down_is_not_looked_at() {
    let rig = rig("allow", calls_and_tokens());
    for _ in 0..5 {
        own_limits(&rig).verdict(LATE, &[]);
    }
    let seen = own_limits(&rig).reply();
    assert!(standing(&seen)[0][0].is_null());
    assert_eq!((rig.host.asked.borrow().len(), rig.counted(Metric::RlsSkipped)), (5, 1));
}

#[test]
fn who_does_not_wait_for_the_look_gets_none() {
    let rig = rig("local", calls_and_tokens());
    for last in [Input::Log, Input::Done, Input::ResponseHeaders { end: true }] {
        let mut stream = own_limits(&rig);
        stream.input(last);
        stream.verdict(0, &answer(1, &[(1, 0, 0)]));
        assert!(rig.host.reply.borrow().is_none());
    }
    assert!(rig.rows().is_empty());
}

#[test]
fn who_is_under_no_limit_is_told_so_at_once() {
    let rig = rig("deny", json!([{"key": "user", "principal": "bob", "calls": 2, "renewal_period": "minute"}]));
    assert_eq!(own_limits(&rig).reply().json(), json!({"object": "list", "data": []}));
}
