//! A collector of somebody else's: a small HTTP server that keeps what it is sent, unpacked, and answers as a test tells it to.

use std::convert::Infallible;
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::process::poll;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Post {
    pub path: String,
    pub headers: HeaderMap,
    /// Unpacked, where it was packed.
    pub body: String,
    /// What it was answered with.
    pub status: u16,
}

impl Post {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Status, `retry-after`, body.
pub type Said = (u16, Option<&'static str>, &'static str);
type Decide = dyn Fn(&Post, usize) -> Said + Send + Sync;

pub struct Receiver {
    pub port: u16,
    seen: Arc<Mutex<Vec<Post>>>,
}

impl Receiver {
    /// `decide` sees each request and its number, from 0.
    pub async fn start(decide: impl Fn(&Post, usize) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (decide, kept): (Arc<Decide>, _) = (Arc::new(decide), seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (decide, kept) = (decide.clone(), kept.clone());
                let service = service_fn(move |request| answer(request, decide.clone(), kept.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { port, seen }
    }

    pub fn posts(&self) -> Vec<Post> {
        self.seen.lock().expect("no other thread has panicked").clone()
    }

    /// Waits until `enough` of what came; panics after 15 s.
    pub async fn wait(&self, enough: impl Fn(&[Post]) -> bool) -> Vec<Post> {
        let found = poll(Duration::from_secs(15), async || Some(self.posts()).filter(|posts| enough(posts))).await;
        found.unwrap_or_else(|| panic!("not enough came: {:#?}", self.posts()))
    }
}

/// The lines of NDJSON that were accepted.
pub fn lines(posts: &[Post]) -> Vec<Value> {
    let accepted = posts.iter().filter(|post| post.status == 200);
    accepted.flat_map(|post| post.body.lines()).map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

async fn answer(
    request: Request<Incoming>,
    decide: Arc<Decide>,
    kept: Arc<Mutex<Vec<Post>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let is_gzip = parts.headers.get("content-encoding").is_some_and(|coding| coding == "gzip");
    let mut text = String::new();
    match is_gzip {
        true => drop(GzDecoder::new(&*bytes).read_to_string(&mut text).expect("whole gzip of text")),
        false => text = String::from_utf8(bytes.to_vec()).expect("text"),
    }
    let mut post = Post { path: parts.uri.path().to_owned(), headers: parts.headers, body: text, status: 0 };
    let mut kept = kept.lock().expect("no other thread has panicked");
    let (status, retry_after, said) = decide(&post, kept.len());
    post.status = status;
    kept.push(post);
    let mut response = Response::new(Full::from(said));
    *response.status_mut() = status.try_into().expect("a status");
    if let Some(seconds) = retry_after {
        response.headers_mut().insert("retry-after", seconds.parse().expect("a value"));
    }
    Ok(response)
}
