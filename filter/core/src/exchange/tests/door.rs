//! What never reaches a provider, and what an access log sees again.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::json;

use super::{drive::*, route};
use crate::{host::Verdict, paths::CLUSTER_HEADER};

/// Everything that a client may try; of each, whether a provider sees it.
const CLIENT_HEADERS: &[(&str, &str, bool)] = &[
    ("accept", "application/json", true),
    ("content-type", "application/json", true),
    ("openai-beta", "assistants=v2", true),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
    ("tracestate", "x=1", true),
    ("accept-encoding", "gzip", false),
    ("authorization", "Bearer alice-key", false),
    ("baggage", "user=alice", false),
    ("cookie", "session=1", false),
    ("forwarded", "for=1.2.3.4", false),
    ("openai-organization", "org-evil", false),
    ("openai-project", "p", false),
    ("proxy-authorization", "Basic x", false),
    ("te", "trailers", false),
    ("transfer-encoding", "chunked", false),
    ("user-agent", "OpenAI/Python", false),
    ("x-api-key", "alice-key", false),
    ("x-envoy-hedge-on-per-try-timeout", "true", false),
    ("x-envoy-internal", "true", false),
    ("x-envoy-max-retries", "99", false),
    ("x-envoy-original-dst-host", "10.0.0.1:80", false),
    ("x-envoy-retriable-status-codes", "200", false),
    ("x-envoy-peer-metadata", "mesh", false),
    ("x-envoy-retry-on", "5xx", false),
    ("x-envoy-upstream-alt-stat-name", "evil", false),
    ("x-envoy-upstream-rq-per-try-timeout-ms", "1", false),
    ("x-envoy-upstream-rq-timeout-ms", "1", false),
    ("x-forwarded-client-cert", "By=x", false),
    ("x-forwarded-for", "1.2.3.4", false),
    ("x-forwarded-host", "evil", false),
    ("x-groups", "research", false),
    ("x-real-ip", "1.2.3.4", false),
    ("x-request-id", "r-1", false),
    ("x-stainless-lang", "python", false),
    ("x-user", "mallory", false),
    ("x-weir-cluster", "evil", false),
    ("x-weir-plan", "evil", false),
    ("x-weir-usage-context", "{\"team\":\"a\"}", false),
];

#[test]
fn a_provider_sees_its_own_api_alone() {
    let rig = Rig::new(&policy());
    let headers: Vec<_> = CLIENT_HEADERS.iter().map(|(name, value, _)| (*name, *value)).collect();
    let mut stream = rig.send(&headers, &chat(json!({})));
    let received = stream.begin_attempt().1;
    for (name, value, passes) in CLIENT_HEADERS {
        let same = received.header(name) == Some(value);
        assert_eq!(same, *passes, "{name}: {:?}", received.header(name));
    }
    let set = [
        (":path", "/a/v1/chat/completions"),
        (":authority", "a.example.com"),
        ("authorization", "Bearer secret-a"),
        ("openai-organization", "org-a"),
        ("accept-encoding", "identity"),
        ("x-envoy-max-retries", "2"),
        ("x-envoy-upstream-rq-per-try-timeout-ms", "297000"),
    ];
    for (name, value) in set {
        assert_eq!(received.header(name), Some(value), "{name}");
    }
    assert_eq!(route::cluster(&rig.host).as_deref(), Some("weir-chat-a.chain-86822b4c"));
    let own = |name: &str| {
        name.starts_with(':')
            || name == "content-length"
            || set.iter().any(|(n, _)| *n == name)
            || CLIENT_HEADERS.iter().any(|(n, _, passes)| *n == name && *passes)
    };
    let more: Vec<_> = received.headers.iter().filter(|(name, _)| !own(name)).collect();
    assert!(more.is_empty(), "{more:?}");
}

#[test]
fn headers_that_stand_twice_are_gone_twice() {
    let rig = Rig::new(&policy());
    let twice =
        [("x-api-key", "alice-key"), ("cookie", "a"), ("cookie", "b"), ("x-request-id", "1"), ("x-request-id", "2")];
    let mut stream = rig.send(&twice, &chat(json!({})));
    let received = stream.begin_attempt().1;
    assert_eq!((received.header("cookie"), received.header("x-request-id")), (None, None));
    stream.answered();
    assert_eq!(stream.row()["detail"]["request_id"], "1");
}

