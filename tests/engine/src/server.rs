//! gRPC over HTTP/2, for one unary method: requests in, responses out, on any number of connections.

use std::rc::Rc;

use bytes::{BufMut, BytesMut};
use h2::{RecvStream, server::SendResponse};
use http::{HeaderMap, HeaderValue};
use prost::Message;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{LocalSet, spawn_local},
};

use crate::message::{Request, Response};

/// Of a gRPC message: a flag and its length.
const PREFIX: usize = 5;

type Answer = Rc<dyn Fn(&Request) -> Response>;

pub async fn serve(port: u16, answer: impl Fn(&Request) -> Response + 'static) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    let answer: Answer = Rc::new(answer);
    let serving = async {
        while let Ok((stream, _)) = listener.accept().await {
            spawn_local(connection(stream, answer.clone()));
        }
    };
    LocalSet::new().run_until(serving).await;
}

/// Ends with the connection, however that ends.
async fn connection(stream: TcpStream, answer: Answer) {
    let _ = stream.set_nodelay(true);
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        spawn_local(call(request.into_body(), respond, answer.clone()));
    }
}

/// A stream that its client has given up is nobody's business.
async fn call(mut body: RecvStream, mut respond: SendResponse<bytes::Bytes>, answer: Answer) {
    let mut whole = BytesMut::new();
    while let Some(Ok(piece)) = body.data().await {
        let _ = body.flow_control().release_capacity(piece.len());
        whole.extend_from_slice(&piece);
    }
    let message = whole.get(PREFIX..).and_then(|message| Request::decode(message).ok());
    let headers = http::Response::builder().header("content-type", "application/grpc").body(()).expect("a response");
    let Ok(mut stream) = respond.send_response(headers, false) else { return };
    let status = match message {
        Some(request) => {
            let response = answer(&request);
            let mut framed = BytesMut::new();
            framed.put_u8(0);
            framed.put_u32(u32::try_from(response.encoded_len()).expect("a short message"));
            response.encode(&mut framed).expect("room for it");
            let _ = stream.send_data(framed.freeze(), false);
            "0"
        }
        // INVALID_ARGUMENT
        None => "3",
    };
    let _ = stream.send_trailers(HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static(status),
    )]));
}
