//! The collector's HTTP side: posts of NDJSON in, receipts out. It answers 2xx only when the writer said that the rows are
//! durable, and never holds more than `HELD_KIB` of bodies at a time.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::commit::Committer;
use super::line::{self, Rejected, Row};

/// The longest body, as sent and unpacked.
const LONGEST_BODY: usize = 32 * 1024 * 1024;
/// How much of a body that is too long is read and thrown away, so that the sender reads the 413.
const LONGEST_IGNORED: usize = 128 * 1024 * 1024;
/// Bodies held at a time, in KiB; further posts wait.
const HELD_KIB: u32 = 256 * 1024;
const SLOWEST_BODY: Duration = Duration::from_secs(60);

pub struct Collector {
    committer: Committer,
    /// SHA-256 of the token, so that a comparison's time tells nothing about it.
    token: Option<[u8; 32]>,
    room: Semaphore,
}

/// Why a post is not stored.
struct Refused(StatusCode, String);

impl Collector {
    pub fn new(committer: Committer, token: Option<&str>) -> Arc<Self> {
        let token = token.map(|token| Sha256::digest(token).into());
        Arc::new(Self { committer, token, room: Semaphore::new(HELD_KIB as usize) })
    }

    pub async fn serve(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answer = match (request.method(), request.uri().path()) {
            (&Method::GET, "/health") => Ok(json!({"status": "ok"})),
            (method, path) if path.starts_with("/v1/") => match (self.admit(request.headers()), method, path) {
                (Err(refused), ..) => Err(refused),
                (Ok(()), &Method::POST, "/v1/records") => self.records(request).await,
                (Ok(()), &Method::GET, "/v1/stats") => Ok(self.stats()),
                (Ok(()), _, "/v1/records") => Err(Refused(StatusCode::METHOD_NOT_ALLOWED, "expected POST".to_owned())),
                (Ok(()), _, "/v1/stats") => Err(Refused(StatusCode::METHOD_NOT_ALLOWED, "expected GET".to_owned())),
                _ => Err(no_such_path()),
            },
            _ => Err(no_such_path()),
        };
        let (status, json) = match answer {
            Ok(json) => (StatusCode::OK, json),
            Err(Refused(status, why)) => (status, json!({"error": why})),
        };
        let mut response = Response::new(Full::from(json.to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    fn admit(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let Some(token) = self.token else { return Ok(()) };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
        match given {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case(b"bearer ") && Sha256::digest(given)[..] == token => {
                Ok(())
            }
            _ => Err(Refused(
                StatusCode::UNAUTHORIZED,
                "expected `authorization: Bearer` with the collector's token".to_owned(),
            )),
        }
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

    fn stats(&self) -> Value {
        let stats = &self.committer.stats;
        let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
        json!({
            "rows": stats.rows().map(|(table, rows)| (table.to_owned(), json!(rows))).collect::<serde_json::Map<_, _>>(),
            "duplicates": count(&stats.duplicates),
            "quarantined": count(&stats.quarantined),
            "commits": count(&stats.commits),
            "failed_commits": count(&stats.failed_commits),
        })
    }
}

fn no_such_path() -> Refused {
    Refused(StatusCode::NOT_FOUND, "expected POST /v1/records, GET /v1/stats or GET /health".to_owned())
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
