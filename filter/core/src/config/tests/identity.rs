//! `identity`.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn jwt() -> Value {
    json!({"user": "realm.email", "groups": "groups", "issuer": "https://idp", "audiences": ["weir"], "jwks_file": "j.json"})
}

#[test]
fn all_sources() {
    let config = compiled(&[
        (
            "/identity/sources/0/api_keys/-",
            json!({"sha256": "Ab".repeat(32), "service_principal": "job", "groups": ["g"]}),
        ),
        ("/identity/sources/-", json!({"jwt": jwt()})),
        ("/identity/sources/-", json!({"mtls": {"user": "uri_san"}})),
        ("/identity/sources/-", json!({"workload": {}})),
        ("/identity/sources/-", json!({"workload": {"trust_domain": "corp.example"}})),
        ("/identity/sources/-", json!({"header": {"user": "X-User", "trusted_from": ["127.0.0.0/8", "::1"]}})),
        ("/identity/groups_of", json!({"bob@example.com": ["interns"]})),
        ("/identity/anonymous", json!("allow")),
    ]);
    let identity = config.identity;
    assert!(identity.allow_anonymous);
    assert_eq!(identity.groups_of["bob@example.com"], ["interns"]);
    let [
        Source::ApiKeys(keys),
        Source::Jwt(jwt),
        Source::Mtls { attribute },
        Source::Workload { trust_domain: usual },
        Source::Workload { trust_domain },
        Source::Header { user, groups, trusted_from },
    ] = identity.sources.as_slice()
    else {
        panic!("{:?}", identity.sources)
    };
    let job = KeyOwner { principal: Principal::ServicePrincipal("job".to_owned()), groups: vec!["g".to_owned()] };
    assert_eq!(keys[&[0xab; 32]], job);
    assert_eq!(keys[&[0; 32]], KeyOwner { principal: Principal::User("alice".to_owned()), groups: Vec::new() });
    assert_eq!(jwt.user, Some(vec!["realm".to_owned(), "email".to_owned()]));
    assert_eq!(jwt.service_principal, None);
    assert_eq!(*attribute, "uri_san_peer_certificate");
    assert_eq!((usual.as_str(), trust_domain.as_str()), ("cluster.local", "corp.example"));
    assert_eq!((user.as_str(), groups), ("x-user", &None));
    assert_eq!(trusted_from.len(), 2);
}

#[test]
fn wrong_keys() {
    let key = |key: Value| [("/identity/sources/0/api_keys/0", key)];
    let hash = "0".repeat(64);
    check_errors(&[
        (
            &key(json!({"sha256": hash})),
            &["identity.sources[0].api_keys[0]: found no owner, expected `user` or `service_principal`"],
        ),
        (
            &key(json!({"sha256": hash, "user": "a", "service_principal": "b"})),
            &["identity.sources[0].api_keys[0]: found two owners, expected either `user` or `service_principal`"],
        ),
        (
            &key(json!({"sha256": "alice-demo-key", "user": "a"})),
            &["identity.sources[0].api_keys[0].sha256: found a value that is not shown here, expected 64 hex digits \
                 in quotes, the SHA-256 of the key: `printf %s KEY | sha256sum`"],
        ),
        (
            &key(json!({"sha256": hash, "user": "a", "grops": []})),
            &[
                "identity.sources[0].api_keys[0].grops: found an unknown key, expected a known one: did you mean `groups`?",
            ],
        ),
        (&key(json!("alice-demo-key")), &["identity.sources[0].api_keys[0]: found a text, expected an object"]),
        (
            &[("/identity/sources/0/api_keys/-", json!({"sha256": hash, "user": "b"}))],
            &[&format!(
                "identity.sources[0].api_keys[1].sha256: found `{hash}`, expected a key that is in the list once"
            )],
        ),
    ]);
}

