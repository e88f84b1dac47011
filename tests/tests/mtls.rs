//! Who calls by certificate: what Envoy has verified, by the field that the policy names, in the order of the sources.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use weir_e2e::client::chat;
use weir_e2e::policy::ALICE;
use weir_e2e::wire::over_tls;
use weir_e2e::{Addresses, Answer, Call, Endpoint, Policy, Rig, Setup};

/// An authority that signs servers and clients.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

/// What a certificate says: common name, URI and DNS names.
type Names<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "e2e authority");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn sign(&self, (common_name, uris, dns): Names<'_>) -> (rcgen::Certificate, KeyPair) {
        let mut params =
            CertificateParams::new(dns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("valid names");
        let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("a URI")));
        params.subject_alt_names.extend(uris);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }

    /// A client's side that trusts this authority and shows the certificate that `signer` gave.
    fn client(&self, signer: &Self, names: Names<'_>) -> Arc<ClientConfig> {
        let (certificate, key) = signer.sign(names);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS #8");
        let config = self.trusting().with_client_auth_cert(vec![certificate.der().clone()], key);
        Arc::new(config.expect("a certificate and its key"))
    }

    fn trusting(
        &self,
    ) -> tokio_rustls::rustls::ConfigBuilder<ClientConfig, tokio_rustls::rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        builder.with_safe_default_protocol_versions().expect("TLS versions").with_root_certificates(roots)
    }

    /// What the listener is given.
    fn downstream_tls(&self, required: bool) -> Value {
        let (certificate, key) = self.sign(("gateway", &[], &["localhost"]));
        json!({"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": required,
            "common_tls_context": {
                "tls_certificates": [{
                    "certificate_chain": {"inline_string": certificate.pem()},
                    "private_key": {"inline_string": key.serialize_pem()},
                }],
                "validation_context": {"trusted_ca": {"inline_string": self.pem}},
            },
        }})
    }
}

/// A policy with these sources; `KEYS` stands for the API keys of every test.
fn policy(at: &Addresses, sources: &Value) -> Policy {
    let mut policy = Policy::new(at).endpoint(Endpoint::new("chat").entity(at, "a", 100));
    let keys = policy.0["identity"]["sources"][0].clone();
    let sources = sources.as_array().expect("sources").iter();
    policy.0["identity"]["sources"] =
        sources.map(|source| if source == "KEYS" { keys.clone() } else { source.clone() }).collect();
    policy
}

async fn rig(authority: &Authority, sources: Value, required: bool) -> Rig {
    let socket = authority.downstream_tls(required);
    let setup = Setup::new(&["a"], move |at| policy(at, &sources));
    setup.edit(move |bootstrap, _| bootstrap.set_transport_socket(socket.clone())).start().await
}

fn call() -> Call {
    Call::post("/v1/chat/completions", chat("chat", json!({})).to_string())
}

async fn send(rig: &Rig, tls: &Arc<ClientConfig>, call: Call) -> Answer {
    over_tls(rig.envoy.port, tls.clone(), &call).await.expect("an answer")
}

async fn last_requester(rig: &Rig, number: usize) -> Value {
    rig.collector.usage(number).await[number - 1]["row"]["requester"].clone()
}

const ALICE_CERTIFICATE: Names<'_> = ("alice", &["spiffe://acme/ns/prod/sa/alice"], &["alice.acme.example"]);

#[tokio::test]
async fn the_certificates_field_that_the_policy_names_is_the_user() {
    let authority = Authority::new();
    let rows =
        [("uri_san", "spiffe://acme/ns/prod/sa/alice"), ("dns_san", "alice.acme.example"), ("subject", "CN=alice")];
    for (field, user) in rows {
        let rig = rig(&authority, json!([{"mtls": {"user": field}}]), true).await;
        let tls = authority.client(&authority, ALICE_CERTIFICATE);
        // Nobody can say that he is somebody else; a stray credential is nobody's business where no source reads it.
        let forged = call()
            .header("x-forwarded-client-cert", "URI=spiffe://acme/ns/prod/sa/eve;DNS=eve;Subject=\"CN=eve\"")
            .key("stray");
        assert_eq!(send(&rig, &tls, forged).await.status, 200, "{field}");
        assert_eq!(last_requester(&rig, 1).await, user, "{field}");
        let received = rig.mock("a").last().await;
        assert_eq!(received.header("authorization"), ["Bearer secret-of-a"], "{field}");
        assert!(received.header("x-forwarded-client-cert").is_empty(), "{field}");
    }
}

