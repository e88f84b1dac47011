//! What the mock says to one request: orders, API and body in; status, content type and the pieces of the body out. How the
//! pieces leave (paused, cut, broken off) is not decided here.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::http::request::Parts;

use super::answer::{self, Said, Usage, to_bytes};
use super::behaviour::Behaviour;
use super::journal::Received;
use super::request::{Api, Ask, Wire};
use super::server::Mock;
use super::{stream, text};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream; charset=utf-8";

/// An answer before it is framed.
pub struct Composed {
    pub status: StatusCode,
    pub content_type: String,
    /// One for an answer that is no stream; one per event (or per `chunk_bytes` of a raw body) for one that is.
    pub pieces: Vec<Bytes>,
    pub stream: bool,
}

/// Composes the answer that the orders call for: `raw` first, then `empty`, an error status, and what the API says.
pub fn compose(
    mock: &Mock,
    api: Option<Api>,
    parts: &Parts,
    body: &Bytes,
    wire: Result<Wire, String>,
    orders: &Behaviour,
) -> Composed {
    let status = orders.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
    if let Some(raw) = &orders.raw {
        return composed_raw(status, raw.content_type.as_deref(), raw.bytes(), orders);
    }
    let echo = orders.echo.then(|| echoed(mock, parts, body));
    let ask = match (api, wire) {
        (Some(Api::Models), _) => Ok(Ask::default()),
        (Some(api), Ok(wire)) => wire.ask(api),
        (Some(_), Err(why)) => Err(why),
        (None, _) => Ok(Ask::default()),
    };
    if orders.empty {
        let stream = ask.is_ok_and(|ask| ask.stream);
        let content_type = if stream { EVENTS } else { JSON };
        return Composed { status, content_type: content_type.to_owned(), pieces: Vec::new(), stream };
    }
    if status.as_u16() >= 300 {
        let message = format!("mock {} was told to answer {}", mock.name, status.as_u16());
        return whole(status, answer::error(status, &message), orders);
    }
    match (api, ask, echo) {
        (None, _, Some(echo)) => whole(status, echo.into(), orders),
        (None, ..) => {
            let message = format!("mock {}: no API at {} {}", mock.name, parts.method, parts.uri.path());
            whole(StatusCode::NOT_FOUND, answer::error(StatusCode::NOT_FOUND, &message), orders)
        }
        (Some(Api::Models), ..) => whole(status, answer::models(&mock.models), orders),
        (Some(_), Err(why), None) => {
            whole(StatusCode::BAD_REQUEST, answer::error(StatusCode::BAD_REQUEST, &why), orders)
        }
        (Some(Api::Embeddings), Ok(ask), _) => {
            whole(status, answer::embeddings(&ask, orders.usage.as_ref(), orders.no_usage), orders)
        }
        // An echo needs no request of the right shape.
        (Some(api), ask, echo) => composed_said(status, mock, api, &ask.unwrap_or_default(), echo, body, orders),
    }
}

fn composed_said(
    status: StatusCode,
    mock: &Mock,
    api: Api,
    ask: &Ask,
    echo: Option<String>,
    body: &Bytes,
    orders: &Behaviour,
) -> Composed {
    let content = echo.unwrap_or_else(|| content(mock, ask, orders));
    let (content, cut) = match ask.max_tokens {
        Some(most) => text::cut(&content, most),
        None => (content.as_str(), false),
    };
    let usage = match &orders.usage {
        Some(ordered) => Usage::Ordered(ordered),
        None => Usage::counted(ask.prompt_tokens, text::count(content)),
    };
    let said = Said {
        id: answer::id(api, body),
        api,
        model: &ask.model,
        content,
        finish_reason: if cut { "length" } else { "stop" },
        usage: (!orders.no_usage).then_some(usage),
    };
    if !ask.stream {
        return whole(status, answer::whole(&said), orders);
    }
    let pieces = stream::events(&said, ask.include_usage, orders);
    Composed { status, content_type: EVENTS.to_owned(), pieces, stream: true }
}

/// The ordered text, else the ordered number of words, else a greeting; a stream of more chunks than the greeting has words
/// gets one word per chunk.
fn content(mock: &Mock, ask: &Ask, orders: &Behaviour) -> String {
    if let Some(content) = &orders.content {
        return content.clone();
    }
    let greeting = text::greeting(&mock.name);
    let chunks = orders.chunks.filter(|n| ask.stream && *n as u64 > text::count(&greeting));
    match orders.content_tokens.or(chunks) {
        Some(n) => text::words(n),
        None => greeting,
    }
}

fn composed_raw(status: StatusCode, content_type: Option<&str>, bytes: Bytes, orders: &Behaviour) -> Composed {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while let (Some(size), false) = (orders.chunk_bytes, rest.is_empty()) {
        pieces.push(rest.split_to(size.min(rest.len())));
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    let content_type = content_type.unwrap_or(JSON).to_owned();
    Composed { status, stream: orders.chunk_bytes.is_some(), content_type, pieces }
}

fn whole(status: StatusCode, mut json: Bytes, orders: &Behaviour) -> Composed {
    if orders.broken_json {
        json.truncate(json.len() / 2);
    }
    Composed { status, content_type: JSON.to_owned(), pieces: vec![json], stream: false }
}

fn echoed(mock: &Mock, parts: &Parts, body: &Bytes) -> String {
    #[derive(serde::Serialize)]
    struct Echo<'a> {
        mock: &'a str,
        #[serde(flatten)]
        received: Received,
    }
    let echo = Echo { mock: &mock.name, received: Received::new(parts, body) };
    String::from_utf8(to_bytes(&echo).to_vec()).unwrap_or_default()
}
