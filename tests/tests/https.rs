//! A provider behind TLS: its certificate must be of its own name and of a trusted authority.

use std::net::TcpListener as Bound;
use std::sync::{Arc, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use weir_e2e::client::chat;
use weir_e2e::policy::ALICE;
use weir_e2e::{Addresses, Call, Endpoint, Policy, Rig, Setup};

/// Ends TLS with a certificate for `name`, and passes the bytes on to the mock that `behind` comes to hold.
fn terminate(name: &str, behind: Arc<OnceLock<u16>>) -> (u16, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // A name of its own: a certificate whose issuer has its own name passes for self-signed.
    authority.distinguished_name.push(DnType::CommonName, "e2e authority");
    let key = KeyPair::generate().expect("a key");
    let pem = authority.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(vec![name.to_owned()]).expect("a name").signed_by(&key, &issuer);
    let chain = vec![server.expect("a certificate").der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS #8");
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a server's side");
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let bound = Bound::bind("127.0.0.1:0").expect("a port");
    bound.set_nonblocking(true).expect("not blocking");
    let port = bound.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let listener = TcpListener::from_std(bound).expect("a listener");
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut outer = acceptor.accept(stream).await?;
                let mut inner = TcpStream::connect(("127.0.0.1", *behind.get().expect("the mock's port"))).await?;
                copy_bidirectional(&mut outer, &mut inner).await
            });
        }
    });
    (port, pem)
}

/// One endpoint at `https://localhost`, whose server shows a certificate for `name`.
async fn rig(name: &str) -> (Rig, u16) {
    let behind = Arc::new(OnceLock::new());
    let (port, pem) = terminate(name, behind.clone());
    let policy = move |at: &Addresses| {
        behind.get_or_init(|| at.mock("a"));
        let base = format!("https://localhost:{port}/some/prefix/v1");
        Policy::new(at).endpoint(Endpoint::new("chat").entity_at("a", 100, &base))
    };
    let trust = move |bootstrap: &mut weir_e2e::bootstrap::Bootstrap, _: &Addresses| {
        let clusters = bootstrap.0["static_resources"]["clusters"].as_array_mut().expect("clusters");
        let context = "/transport_socket/typed_config/common_tls_context/validation_context/trusted_ca";
        let trusted: Vec<&mut Value> = clusters.iter_mut().filter_map(|cluster| cluster.pointer_mut(context)).collect();
        assert_eq!(trusted.len(), 1, "one cluster speaks TLS");
        for trusted in trusted {
            *trusted = json!({"inline_string": pem});
        }
    };
    (Setup::new(&["a"], policy).edit(trust).start().await, port)
}

fn call() -> Call {
    Call::post("/v1/chat/completions", chat("chat", json!({})).to_string()).key(ALICE)
}

#[tokio::test]
async fn a_provider_behind_tls_answers() {
    let (rig, port) = rig("localhost").await;
    let answer = rig.send(call()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = rig.mock("a").last().await;
    assert_eq!(received.path(), "/some/prefix/v1/chat/completions");
    assert_eq!(received.header("host"), [format!("localhost:{port}")]);
    assert_eq!(received.header("authorization"), ["Bearer secret-of-a"]);
    assert!(received.header("x-forwarded-proto").is_empty());
}

#[tokio::test]
async fn a_server_with_anothers_certificate_is_told_nothing() {
    let (rig, _) = rig("evil.example.com").await;
    let answer = rig.send(call()).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(rig.mock("a").count().await, 0);
    let attempts = &rig.collector.usage(1).await[0]["detail"]["attempts"];
    assert_eq!(attempts[0]["error"], "connect_failure", "{attempts}");
}
