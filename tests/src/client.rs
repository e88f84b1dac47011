//! The caller's side: a `Call` out, an `Answer` (whole) or a `Streamed` (piece by piece, with times) back, and many calls at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::{Value, json};

/// No test waits longer than this for one answer.
const LONGEST: Duration = Duration::from_secs(60);

/// A request that is to be sent.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    pub fn get(path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }

    pub fn post(path: &str, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(path) }.header("content-type", "application/json")
    }

    /// `POST /v1/chat/completions` as the owner of `key`.
    pub fn chat(key: &str, body: &Value) -> Self {
        Self::post("/v1/chat/completions", body.to_string()).key(key)
    }

    pub fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn request(&self, base: &str) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(&self.method).uri(format!("{base}{}", self.path));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body.clone())).expect("a request of valid parts")
    }
}

/// A chat request's body: one user message, and whatever `more` adds.
pub fn chat(model: &str, more: Value) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "How deep is the weir today?"}]});
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    body
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: not JSON ({error}): {}", self.status, self.text()))
    }

    /// What the model said.
    pub fn content(&self) -> String {
        self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
    }
}

/// An answer as it came.
#[derive(Debug)]
pub struct Streamed {
    pub status: u16,
    pub headers: HeaderMap,
    /// When each piece was there, from the request on.
    pub pieces: Vec<(Duration, Bytes)>,
    /// Whether it ended as HTTP says, rather than by a reset.
    pub clean_end: bool,
}

impl Streamed {
    pub fn bytes(&self) -> Bytes {
        self.pieces.iter().flat_map(|(_, piece)| piece.iter().copied()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// The content type without its parameters.
    pub fn content_type(&self) -> String {
        let value = self.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_owned()
    }

    /// The `data:` of every event, `[DONE]` too.
    pub fn events(&self) -> Vec<String> {
        self.text().split("\n\n").filter_map(|event| event.strip_prefix("data: ").map(str::to_owned)).collect()
    }

    pub fn content(&self) -> String {
        let events = self.events();
        let chunks = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
        chunks.filter_map(|chunk| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())).collect()
    }
}

/// What many calls gave.
#[derive(Debug, Default)]
pub struct Tally {
    pub by_status: BTreeMap<u16, usize>,
    pub answers: Vec<Answer>,
}

impl Tally {
    pub fn count(&self, status: u16) -> usize {
        self.by_status.get(&status).copied().unwrap_or(0)
    }
}

/// A keep-alive HTTP/1.1 client of one server.
#[derive(Clone)]
pub struct Client {
    base: String,
    inner: legacy::Client<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// `base` as in `http://127.0.0.1:8080`.
    pub fn new(base: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let inner = legacy::Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Self { base: base.to_owned(), inner }
    }

    /// The whole answer; panics where there is none.
    pub async fn send(&self, call: &Call) -> Answer {
        self.try_send(call).await.unwrap_or_else(|why| panic!("{} {}: {why}", call.method, call.path))
    }

    pub async fn try_send(&self, call: &Call) -> Result<Answer, String> {
        let whole = async {
            let (parts, body) = self.open(call).await.map_err(|error| chain(&error))?.into_parts();
            let body = body.collect().await.map_err(|error| chain(&error))?.to_bytes();
            Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
        };
        tokio::time::timeout(LONGEST, whole).await.unwrap_or_else(|_| Err(format!("no answer within {LONGEST:?}")))
    }

    /// The answer as it comes.
    pub async fn stream(&self, call: &Call) -> Streamed {
        self.stream_until(call, usize::MAX).await
    }

    /// As `stream`, but goes away (closes the connection) after so many pieces.
    pub async fn stream_until(&self, call: &Call, most: usize) -> Streamed {
        let begin = Instant::now();
        let all = async {
            let (parts, mut body) =
                self.open(call).await.unwrap_or_else(|error| panic!("{}", chain(&error))).into_parts();
            let (mut pieces, mut clean_end) = (Vec::new(), true);
            while pieces.len() < most {
                match body.frame().await {
                    None => break,
                    Some(Ok(frame)) => pieces.extend(frame.into_data().ok().map(|data| (begin.elapsed(), data))),
                    Some(Err(_)) => {
                        clean_end = false;
                        break;
                    }
                }
            }
            Streamed { status: parts.status.as_u16(), headers: parts.headers, pieces, clean_end }
        };
        tokio::time::timeout(LONGEST, all).await.expect("the stream's end in time")
    }

    /// `n` calls, `parallel` at a time. `call` makes the one of a number.
    pub async fn load(&self, n: usize, parallel: usize, call: impl Fn(usize) -> Call) -> Tally {
        let call = &call;
        let answers = futures_util::stream::iter(0..n)
            .map(|number| async move { self.send(&call(number)).await })
            .buffer_unordered(parallel)
            .collect::<Vec<_>>()
            .await;
        let mut by_status = BTreeMap::new();
        for answer in &answers {
            *by_status.entry(answer.status).or_default() += 1;
        }
        Tally { by_status, answers }
    }

    async fn open(&self, call: &Call) -> Result<Response<Incoming>, Error> {
        self.inner.request(call.request(&self.base)).await
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
