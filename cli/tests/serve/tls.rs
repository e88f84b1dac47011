//! The collector over TLS: it is who its certificate says, and speaks nothing else on that port.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::collect::{RECORDS, usage};
use crate::process::{PATIENCE, Weir, output};

#[test]
fn records_come_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["collector.test".to_owned()]).unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (cert, key, out) = (path("cert.pem"), path("key.pem"), path("out"));
    std::fs::write(&cert, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let listen = ["collect", "--listen", "127.0.0.1:0", "--out", &out];
    let bad = output(&[&listen[..], &["--tls-cert", &key, "--tls-key", &key]].concat());
    assert!(!bad.status.success() && String::from_utf8_lossy(&bad.stderr).contains("expected certificates in PEM"));
    let collector = Weir::start_at("https://", &[&listen[..], &["--tls-cert", &cert, "--tls-key", &key]].concat());

    let mut roots = RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("collector.test").unwrap();
    let socket = TcpStream::connect(&collector.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket);
    let body = usage("a");
    let head = format!(
        "POST {RECORDS} HTTP/1.1\r\nhost: collector.test\r\nconnection: close\r\ncontent-length: {}",
        body.len()
    );
    write!(stream, "{head}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"duplicates":0,"quarantined":0,"rows":1}"#),
        "{answer}"
    );

    let mut plain = collector.connect();
    plain.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut heard = Vec::new();
    let _ = plain.read_to_end(&mut heard);
    assert!(!String::from_utf8_lossy(&heard).contains("HTTP/1.1"), "no answer without TLS");
}
