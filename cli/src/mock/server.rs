//! One request to the mock, from its bytes to its answer: who is asked (an API, `/health`, `/_mock/*`), which orders hold for it,
//! and the answer framed as they say. It never answers what a real provider could not have sent, unless it was told to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::time::sleep;

use super::behaviour::{Behaviour, LONGEST_WAIT_MS};
use super::body::Body;
use super::compose::{self, Composed, compose};
use super::credentials::Keys;
use super::journal::Journal;
use super::openai::{self, to_bytes};
use super::profile::{Counter, Profile};
use super::route::{Provider, Route};
use super::script::{End, InFlight, ResetSwitch, Script};

/// Bodies over this many bytes are answered 413.
const LONGEST_BODY: usize = 64 * 1024 * 1024;
const JSON: &str = "application/json";

/// The mock: its name, its standing orders, and what it has seen.
pub struct Mock {
    pub profile: Profile,
    flags: Arc<Behaviour>,
    orders: RwLock<Arc<Behaviour>>,
    journal: Journal,
    in_flight: Arc<AtomicU64>,
}

/// No answer: the connection is to be dropped.
#[derive(Debug)]
pub struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

impl Mock {
    pub fn new(name: String, models: Vec<String>, keys: Keys, flags: Behaviour, keep: usize) -> Self {
        let flags = Arc::new(flags);
        let orders = RwLock::new(Arc::clone(&flags));
        Self {
            profile: Profile { name, models, keys, tokens: Counter::default() },
            flags,
            orders,
            journal: Journal::new(keep),
            in_flight: Arc::default(),
        }
    }

    /// Answers one request, or drops it where that is what was ordered.
    pub async fn serve(&self, request: Request<Incoming>, switch: ResetSwitch) -> Result<Response<Script>, Dropped> {
        let (parts, body) = request.into_parts();
        let body = match Limited::new(body, LONGEST_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Ok(refusal(StatusCode::PAYLOAD_TOO_LARGE, "the mock takes bodies of up to 64 MiB"));
            }
            Err(_) => return Err(Dropped),
        };
        if let Some(verb) = parts.uri.path().strip_prefix("/_mock/") {
            return Ok(self.control(verb, &parts, &body));
        }
        if parts.method == Method::GET && parts.uri.path() == "/health" {
            return Ok(plain(StatusCode::OK, to_bytes(&json!({"status": "ok", "name": self.profile.name}))));
        }
        let in_flight = InFlight::enter(&self.in_flight);
        self.journal.enter(&parts, &body);
        let answer = self.answer(&parts, &body, &switch).await?;
        Ok(answer.map(|script| script.counted(in_flight)))
    }

    async fn answer(&self, parts: &Parts, body: &Bytes, switch: &ResetSwitch) -> Result<Response<Script>, Dropped> {
        let route = Route::of(parts);
        let read = Body::read(&route, body);
        let own = read.as_ref().map_or(Ok(None), |read| read.orders(&self.profile.name));
        let orders = match own {
            Ok(Some(own)) => Arc::new(own),
            Ok(None) => self.orders(),
            Err(why) => return Ok(refusal(StatusCode::BAD_REQUEST, &why)),
        };
        if orders.delay_ms > 0 {
            sleep(Duration::from_millis(orders.delay_ms)).await;
        }
        if orders.hang {
            sleep(Duration::from_millis(LONGEST_WAIT_MS)).await;
            return Err(Dropped);
        }
        if orders.reset {
            switch.on();
            return Err(Dropped);
        }
        let number = self.journal.count();
        let request =
            compose::Request { mock: &self.profile, route: &route, parts, bytes: body, orders: &orders, number };
        Ok(frame(compose(&request, read), &orders, switch))
    }

    /// The verbs under `/_mock/`, by which tests watch and steer.
    fn control(&self, verb: &str, parts: &Parts, body: &Bytes) -> Response<Script> {
        match (&parts.method, verb) {
            (&Method::GET, "count") => {
                let in_flight = self.in_flight.load(Ordering::Relaxed);
                plain(
                    StatusCode::OK,
                    to_bytes(
                        &json!({"requests": self.journal.count(), "in_flight": in_flight, "tokens": self.profile.tokens.get()}),
                    ),
                )
            }
            (&Method::GET, "requests") if self.journal.keep() == 0 => {
                refusal(StatusCode::CONFLICT, "no request is kept: start the mock with --keep N")
            }
            (&Method::GET, "requests") => {
                let last = parts.uri.query().and_then(|query| query.strip_prefix("last=")).map(str::parse);
                match last.unwrap_or(Ok(usize::MAX)) {
                    Ok(n) => plain(StatusCode::OK, to_bytes(&self.journal.last(n))),
                    Err(_) => refusal(StatusCode::BAD_REQUEST, "expected ?last=N, a whole number"),
                }
            }
            (&Method::POST, "reset") => {
                self.journal.reset();
                self.profile.tokens.reset();
                self.order(Arc::clone(&self.flags));
                plain(StatusCode::OK, to_bytes(&json!({"ok": true})))
            }
            (&Method::POST, "behave") => match Behaviour::from_json(&String::from_utf8_lossy(body)) {
                Ok(orders) => {
                    self.order(Arc::new(orders));
                    plain(StatusCode::OK, to_bytes(&json!({"ok": true})))
                }
                Err(why) => refusal(StatusCode::BAD_REQUEST, &why),
            },
            _ => refusal(StatusCode::NOT_FOUND, "expected GET count or requests, POST reset or behave, under /_mock/"),
        }
    }

    fn orders(&self) -> Arc<Behaviour> {
        Arc::clone(&self.orders.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn order(&self, orders: Arc<Behaviour>) {
        *self.orders.write().unwrap_or_else(PoisonError::into_inner) = orders;
    }
}

/// Puts an answer into HTTP: its length told, chunked or false, its bytes whole, cut or broken off.
fn frame(composed: Composed, orders: &Behaviour, switch: &ResetSwitch) -> Response<Script> {
    let Composed { status, content_type, headers, mut pieces, stream } = composed;
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, content_type);
    if let Some(seconds) = orders.retry_after {
        response = response.header(RETRY_AFTER, seconds);
    }
    for (name, value) in headers {
        response = response.header(name, value);
    }
    for (name, value) in &orders.headers {
        response = response.header(name, value);
    }
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let mut end = End::Clean;
    if let Some(after) = orders.midreset {
        if stream {
            pieces.truncate(after);
        } else {
            response = response.header(CONTENT_LENGTH, length);
            pieces.iter_mut().for_each(|piece| piece.truncate(piece.len() / 2));
        }
        end = End::Reset;
    } else if orders.wrong_content_length {
        response = response.header(CONTENT_LENGTH, length.saturating_add(64));
        end = End::Short;
    }
    let body = match end == End::Clean && !stream && orders.chunk_bytes.is_none() {
        true => Script::whole(pieces.into_iter().next().unwrap_or_default()),
        false => Script::pieces(pieces, end, orders, switch),
    };
    // Names and values were checked when the orders were read.
    response.body(body).unwrap_or_else(|error| refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))
}

fn refusal(status: StatusCode, message: &str) -> Response<Script> {
    plain(status, openai::error(Provider::OpenAi, status, &format!("weir mock: {message}")))
}

fn plain(status: StatusCode, json: Bytes) -> Response<Script> {
    let mut response = Response::new(Script::whole(json));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(JSON));
    response
}
