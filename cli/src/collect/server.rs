//! The collector's HTTP side: posts of NDJSON in, receipts out; questions of the page in, JSON out. It answers a post with 2xx only
//! when the writer said that the rows are durable, and never holds more than `HELD_KIB` of bodies at a time.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap, HeaderValue,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::commit::Committer;
use super::line::{self, Rejected, Row};
use super::page::{self, View};
use super::status;
use super::tokens::{Denied, Right, Tokens};

/// The longest body, as sent and unpacked.
const LONGEST_BODY: usize = 32 * 1024 * 1024;
/// How much of a body that is too long is read and thrown away, so that the sender reads the 413.
const LONGEST_IGNORED: usize = 128 * 1024 * 1024;
/// Bodies held at a time, in KiB; further posts wait.
const HELD_KIB: u32 = 256 * 1024;
const SLOWEST_BODY: Duration = Duration::from_secs(60);

pub struct Collector {
    committer: Committer,
    tokens: Tokens,
    room: Semaphore,
    /// The page and what it asks; plain files have none.
    view: Option<View>,
}

/// Why a request is not served.
pub struct Refused(pub StatusCode, pub String);

/// What is answered with 200.
pub enum Answer {
    Json(Value),
    Text(&'static str, Bytes),
}

impl Collector {
    pub fn new(committer: Committer, tokens: Tokens, view: Option<View>) -> Arc<Self> {
        Arc::new(Self { committer, tokens, room: Semaphore::new(HELD_KIB as usize), view })
    }

    pub async fn serve(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        let (mut response, status) = match self.answer(request, peer).await {
            Ok(Answer::Json(json)) => (with_type(json.to_string(), "application/json"), StatusCode::OK),
            Ok(Answer::Text(kind, text)) => (with_type(text, kind), StatusCode::OK),
            Err(Refused(status, why)) => (with_type(json!({"error": why}).to_string(), "application/json"), status),
        };
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'; frame-ancestors 'none'"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Result<Answer, Refused> {
        let path = request.uri().path().to_owned();
        let is_get = request.method() == Method::GET;
        if path == "/health" && is_get {
            return Ok(Answer::Json(json!({"status": "ok"})));
        }
        if path == "/v1/records" {
            self.admit(request.headers(), Right::Write)?;
            if request.method() != Method::POST {
                return Err(Refused(StatusCode::METHOD_NOT_ALLOWED, "expected POST".to_owned()));
            }
            return self.records(request).await.map(Answer::Json);
        }
        if let Some(asset) = page::asset(&path).filter(|_| self.view.is_some() && is_get) {
            return Ok(asset);
        }
        if !path.starts_with("/v1/") && path != "/metrics" {
            return Err(no_such_path());
        }
        let right = if path.starts_with("/v1/payloads/") { Right::Payloads } else { Right::Read };
        let who = self.admit(request.headers(), right)?.to_owned();
        self.is_not_rebound(request.headers())?;
        if !is_get {
            return Err(Refused(StatusCode::METHOD_NOT_ALLOWED, "expected GET".to_owned()));
        }
        let query = request.uri().query().unwrap_or_default();
        match (path.as_str(), &self.view) {
            ("/v1/stats", view) => Ok(Answer::Json(status::json(&self.committer.stats, view.as_ref()))),
            ("/metrics", view) => Ok(status::prometheus(&self.committer.stats, view.as_ref())),
            ("/v1/summary", Some(view)) => view.summary(query).await,
            ("/v1/requests", Some(view)) => view.requests(query).await,
            (path, Some(view)) => match path.strip_prefix("/v1/payloads/") {
                Some(id) => view.payload(&self.committer, id, query, (who, peer)).await,
                None => Err(no_such_path()),
            },
            _ => Err(no_such_path()),
        }
    }

