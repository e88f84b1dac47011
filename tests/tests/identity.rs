//! Who calls: one source gives all, evidence that is present and invalid is 401, and nobody can say he is somebody else.

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::jwt::{self, SIGNING_KEY};
use weir_e2e::policy::{ALICE, BATCH, BOB};
use weir_e2e::{Addresses, Call, Endpoint, Policy, Rig, Setup};

const PATH: &str = "/v1/chat/completions";

fn call() -> Call {
    Call::post(PATH, chat("chat", json!({})).to_string())
}

fn policy(at: &Addresses) -> Policy {
    Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100))
}

/// A policy with these sources after the API keys of every test.
fn with_source(at: &Addresses, source: Value) -> Policy {
    let mut policy = policy(at);
    policy.0["identity"]["sources"].as_array_mut().expect("sources").push(source);
    policy
}

/// Each call, what it is answered, and as whom it is recorded.
async fn check(rig: &Rig, rows: Vec<(&str, Call, u16, Value)>) {
    for (number, (name, call, status, requester)) in rows.into_iter().enumerate() {
        let answer = rig.send(call).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        if status == 401 {
            assert_eq!(answer.json()["error"]["code"], "invalid_api_key", "{name}");
        }
        let lines = rig.collector.usage(number + 1).await;
        let last = &lines[lines.len() - 1]["row"];
        assert_eq!((&last["status_code"], &last["requester"]), (&json!(status), &requester), "{name}");
    }
}

#[tokio::test]
async fn a_key_decides_whatever_headers_say() {
    let header =
        json!({"header": {"user": "x-user-email", "groups": "x-user-groups", "trusted_from": ["127.0.0.0/8"]}});
    let rig = Setup::new(&["a"], |at| with_source(at, header.clone())).start().await;
    let eve = |call: Call| call.header("x-user-email", "eve@example.com");
    let (alice, batch) = (json!("alice@example.com"), json!("batch-job"));
    check(
        &rig,
        vec![
            ("a bearer key", call().key(ALICE), 200, alice.clone()),
            ("the same in x-api-key", call().header("x-api-key", ALICE), 200, alice.clone()),
            ("a service principal's key", call().key(BATCH), 200, batch),
            ("a key, and a header that names another one", eve(call().key(ALICE)), 200, alice),
            ("an unknown key, and a trusted header", eve(call().key("no-such-key")), 401, Value::Null),
            (
                "another scheme, and a trusted header",
                eve(call().header("authorization", "Basic eDp5")),
                401,
                Value::Null,
            ),
            ("an unknown x-api-key, and a trusted header", eve(call().header("x-api-key", "no")), 401, Value::Null),
            ("a trusted header alone", eve(call()), 200, json!("eve@example.com")),
            ("nothing", call(), 401, Value::Null),
            ("an empty bearer", call().header("authorization", "Bearer "), 401, Value::Null),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_header_from_an_untrusted_peer_is_ignored() {
    let header = json!({"header": {"user": "x-user-email", "trusted_from": ["10.0.0.0/8"]}});
    let rig = Setup::new(&["a"], |at| with_source(at, header.clone())).start().await;
    let rows = vec![
        ("alone", call().header("x-user-email", "alice@example.com"), 401, Value::Null),
        // What the peer says of itself is no proof of where it is.
        (
            "with a forged address",
            call().header("x-user-email", "alice@example.com").header("x-forwarded-for", "10.0.0.1"),
            401,
            Value::Null,
        ),
        ("beside a key", call().key(BOB).header("x-user-email", "alice@example.com"), 200, json!("bob@example.com")),
    ];
    check(&rig, rows).await;
    assert!(rig.mock("a").last().await.header("x-user-email").is_empty(), "the header reached the provider");
}

#[tokio::test]
async fn anonymous_callers_where_the_policy_allows_them() {
    let rig = Setup::new(&["a"], |at| policy(at).set("/identity/anonymous", json!("allow"))).start().await;
    assert_eq!(rig.send(call()).await.status, 200);
    assert_eq!(rig.send(call().key("no-such-key")).await.status, 401, "invalid evidence is not no evidence");
}

#[tokio::test]
async fn permissions_decide_who_may_ask() {
    let policy = |at: &Addresses| {
        let endpoint = Endpoint::new("chat").entity(at, "a", 100);
        Policy::new(at).endpoint(endpoint.set(
            "/permissions",
            json!([
                {"group_name": "research", "permission_level": "CAN_QUERY"},
                {"service_principal_name": "batch-job", "permission_level": "CAN_QUERY"},
            ]),
        ))
    };
    let rig = Setup::new(&["a"], policy).start().await;
    check(
        &rig,
        vec![
            ("by group", call().key(ALICE), 200, json!("alice@example.com")),
            ("by service principal", call().key(BATCH), 200, json!("batch-job")),
            ("by nothing", call().key(BOB), 403, json!("bob@example.com")),
        ],
    )
    .await;
    let refused = rig.send(call().key(BOB)).await;
    assert_eq!(refused.json()["error"]["code"], "permission_denied");
    let body = chat("chat", json!({})).to_string();
    let refused = rig.send(Call::post("/serving-endpoints/chat/invocations", body).key(BOB)).await;
    assert_eq!(refused.json()["error_code"], "PERMISSION_DENIED");
}

#[tokio::test]
async fn a_valid_token_names_its_user_and_an_invalid_one_is_401() {
    let source = json!({"jwt": {"user": "email", "groups": "realm.roles", "service_principal": "azp",
        "issuer": "https://idp.example.com", "audiences": ["weir"], "jwks_file": "jwks.json"}});
    let policy = |at: &Addresses| {
        let mut policy = with_source(at, source.clone());
        policy.0["endpoints"][0]["permissions"] = json!([
            {"group_name": "staff", "permission_level": "CAN_QUERY"},
            {"service_principal_name": "robot", "permission_level": "CAN_QUERY"},
            {"user_name": "alice@example.com", "permission_level": "CAN_QUERY"},
        ]);
        policy
    };
    let rig = Setup::new(&["a"], policy).file("jwks.json", jwt::keys().to_string()).start().await;
    let staff = json!({"email": "dora@example.com", "azp": "portal", "realm": {"roles": ["x", "staff"]}});
    let with = |claims: Value| call().key(&jwt::token(claims, SIGNING_KEY));
    let altered = |change: Value| {
        let mut claims = staff.clone();
        claims.as_object_mut().expect("claims").extend(change.as_object().cloned().unwrap_or_default());
        with(claims)
    };
    check(
        &rig,
        vec![
            ("a user, and a nested list of groups", with(staff.clone()), 200, json!("dora@example.com")),
            ("a service principal where there is no user", with(json!({"azp": "robot"})), 200, json!("robot")),
            ("no group that may", altered(json!({"realm": {"roles": ["x"]}})), 403, json!("dora@example.com")),
            (
                "signed by somebody else",
                call().key(&jwt::token(staff.clone(), b"another key, also at least 32 bytes")),
                401,
                Value::Null,
            ),
            ("expired", altered(json!({"exp": 1_000_000_000})), 401, Value::Null),
            ("for another audience", altered(json!({"aud": "elsewhere"})), 401, Value::Null),
            ("of another issuer", altered(json!({"iss": "https://evil.example.com"})), 401, Value::Null),
            ("an API key still works", call().key(ALICE), 200, json!("alice@example.com")),
        ],
    )
    .await;
}
