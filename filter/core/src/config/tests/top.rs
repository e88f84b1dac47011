//! The document itself and the policy's own keys.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::limits::rls::OnError;

#[test]
fn defaults() {
    let compiled = compile(&good()).unwrap();
    assert_eq!(compiled.warnings, []);
    let config = compiled.config;
    assert_eq!(config.account_id.as_deref(), Some("acme"));
    assert_eq!(config.workspace_id, None);
    assert_eq!(config.scope, Scope::default());
    assert_eq!((config.unmatched, config.unmatched_cluster), (Unmatched::Deny, None));
    assert_eq!(config.max_request_bytes, 16_777_216);
    assert_eq!(config.environment, ["KEY"]);
    assert!(!config.identity.allow_anonymous);
    let logging = config.logging.unwrap();
    assert_eq!(logging.cluster, Cluster::Rendered("weir-records".to_owned()));
    assert_eq!((logging.authority.as_str(), logging.path.as_str()), ("127.0.0.1:9902", "/v1/records"));
    assert_eq!((logging.flush_interval_ms, logging.max_batch_bytes), (1_000, 262_144));
    assert_eq!((logging.max_buffered_bytes, logging.authorization), (8_388_608, None));
}

#[test]
fn values() {
    let config = compiled(&[
        ("/scope", json!({"hosts": ["AI.example.com"]})),
        ("/unmatched", json!("pass")),
        ("/unmatched_cluster", json!("web")),
        ("/logging/cluster", json!("collector")),
        ("/logging/token", json!("{{secrets/weir/records}}")),
        ("/logging/format", json!("ndjson")),
        ("/max_request_bytes", json!(1.6777216e7)),
        ("/enforcement", json!("enforce")),
        ("/limit_conflict", json!("strictest")),
        ("/accounting", json!("after_response")),
        ("/limits_store", json!("local")),
    ]);
    assert_eq!(config.scope.hosts, ["ai.example.com"]);
    assert_eq!(config.unmatched, Unmatched::Pass { cluster: "web".to_owned() });
    assert_eq!(config.unmatched_cluster.as_deref(), Some("web"));
    assert_eq!(config.max_request_bytes, 16_777_216);
    assert_eq!(config.environment, ["WEIR_SECRET_WEIR_RECORDS", "KEY"]);
    let logging = config.logging.unwrap();
    assert_eq!(logging.cluster, Cluster::Existing("collector".to_owned()));
    assert_eq!(logging.authorization.unwrap().expose(), "Bearer value-of-WEIR_SECRET_WEIR_RECORDS");
}

#[test]
fn hash_is_of_the_document() {
    // printf '{"endpoints":[]}' | sha256sum would do for any document; two spellings are two documents.
    let hash =
        |text: &str| Config::from_slice(text.as_bytes(), &environment, MissingSecrets::Error).unwrap().config.hash;
    let text = good().to_string();
    assert_eq!(hash(&text).len(), 16);
    assert_eq!(hash(&text), hash(&text));
    assert_ne!(hash(&text), hash(&format!("{text} ")));
}