    fn admit(&self, headers: &HeaderMap, right: Right) -> Result<&str, Refused> {
        self.tokens.admit(headers, right).map_err(|denied| match denied {
            Denied::Unknown => {
                let why = "expected `authorization: Bearer` with one of the collector's tokens";
                Refused(StatusCode::UNAUTHORIZED, why.to_owned())
            }
            Denied::Without(right) => {
                Refused(StatusCode::FORBIDDEN, format!("this token has not the right `{}`", right.name()))
            }
        })
    }

    /// Without a token whoever reads must have called this machine by its own name: a website whose name was made to point here
    /// could read along in a browser otherwise.
    fn is_not_rebound(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let name = host
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
            .map_or(host, |(name, _)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let is_own = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if is_own || !self.tokens.is_empty() {
            return Ok(());
        }
        Err(Refused(StatusCode::FORBIDDEN, "without a token, call it 127.0.0.1 or localhost".to_owned()))
    }

    async fn records(&self, request: Request<Incoming>) -> Result<Value, Refused> {
        let gzip = match request.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity") => false,
            Some(b"gzip") => true,
            Some(_) => {
                let why = "content-encoding: expected gzip or none".to_owned();
                return Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
            }
        };
        // Where the length is not known, or not what it will unpack to, room for the longest body is taken.
        let known =
            request.body().size_hint().exact().filter(|_| !gzip).and_then(|length| usize::try_from(length).ok());
        let kib = known.unwrap_or(LONGEST_BODY).min(LONGEST_BODY).div_ceil(1024);
        let room = self.room.acquire_many(u32::try_from(kib).unwrap_or(HELD_KIB)).await;
        let _room = room.map_err(|_| Refused(StatusCode::SERVICE_UNAVAILABLE, "shutting down".to_owned()))?;
        let body = match timeout(SLOWEST_BODY, received(request.into_body())).await {
            Ok(body) => body?,
            Err(_) => return Err(Refused(StatusCode::REQUEST_TIMEOUT, "the body took more than 60 s".to_owned())),
        };
        let read = tokio::task::spawn_blocking(move || lines(body, gzip)).await;
        let lines = read.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
        let receipt = self.committer.commit(lines).await;
        receipt.map(|receipt| json!(receipt)).map_err(|why| Refused(StatusCode::SERVICE_UNAVAILABLE, why))
    }
}

fn with_type(body: impl Into<Bytes>, kind: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn no_such_path() -> Refused {
    let why = "expected POST /v1/records, or GET of /, /health, /metrics, /v1/stats, /v1/summary, /v1/requests or /v1/payloads/ID";
    Refused(StatusCode::NOT_FOUND, why.to_owned())
}

fn too_long() -> Refused {
    Refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is over 32 MiB: send smaller batches".to_owned())
}

async fn received(mut body: Incoming) -> Result<Bytes, Refused> {
    let broken = |error| Refused(StatusCode::BAD_REQUEST, format!("the body broke off: {error}"));
    let mut bytes = BytesMut::new();
    let mut length = 0usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > LONGEST_IGNORED {
            break;
        }
        if length <= LONGEST_BODY {
            bytes.extend_from_slice(&data);
        }
    }
    if length > LONGEST_BODY { Err(too_long()) } else { Ok(bytes.freeze()) }
}

fn lines(body: Bytes, gzip: bool) -> Result<Vec<Result<Row, Rejected>>, Refused> {
    let body = if gzip { unpacked(&body)? } else { body };
    Ok(line::split(&body).map(line::read).collect())
}

fn unpacked(body: &[u8]) -> Result<Bytes, Refused> {
    let mut bytes = Vec::new();
    let unpacked = MultiGzDecoder::new(body).take(LONGEST_BODY as u64 + 1).read_to_end(&mut bytes);
    unpacked.map_err(|error| Refused(StatusCode::BAD_REQUEST, format!("the body is not whole gzip: {error}")))?;
    if bytes.len() > LONGEST_BODY { Err(too_long()) } else { Ok(bytes.into()) }
}
