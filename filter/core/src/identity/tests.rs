use std::collections::HashMap;

use sha2::{Digest, Sha256};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::{
    caller::Principal,
    config::{Cidr, Jwt, KeyOwner},
    host::fake::FakeHost,
};

fn user(name: &str) -> Principal {
    Principal::User(name.into())
}

fn api_keys() -> Source {
    let key = |key: &str, principal, groups: &[&str]| {
        let groups = groups.iter().map(ToString::to_string).collect();
        (Sha256::digest(key).into(), KeyOwner { principal, groups })
    };
    Source::ApiKeys(HashMap::from([
        key("alice-key", user("alice"), &["research"]),
        key("bob-key", user("bob"), &[]),
        key("job-key", Principal::ServicePrincipal("job".into()), &[]),
    ]))
}

fn jwt() -> Source {
    let path = |claim: &str| Some(claim.split('.').map(str::to_owned).collect());
    Source::Jwt(Jwt {
        user: path("email"),
        groups: path("realm.roles"),
        service_principal: path("azp"),
        issuer: "https://idp".into(),
        audiences: vec!["weir".into()],
        jwks_file: "jwks.json".into(),
    })
}

fn header() -> Source {
    let trusted = |address: &str, prefix| Cidr { address: address.parse().unwrap(), prefix };
    Source::Header {
        user: "x-user".into(),
        groups: Some("x-groups".into()),
        trusted_from: vec![trusted("10.0.0.0", 8), trusted("fd00::", 64), trusted("192.168.1.1", 32)],
    }
}

fn mtls() -> Source {
    Source::Mtls { attribute: "uri_san_peer_certificate" }
}

fn workload(trust_domain: &str) -> Source {
    Source::Workload { trust_domain: trust_domain.into() }
}

/// Resolves with the sources; properties are (path, value).
fn resolved(
    sources: Vec<Source>,
    headers: &[(&str, &str)],
    properties: &[(&str, &[u8])],
) -> Result<(Principal, Vec<String>), &'static str> {
    let identity = Identity {
        sources,
        groups_of: HashMap::from([("bob".into(), vec!["interns".into(), "research".into()])]),
        allow_anonymous: false,
    };
    let host = FakeHost::default();
    for (path, value) in properties {
        host.set_property(path, value);
    }
    let headers = Headers::from_pairs(headers.iter().map(|(name, value)| (*name, value.as_bytes())));
    resolve(&identity, &headers, &host).map(|caller| (caller.principal, caller.groups)).map_err(|e| e.0)
}

const JWT: &str = "metadata/filter_metadata/envoy.filters.http.jwt_authn/jwt_payload";

fn claims<'a>(claims: &[(&str, &'a [u8])]) -> Vec<(String, &'a [u8])> {
    claims.iter().map(|(name, value)| (format!("{JWT}/{name}"), *value)).collect()
}