#[test]
fn wrong_tokens() {
    let without = |key: &str, value: Value| {
        let mut jwt = jwt();
        edit(&mut jwt, key, value);
        [("/identity/sources/-", json!({"jwt": jwt}))]
    };
    check_errors(&[
        (
            &without("/user", json!("()")),
            &["identity.sources[1].jwt: found no claim that names the caller, expected `user`, `service_principal` \
                 or both"],
        ),
        (
            &without("/issuer", json!("()")),
            &["identity.sources[1].jwt.issuer: found nothing, expected the tokens' `iss`"],
        ),
        (
            &without("/audiences", json!([])),
            &["identity.sources[1].jwt.audiences: found an empty list, expected at least one entry"],
        ),
        (
            &without("/jwks_file", json!("()")),
            &[
                "identity.sources[1].jwt.jwks_file: found nothing, expected a file that holds the issuer's JSON web keys",
            ],
        ),
        (
            &without("/groups", json!("a..b")),
            &["identity.sources[1].jwt.groups: found `a..b`, expected a claim's name, or a path of names with dots \
                 between them"],
        ),
        (
            &[("/identity/sources/-", json!({"jwt": jwt()})), ("/identity/sources/-", json!({"jwt": jwt()}))],
            &["identity.sources: found 2 sources `jwt`, expected at most one"],
        ),
    ]);
}

#[test]
fn wrong_sources() {
    let source = |source: Value| [("/identity/sources/0", source)];
    let header = |header: Value| source(json!({"header": header}));
    check_errors(&[
        (
            &source(json!({})),
            &["identity.sources[0]: found an object, expected one of `api_keys`, `jwt`, `mtls`, `workload`, `header`"],
        ),
        (
            &source(json!({"api_keys": [], "mtls": {"user": "dns_san"}})),
            &["identity.sources[0]: found several sources in one entry, expected each in an entry of its own: their \
                 order counts"],
        ),
        (
            &source(json!({"mtls": {"user": "email"}})),
            &["identity.sources[0].mtls.user: found `email`, expected one of `uri_san`, `dns_san`, `subject`"],
        ),
        (
            &source(json!({"workload": {"trust_domain": "spiffe://cluster.local"}})),
            &[
                "identity.sources[0].workload.trust_domain: found `spiffe://cluster.local`, expected a mesh's trust domain, \
                 such as `cluster.local`",
            ],
        ),
        (
            &header(json!({"user": "x-user"})),
            &["identity.sources[0].header.trusted_from: found nothing, expected the address ranges that may set \
                 these headers, such as `127.0.0.0/8`"],
        ),
        (
            &header(json!({"user": "x-user", "trusted_from": []})),
            &["identity.sources[0].header.trusted_from: found an empty list, expected at least one entry"],
        ),
        (
            &header(json!({"user": "x-user", "trusted_from": ["10.0.0.0/40"]})),
            &["identity.sources[0].header.trusted_from[0]: found `10.0.0.0/40`, expected an address range such as \
                 `10.0.0.0/8` or `fd00::/8`"],
        ),
        (
            &header(json!({"user": "Authorization", "groups": "x weir", "trusted_from": ["::1"]})),
            &[
                "identity.sources[0].header.user: found `Authorization`, expected a header that holds no credential \
                 and does not begin with `x-weir-` or `x-envoy-`",
                "identity.sources[0].header.groups: found `x weir`, expected a header's name",
            ],
        ),
        (
            &header(json!({"user": "x-user", "groups": "X-User", "trusted_from": ["::1"]})),
            &[
                "identity.sources[0].header: found `x-user` twice, expected one header for the user and another one for the groups",
            ],
        ),
    ]);
    check_warnings(&[(
        &header(json!({"user": "x-user", "trusted_from": ["0.0.0.0/0"]})),
        &["identity.sources[0].header.trusted_from[0]: found `0.0.0.0/0`, expected only proxies of your own: from \
             here everybody can call himself what he likes"],
    )]);
}

#[test]
fn groups_that_stand_twice() {
    let policy = edited(&[("/identity/groups_of", json!({"a@b": ["x", 1]}))]).to_string();
    let policy = policy.replacen("\"a@b\":", "\"a@b\":[],\"a@b\":", 1);
    let invalid = Config::from_slice(policy.as_bytes(), &environment, MissingSecrets::Error).unwrap_err();
    let expected = [
        "identity.groups_of[\"a@b\"]: found the key 2 times, expected it once",
        "identity.groups_of[\"a@b\"][1]: found `1`, expected a text that is not empty",
    ];
    assert_eq!(lines(&invalid.problems), expected);
}
