//! One request on a connection of its own, for what the pooled client does not do: TLS with a client's certificate, and HTTP/2 with
//! a body in frames and trailers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::client::{Answer, Call};

const LONGEST: Duration = Duration::from_secs(20);

/// HTTP/1.1 over TLS. `Err`: no answer came, since the handshake failed or the connection was closed.
pub async fn over_tls(port: u16, tls: Arc<ClientConfig>, call: &Call) -> Result<Answer, String> {
    let exchange = async {
        let name = ServerName::try_from("localhost").expect("a host's name");
        let stream = TlsConnector::from(tls).connect(name, connect(port).await).await.map_err(|e| e.to_string())?;
        let handshake = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        let driver = tokio::spawn(connection);
        let request = call.clone().header("host", "e2e").request("");
        let answer = whole(sender.send_request(request).await.map_err(|error| error.to_string())?).await;
        driver.abort();
        answer
    };
    tokio::time::timeout(LONGEST, exchange).await.expect("an answer in time")
}

/// HTTP/2 with prior knowledge: the call's headers, these pieces as its body (with a pause before each), and trailers, if any.
pub async fn over_http2(port: u16, call: &Call, pieces: &[&[u8]], pause: Duration, trailers: HeaderMap) -> Answer {
    let mut frames: Vec<_> = pieces.iter().map(|piece| Frame::data(Bytes::copy_from_slice(piece))).collect();
    frames.extend((!trailers.is_empty()).then(|| Frame::trailers(trailers)));
    let body = stream::iter(frames).then(move |frame| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, Infallible>(frame)
    });
    let (parts, _) = call.request(&format!("http://127.0.0.1:{port}")).into_parts();
    let request = Request::from_parts(parts, StreamBody::new(Box::pin(body)));
    let exchange = async {
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(connect(port).await)).await;
        let (mut sender, connection) = handshake.expect("HTTP/2");
        let driver = tokio::spawn(connection);
        let answer = whole(sender.send_request(request).await.expect("an answer")).await.expect("a whole answer");
        driver.abort();
        answer
    };
    tokio::time::timeout(LONGEST, exchange).await.expect("an answer in time")
}

/// A provider that speaks HTTP/2 alone, and hands over the body and the trailers of each chat request.
pub async fn http2_provider() -> (u16, mpsc::UnboundedReceiver<(Value, HeaderMap)>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let sender = sender.clone();
                async move {
                    let whole = request.into_body().collect().await?;
                    let trailers = whole.trailers().cloned().unwrap_or_default();
                    let _ = sender.send((serde_json::from_slice(&whole.to_bytes()).unwrap_or_default(), trailers));
                    let message = json!({"role": "assistant", "content": "Deep."});
                    let answer = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
                    Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from(answer.to_string()))))
                }
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
    (port, receiver)
}

async fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a listening port");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    stream
}

async fn whole(response: Response<Incoming>) -> Result<Answer, String> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}