#[test]
fn keys_name_their_owner() {
    let keys = || vec![api_keys()];
    let of = |headers: &[(&str, &str)]| resolved(keys(), headers, &[]);
    assert_eq!(of(&[("authorization", "Bearer alice-key")]), Ok((user("alice"), vec!["research".into()])));
    assert_eq!(of(&[("authorization", "bearer bob-key")]).unwrap().1, ["interns", "research"]);
    assert_eq!(of(&[("x-api-key", "job-key")]).unwrap().0, Principal::ServicePrincipal("job".into()));
    for (authorization, api_key) in [
        (Some("Bearer wrong"), None),
        (Some("Basic YTpi"), None),
        (Some("alice-key"), None),
        (Some(""), None),
        (None, Some("wrong")),
        (Some("Bearer alice-key"), Some("wrong")),
        (Some("Bearer wrong"), Some("alice-key")),
        (Some("Bearer alice-key"), Some("bob-key")),
        (None, None),
    ] {
        let headers: Vec<_> = [("authorization", authorization), ("x-api-key", api_key)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        assert!(of(&headers).is_err(), "{headers:?}");
    }
}

#[test]
fn tokens_name_their_subject() {
    let groups = Headers::from_pairs([("a", &b""[..]), ("b", b"")]);
    let groups = groups_bytes(&groups);
    let bearer = [("authorization", "Bearer e.y.J")];
    let of = |found: &[(&str, &[u8])]| {
        let claims = claims(found);
        let properties: Vec<_> = claims.iter().map(|(path, value)| (path.as_str(), *value)).collect();
        resolved(vec![api_keys(), jwt()], &bearer, &properties)
    };
    let iss = ("iss", &b"https://idp"[..]);
    assert_eq!(of(&[iss, ("email", b"carol"), ("azp", b"app")]), Ok((user("carol"), vec![])));
    assert_eq!(of(&[iss, ("azp", b"app")]).unwrap().0, Principal::ServicePrincipal("app".into()));
    assert_eq!(of(&[iss, ("email", b"c"), ("realm/roles", &groups)]).unwrap().1, ["a", "b"]);
    assert_eq!(of(&[iss, ("email", b"c"), ("realm.roles", b"one")]).unwrap().1, ["one"]);
    assert_eq!(of(&[iss, ("email", b"c"), ("realm/roles", &[0, 0, 0, 0])]).unwrap().1, [""; 0]);
    assert!(of(&[iss]).is_err());
    assert!(of(&[("email", b"carol")]).is_err(), "without an issuer");
    assert!(of(&[("iss", b"https://other"), ("email", b"carol")]).is_err());
    assert!(of(&[]).is_err(), "jwt_authn found no valid token");
}

/// What the host would write.
fn groups_bytes(headers: &Headers) -> Vec<u8> {
    let mut bytes = (headers.iter().count() as u32).to_le_bytes().to_vec();
    for (name, value) in headers.iter() {
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in headers.iter() {
        bytes.extend([name.as_bytes(), b"\0", value, b"\0"].concat());
    }
    bytes
}

#[test]
fn headers_count_from_trusted_peers_only() {
    let headers = [("x-user", "dan"), ("x-groups", "a, b ,,c")];
    let from = |address: &str| resolved(vec![header()], &headers, &[("source/address", address.as_bytes())]);
    for address in ["10.1.2.3:4", "[fd00::1]:4", "192.168.1.1:4", "[::ffff:10.0.0.1]:4"] {
        assert_eq!(from(address), Ok((user("dan"), vec!["a".into(), "b".into(), "c".into()])), "{address}");
    }
    for address in ["11.0.0.1:4", "[fd00:0:0:1::1]:4", "192.168.1.2:4", "", "unix"] {
        assert!(from(address).is_err(), "{address}");
    }
    let peer = [("source/address", &b"10.0.0.1:1"[..])];
    assert!(resolved(vec![header()], &[("x-user", "dan"), ("x-user", "eve")], &peer).unwrap_err().contains("twice"));
    assert!(resolved(vec![header()], &[("x-user", " ")], &peer).unwrap_err().contains("empty"));
}

#[test]
fn a_workload_is_its_service_account_in_the_group_of_its_namespace() {
    let of = |sources, uri: &str| resolved(sources, &[], &[("connection/uri_san_peer_certificate", uri.as_bytes())]);
    let principal = |name: &str| Principal::ServicePrincipal(name.into());
    let trainer = Ok((principal("ml/trainer"), vec!["ml".into()]));
    assert_eq!(of(vec![workload("cluster.local")], "spiffe://cluster.local/ns/ml/sa/trainer"), trainer);
    let both = || vec![workload("cluster.local"), workload("corp.example")];
    assert_eq!(of(both(), "spiffe://corp.example/ns/ml/sa/trainer"), trainer, "a second mesh");
    for uri in [
        "",
        "spiffe://cluster.local",
        "spiffe://cluster.local.evil.example/ns/ml/sa/trainer",
        "spiffe://evil.example/ns/ml/sa/trainer",
        "https://cluster.local/ns/ml/sa/trainer",
        "spiffe://cluster.local/ns//sa/trainer",
        "spiffe://cluster.local/ns/ml/sa/",
        "spiffe://cluster.local/ns/ml/sa/trainer/more",
        "spiffe://cluster.local/ns/ml/x/sa/trainer",
        "spiffe://cluster.local/ns/ml/sa/x/sa/trainer",
        "spiffe://cluster.local/ns/ML/sa/trainer",
        "spiffe://cluster.local/ns/ml/sa/tr%2Fainer",
        "spiffe://cluster.local/sa/trainer/ns/ml",
    ] {
        assert!(of(vec![workload("cluster.local")], uri).is_err(), "{uri}");
    }
    // Who is no workload is for the next source.
    assert_eq!(of(vec![workload("cluster.local"), mtls()], "spiffe://x").unwrap().0, user("spiffe://x"));
    assert!(resolved(vec![workload("cluster.local")], &[], &[]).is_err(), "no certificate");
}

/// Istio's RequestAuthentication leaves claims under another name than `weir render envoy`.
#[test]
fn tokens_that_istio_has_verified() {
    const ISTIO: &str = "metadata/filter_metadata/envoy.filters.http.jwt_authn/payload";
    let of = |issuer: &str| {
        let (iss, email, roles) = (format!("{ISTIO}/iss"), format!("{ISTIO}/email"), format!("{ISTIO}/realm/roles"));
        let properties: [(&str, &[u8]); 3] = [(&iss, issuer.as_bytes()), (&email, b"carol"), (&roles, b"staff")];
        resolved(vec![jwt()], &[("authorization", "Bearer e.y.J")], &properties)
    };
    assert_eq!(of("https://idp"), Ok((user("carol"), vec!["staff".into()])));
    assert!(of("https://other").is_err());
}

#[test]
fn one_source_gives_all_and_order_decides() {
    let properties = [("source/address", &b"10.0.0.1:1"[..]), ("connection/uri_san_peer_certificate", b"spiffe://x")];
    let both = [("authorization", "Bearer alice-key"), ("x-user", "dan"), ("x-groups", "admins")];
    let of = |sources, headers: &[(&str, &str)]| resolved(sources, headers, &properties);
    assert_eq!(of(vec![api_keys(), header()], &both), Ok((user("alice"), vec!["research".into()])));
    assert_eq!(of(vec![header(), api_keys()], &both), Ok((user("dan"), vec!["admins".into()])));
    assert_eq!(of(vec![api_keys(), mtls()], &[]), Ok((user("spiffe://x"), vec![])));
    // An invalid credential is a refusal wherever its source stands.
    let wrong = [("authorization", "Bearer wrong"), ("x-user", "dan")];
    assert!(of(vec![mtls(), header(), api_keys()], &wrong).is_err());
    // Where no source reads it, it is nobody's business.
    assert_eq!(of(vec![header()], &wrong).unwrap().0, user("dan"));
}

#[test]
fn anonymous_where_allowed() {
    let anonymous = |sources, headers: &[(&str, &str)]| {
        let identity = Identity { sources, groups_of: HashMap::new(), allow_anonymous: true };
        let headers = Headers::from_pairs(headers.iter().map(|(name, value)| (*name, value.as_bytes())));
        resolve(&identity, &headers, &FakeHost::default())
    };
    assert_eq!(anonymous(vec![], &[("authorization", "Bearer x")]), Ok(Caller::ANONYMOUS));
    assert_eq!(anonymous(vec![api_keys()], &[]), Ok(Caller::ANONYMOUS));
    assert!(anonymous(vec![api_keys()], &[("authorization", "Bearer x")]).is_err());
}