/// What an access log can read of the request once the answer is there, and when there is none.
#[test]
fn access_logs_see_the_clients_request() {
    let rig = Rig::new(&policy());
    let headers = [
        (":path", "/v1/chat/completions?a=b"),
        ("authorization", "Bearer alice-key"),
        ("user-agent", "curl"),
        ("x-request-id", "r-1"),
    ];
    for is_answered in [true, false] {
        let mut stream = rig.send(&headers, &chat(json!({})));
        stream.begin_attempt();
        if is_answered {
            stream.answered();
        }
        stream.row();
        let logged = rig.host.request_headers.borrow().clone();
        for (name, value) in [
            (":path", Some("/v1/chat/completions?a=b")),
            (":authority", Some("ai.example.com")),
            ("user-agent", Some("curl")),
            ("x-request-id", Some("r-1")),
            ("authorization", None),
            ("openai-organization", None),
        ] {
            assert_eq!(logged.text(name), value, "{name}, answered: {is_answered}");
        }
    }
}

#[test]
fn the_key_says_who_calls_whatever_a_header_says() {
    let rig = Rig::new(&policy());
    let key = ("authorization", "Bearer bob-key");
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let rows: &[Row<'_>] = &[
        (&[key, ("x-user", "alice")], "192.0.2.1:1", "bob"),
        (&[key, ("x-user", "alice")], "10.0.0.1:1", "bob"),
        (&[("x-user", "carol"), ("x-groups", "a, b")], "10.0.0.1:1", "carol"),
        (&[("x-user", "carol")], "192.0.2.1:1", ""),
        (&[("authorization", "Bearer nobody"), ("x-user", "carol")], "10.0.0.1:1", ""),
    ];
    for (headers, peer, who) in rows {
        let mut stream = rig.open_from(peer, headers, false);
        if who.is_empty() {
            assert_eq!(stream.reply().status, 401, "{headers:?} from {peer}");
        } else {
            stream.body(&chat(json!({})), true);
            stream.answered();
        }
        let requester = stream.row()["row"]["requester"].clone();
        assert_eq!(requester.as_str().unwrap_or_default(), *who, "{headers:?} from {peer}");
    }
}

#[test]
fn outside_the_scope_costs_one_read_and_names_no_cluster() {
    let mut policy = policy();
    policy["scope"] = json!({"hosts": ["ai.example.com"]});
    let rig = Rig::new(&policy);
    let rows = [
        (":path", "/v2/other"),
        (":path", "/v1/chat/completions/"),
        (":path", "/serving-endpoints//invocations"),
        (":authority", "other.example.com"),
        (":authority", ""),
    ];
    for (name, value) in rows {
        rig.host.calls.take();
        let mut stream = rig.send(&[(name, value), ("x-weir-cluster", "evil")], "not JSON");
        stream.answer(&[(":status", "500")], &["x"]);
        assert_eq!(stream.verdict, Verdict::Continue);
        drop(stream);
        let calls = rig.host.calls.take();
        assert_eq!(calls, [("request_headers", 1), ("remove_request_header", 1)].into(), "{name}: {value}");
        assert_eq!(rig.host.request_headers.borrow().value("x-weir-cluster"), None);
        assert_eq!(rig.rows(), [] as [serde_json::Value; 0]);
    }
    for authority in ["ai.example.com", "AI.example.com:8080"] {
        assert_eq!(rig.send(&[(":authority", authority)], "").reply().status, 401, "{authority}");
    }
}

#[test]
fn what_is_unknown_may_pass() {
    let mut policy = policy();
    policy["unmatched"] = json!("pass");
    policy["unmatched_cluster"] = json!("other");
    let rig = Rig::new(&policy);
    let by_model = json!({"model": "unheard-of", "messages": [], "usage_context": {"a": "b"}}).to_string();
    let by_path = "/serving-endpoints/unheard-of/invocations";
    for (path, body) in [(OPENAI, &*by_model), (by_path, "anything")] {
        let headers: Vec<_> = CLIENT_HEADERS.iter().map(|(name, value, _)| (*name, *value)).collect();
        let mut stream = rig.send(&[&[(":path", path)][..], &headers].concat(), body);
        let received = Received {
            headers: rig
                .host
                .request_headers
                .borrow()
                .iter()
                .map(|(n, v)| (n.into(), String::from_utf8_lossy(v).into()))
                .collect(),
            body: String::from_utf8(rig.host.request_body.borrow().clone()).unwrap(),
        };
        assert!(stream.is_sent());
        assert_eq!(received.body, body);
        for (name, value, _) in CLIENT_HEADERS {
            let expected = match *name {
                CLUSTER_HEADER => Some("other"),
                "x-envoy-max-retries" => Some("0"),
                "x-envoy-peer-metadata" | "x-envoy-internal" => Some(*value),
                name if name.starts_with("x-weir-") || name.starts_with("x-envoy-") => None,
                _ => Some(*value),
            };
            assert_eq!(received.header(name), expected, "{name} of {path}");
        }
        assert_eq!(stream.answer(&[(":status", "401"), ("server", "s")], &["no"]).headers.len(), 2);
        drop(stream);
        assert_eq!(rig.rows(), [] as [serde_json::Value; 0]);
    }
    // Who calls must be known even so.
    assert_eq!(rig.send(&[], &by_model).reply().status, 401);
}