#[test]
fn not_a_policy() {
    for (text, expected) in [
        ("", "the policy: found no JSON (EOF while parsing a value at line 1 column 0), expected a JSON object"),
        ("{", "the policy: found no JSON (EOF while parsing an object at line 1 column 1), expected a JSON object"),
        ("[]", "the policy: found a list, expected an object"),
        ("{}", "endpoints: found nothing, expected a list of endpoints"),
        (r#"{"endpoints": null}"#, "endpoints: found `null`, expected a list"),
        (r#"{"endpoints": []}"#, "endpoints: found an empty list, expected at least one entry"),
    ] {
        let invalid = Config::from_slice(text.as_bytes(), &environment, MissingSecrets::Error).unwrap_err();
        assert_eq!(lines(&invalid.problems), [expected], "{text}");
    }
    let deep = "[".repeat(100_000);
    assert!(Config::from_slice(deep.as_bytes(), &environment, MissingSecrets::Error).is_err());
}

#[test]
fn keys_that_stand_twice() {
    let policy = good().to_string().replacen("{\"account_id\"", "{\"scope\":{},\"scope\":{},\"account_id\"", 1);
    let invalid = Config::from_slice(policy.as_bytes(), &environment, MissingSecrets::Error).unwrap_err();
    assert_eq!(lines(&invalid.problems), ["scope: found the key 2 times, expected it once"]);
}

#[test]
fn errors() {
    check_errors(&[
        (
            &[("/max_request_bytes", json!(-5)), ("/unmatched", json!("allow"))],
            &[
                "unmatched: found `allow`, expected one of `deny`, `pass`",
                "max_request_bytes: found `-5`, expected a whole number from 1 to 1073741824",
            ],
        ),
        (
            &[("/acount_id", json!(1))],
            &["acount_id: found an unknown key, expected a known one: did you mean `account_id`?"],
        ),
        (&[("/scope", json!({"paths": []}))], &["scope.paths: found an unknown key, expected `hosts`"]),
        (
            &[("/scope", json!({"hosts": ["a:80", "", 5, "https://a", "*.a.b"]}))],
            &[
                "scope.hosts[0]: found `a:80`, expected a host name without scheme, port and path",
                "scope.hosts[1]: found ``, expected a text that is not empty",
                "scope.hosts[2]: found `5`, expected a text that is not empty",
                "scope.hosts[3]: found `https://a`, expected a host name without scheme, port and path",
                "scope.hosts[4]: found `*.a.b`, expected a host name without scheme, port and path",
            ],
        ),
        (&[("/scope", json!({"hosts": []}))], &["scope.hosts: found an empty list, expected at least one entry"]),
        (
            &[("/unmatched", json!("pass"))],
            &["unmatched_cluster: found nothing, expected the cluster that `unmatched: pass` leads to"],
        ),
        (&[("/unmatched_cluster", json!("web"))], &[]),
        (
            &[("/unmatched_cluster", json!("a b"))],
            &["unmatched_cluster: found `a b`, expected the name of a cluster: visible ASCII, at most 255 characters"],
        ),
        (&[("/priority", json!(1))], &["priority: found `1`, expected no such key: `priority` is not built yet"]),
        (
            &[(
                "/logging",
                json!({"url": "http://c/", "max_batch_bytes": 2048, "max_buffered_bytes": 2047, "format": "text"}),
            )],
            &[
                "logging.format: found `text`, expected one of `ndjson`, `otlp`",
                "logging: found `max_batch_bytes` (2048) above `max_buffered_bytes` (2047), expected a buffer that holds a \
                 batch",
            ],
        ),
        (&[("/logging", json!({}))], &["logging.url: found nothing, expected the URL that records are posted to"]),
        (
            &[("/logging/url", json!("http://user:pass@host/"))],
            &["logging.url: found a value that is not shown here, expected a URL without user, password, query and \
                 fragment"],
        ),
        (
            &[("/logging/url", json!("collector:9902"))],
            &["logging.url: found `collector:9902`, expected a URL: http:// or https://, a host, and if need be a \
                 port and a path"],
        ),
    ]);
}

#[test]
fn wrong_modes() {
    check_errors(&[
        (
            &[("/enforcement", json!("off")), ("/limit_conflict", json!("loosest"))],
            &[
                "enforcement: found `off`, expected one of `enforce`, `shadow`",
                "limit_conflict: found `loosest`, expected one of `strictest`, `databricks`",
            ],
        ),
        (
            &[("/accounting", json!("reserve")), ("/reserve", json!({"default_max_tokens": 0, "most": 1}))],
            &[
                "reserve.default_max_tokens: found `0`, expected a whole number of at least 1",
                "reserve.most: found an unknown key, expected one of `default_max_tokens`, `cap`",
            ],
        ),
        (
            &[("/reserve", json!({"cap": 1}))],
            &["reserve: found a `cap` of 1, expected at least `default_max_tokens`, which is 1024"],
        ),
        (&[("/limits_store", json!("redis"))], &["limits_store: found `redis`, expected `local`"]),
    ]);
}

#[test]
fn shared_limits() {
    let config = compiled(&[("/limits_store", json!({"rls": {"url": "http://limits.example.com:8081"}}))]);
    let rls = config.rls.unwrap();
    assert_eq!(rls.cluster, Cluster::Rendered("weir-limits".to_owned()));
    assert_eq!(rls.upstream.map(|upstream| (upstream.host, upstream.port)), Some(("limits.example.com".into(), 8081)));
    assert_eq!((rls.domain.as_str(), rls.timeout_ms, rls.on_error), ("weir", 20, OnError::Local));
    let all = json!({"rls": {"cluster": "engine", "domain": "prod", "timeout_ms": 5, "on_error": "deny"}});
    let rls = compiled(&[("/limits_store", all)]).rls.unwrap();
    assert_eq!((rls.cluster, rls.upstream), (Cluster::Existing("engine".to_owned()), None));
    assert_eq!((rls.domain.as_str(), rls.timeout_ms, rls.on_error), ("prod", 5, OnError::Deny));

    let with = |rls: Value| ("/limits_store", json!({ "rls": rls }));
    let limits = "/endpoints/0/ai_gateway/rate_limits";
    check_errors(&[
        (
            &[with(json!({}))],
            &[
                "limits_store.rls: found neither `url` nor `cluster`, expected the engine's `url`, or the name of a `cluster` \
               that leads to it",
            ],
        ),
        (
            &[("/limits_store", json!({}))],
            &["limits_store.rls: found nothing, expected `local`, or an object with `rls`"],
        ),
        (
            &[with(json!({"url": "http://e/rls", "timeout_ms": 0, "on_error": "block"}))],
            &[
                "limits_store.rls.url: found `http://e/rls`, expected a URL without a path: the protocol fixes it",
                "limits_store.rls.timeout_ms: found `0`, expected a whole number from 1 to 10000",
                "limits_store.rls.on_error: found `block`, expected one of `local`, `allow`, `deny`",
            ],
        ),
        (
            &[with(json!({"cluster": "c".repeat(126)}))],
            &[&format!(
                "limits_store.rls.cluster: found `{}…`, expected a name of at most 125 characters",
                "c".repeat(80)
            )],
        ),
        (
            &[
                with(json!({"cluster": "engine"})),
                (
                    limits,
                    json!([{"tokens": 4_294_967_295_u64, "renewal_period": "day"},
                                {"tokens": 4_294_967_296_u64, "renewal_period": "month"}]),
                ),
            ],
            &[
                "endpoints[0].ai_gateway.rate_limits[1]: found a `tokens` of 4294967296 tokens, expected at most 4294967295 \
               with `limits_store.rls`: its protocol has no larger number",
            ],
        ),
    ]);
}

#[test]
fn warnings() {
    check_warnings(&[
        (
            &[("/identity", json!({}))],
            &["the policy: found no `identity.sources`, expected at least one, or `identity.anonymous: allow`: every \
                 request is refused (401)"],
        ),
        (&[("/identity", json!({"anonymous": "allow"}))], &[]),
    ]);
}