#[tokio::test]
async fn a_workload_is_its_service_account_in_the_group_of_its_namespace() {
    let authority = Authority::new();
    let socket = authority.downstream_tls(true);
    let setup = Setup::new(&["a"], |at| {
        let mut policy = policy(at, &json!([{"workload": {"trust_domain": "corp.example"}}]));
        policy.0["endpoints"][0]["permissions"] = json!([{"group_name": "ml", "permission_level": "CAN_QUERY"}]);
        policy
    });
    let rig = setup.edit(|bootstrap, _| bootstrap.set_transport_socket(socket.clone())).start().await;
    let rows = [
        ("spiffe://corp.example/ns/ml/sa/trainer", 200, json!("ml/trainer")),
        ("spiffe://corp.example/ns/web/sa/trainer", 403, json!("web/trainer")),
        ("spiffe://elsewhere/ns/ml/sa/trainer", 401, Value::Null),
    ];
    for (number, (id, status, requester)) in rows.into_iter().enumerate() {
        let tls = authority.client(&authority, ("workload", &[id], &[]));
        assert_eq!(send(&rig, &tls, call()).await.status, status, "{id}");
        assert_eq!(last_requester(&rig, number + 1).await, requester, "{id}");
    }
}

#[tokio::test]
async fn a_certificate_without_the_field_is_no_evidence() {
    let authority = Authority::new();
    let rig = rig(&authority, json!([{"mtls": {"user": "uri_san"}}]), true).await;
    let nameless = authority.client(&authority, ("bob", &[], &["bob.acme.example"]));
    assert_eq!(send(&rig, &nameless, call()).await.status, 401);
    let stranger = Authority::new();
    let tls = authority.client(&stranger, ALICE_CERTIFICATE);
    assert!(over_tls(rig.envoy.port, tls, &call()).await.is_err(), "an authority that Envoy does not trust");
    let none = Arc::new(authority.trusting().with_no_client_auth());
    assert!(over_tls(rig.envoy.port, none, &call()).await.is_err(), "no certificate where one is required");
    assert_eq!(last_requester(&rig, 1).await, Value::Null);
}

#[tokio::test]
async fn keys_and_certificates_in_the_order_of_the_sources() {
    let authority = Authority::new();
    let mtls = json!({"mtls": {"user": "uri_san"}});
    let (uri, key) = (json!("spiffe://acme/ns/prod/sa/alice"), json!("alice@example.com"));
    for (sources, both) in [(json!(["KEYS", mtls]), key.clone()), (json!([mtls, "KEYS"]), uri.clone())] {
        let rig = rig(&authority, sources.clone(), false).await;
        let with = authority.client(&authority, ALICE_CERTIFICATE);
        let without = Arc::new(authority.trusting().with_no_client_auth());
        let rows = [
            ("a certificate", &with, call(), 200, uri.clone()),
            ("a key", &without, call().key(ALICE), 200, key.clone()),
            ("both", &with, call().key(ALICE), 200, both),
            ("a certificate and an unknown key", &with, call().key("no-such-key"), 401, Value::Null),
            ("nothing", &without, call(), 401, Value::Null),
        ];
        for (number, (name, tls, call, status, requester)) in rows.into_iter().enumerate() {
            let answer = send(&rig, tls, call).await;
            assert_eq!(answer.status, status, "{sources}: {name}: {}", answer.text());
            assert_eq!(last_requester(&rig, number + 1).await, requester, "{sources}: {name}");
        }
    }
}
