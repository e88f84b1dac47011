//! The collector's HTTP side: posts of NDJSON in, receipts out; questions of the page in, JSON out. It answers a post with 2xx only
//! when the writer said that the rows are durable, and never holds more than `HELD_KIB` of bodies at a time.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap, HeaderValue,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::answer::{Answer, Refused};
use super::commit::Committer;
use super::line::{self, Rejected, Row};
use super::page::{self, View};
use super::status;
use super::tokens::{Denied, Right, Tokens};

/// The longest body, as sent and unpacked.
const LONGEST_BODY: usize = 32 * 1024 * 1024;
/// How much of a body that is too long is read and thrown away, so that the sender reads the 413.
const LONGEST_IGNORED: usize = 128 * 1024 * 1024;
/// Bodies held at a time, in KiB as they come; further posts wait.
const HELD_KIB: usize = 256 * 1024;
/// Packed bodies that are unpacked and stored at a time, each up to the longest body.
const UNPACKED: usize = 8;
/// A body may have so many lines, and one more for each so many bytes: a record has at least 90.
const FEW_LINES: usize = 1000;
const SHORTEST_LINE: usize = 64;
const SLOWEST_BODY: Duration = Duration::from_secs(60);

pub struct Collector {
    committer: Committer,
    tokens: Tokens,
    room: Semaphore,
    unpacking: Semaphore,
    /// The page and what it asks; plain files have none.
    view: Option<View>,
}

impl Collector {
    pub fn new(committer: Committer, tokens: Tokens, view: Option<View>) -> Arc<Self> {
        Arc::new(Self { committer, tokens, room: Semaphore::new(HELD_KIB), unpacking: Semaphore::new(UNPACKED), view })
    }

    /// Whether who asked for `path` and got `status` has shown that he may: a stranger's connection is not kept long.
    pub fn knows(path: &str, status: StatusCode) -> bool {
        let is_open = !path.starts_with("/v1/") && path != "/metrics";
        !is_open && status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN
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
        let (body, _room) = match timeout(SLOWEST_BODY, self.received(request.into_body())).await {
            Ok(received) => received?,
            Err(_) => return Err(Refused(StatusCode::REQUEST_TIMEOUT, "the body took more than 60 s".to_owned())),
        };
        let _unpacking = if gzip { Some(self.unpacking.acquire().await.map_err(stopped)?) } else { None };
        let read = tokio::task::spawn_blocking(move || lines(body, gzip)).await;
        let lines = read.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
        let receipt = self.committer.commit(lines).await;
        receipt.map(|receipt| json!(receipt)).map_err(|why| Refused(StatusCode::SERVICE_UNAVAILABLE, why))
    }

    /// A body, and the room that it takes: as much as has come of it, so that who only says that much will come, or sends it
    /// slowly, keeps nobody out.
    async fn received(&self, mut body: Incoming) -> Result<(Bytes, SemaphorePermit<'_>), Refused> {
        let broken = |error| Refused(StatusCode::BAD_REQUEST, format!("the body broke off: {error}"));
        let mut room = self.room.acquire_many(0).await.map_err(stopped)?;
        let mut bytes = BytesMut::new();
        let mut length = 0usize;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            length = length.saturating_add(data.len());
            if length > LONGEST_IGNORED {
                break;
            }
            if length <= LONGEST_BODY {
                let more = length.div_ceil(1024).saturating_sub(room.num_permits());
                room.merge(self.room.acquire_many(u32::try_from(more).unwrap_or(u32::MAX)).await.map_err(stopped)?);
                bytes.extend_from_slice(&data);
            }
        }
        if length > LONGEST_BODY { Err(too_long()) } else { Ok((bytes.freeze(), room)) }
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

fn stopped(_: AcquireError) -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, "shutting down".to_owned())
}

fn too_long() -> Refused {
    Refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is over 32 MiB: send smaller batches".to_owned())
}

fn lines(body: Bytes, gzip: bool) -> Result<Vec<Result<Row, Rejected>>, Refused> {
    let body = if gzip { unpacked(&body)? } else { body };
    // What is known of a line takes some 200 bytes, whatever its length: without a bound 32 MiB of empty objects would take 3 GiB.
    let most = FEW_LINES.saturating_add(body.len() / SHORTEST_LINE);
    if line::split(&body).nth(most).is_some() {
        let why = format!("over {most} lines in {} bytes, which are no records: send smaller batches", body.len());
        return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, why));
    }
    Ok(line::split(&body).map(line::read).collect())
}

fn unpacked(body: &[u8]) -> Result<Bytes, Refused> {
    let mut bytes = Vec::new();
    let unpacked = MultiGzDecoder::new(body).take(LONGEST_BODY as u64 + 1).read_to_end(&mut bytes);
    unpacked.map_err(|error| Refused(StatusCode::BAD_REQUEST, format!("the body is not whole gzip: {error}")))?;
    if bytes.len() > LONGEST_BODY { Err(too_long()) } else { Ok(bytes.into()) }
}
