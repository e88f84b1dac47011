//! `weir mock`: a provider of any protocol for demos, tests and benchmarks. Requests come in over HTTP/1.1; answers go out as its
//! flags, `POST /_mock/behave`, or the request's own field `mock` say, failures of every kind among them. It calls nobody.
//!
//! A request's field `mock` is an object from a mock's name (or `*`) to orders: `{"mock": {"a": {"status": 503}, "b": {}}}`.
//! Orders replace those before them as a whole: a request's own stand in place of the standing ones. All keys are in
//! [`behaviour::Behaviour`]. Tokens are words: see [`text`].

mod account;
mod anthropic;
mod ask;
mod bedrock;
mod behaviour;
mod body;
mod cohere;
mod compose;
mod credentials;
mod databricks;
mod frames;
mod google;
mod help;
mod journal;
mod openai;
mod profile;
mod refused;
mod route;
mod say;
mod schema;
mod script;
mod server;
mod text;
mod tokens;

use std::io::{self, Write as _};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use account::Account;
use bedrock::sigv4::AwsKey;
use behaviour::Behaviour;
use credentials::Keys;
use script::ResetSwitch;
use server::Mock;

/// Serve a mock provider: every provider's protocol, and failures on order.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::HELP)]
pub struct Args {
    /// Address to listen on; port 0 picks a free one and prints it.
    #[arg(long, default_value = "127.0.0.1:9911")]
    listen: String,
    /// Its name: in its answers, and the key under which a request's `mock` field speaks to it.
    #[arg(long, default_value = "mock")]
    name: String,
    /// A model that GET .../models lists; may be given again. Any model is answered for. [default: the mock's name]
    #[arg(long = "model")]
    models: Vec<String>,
    /// What to do with every request: `503`, `reset`, `delay_ms=50`, or a JSON object of such keys; may be given again.
    #[arg(long)]
    behave: Vec<String>,
    /// The API key or bearer token to insist on, where the provider's API has it. [default: any]
    #[arg(long)]
    key: Option<String>,
    /// The AWS key whose signatures (SigV4) Bedrock's requests must have. [default: any that is well-formed]
    #[arg(long, value_name = "ID:SECRET[:REGION]")]
    aws_key: Option<AwsKey>,
    /// The JSON file of the Google service account whose assertions /token takes. [default: any, unverified]
    #[arg(long, value_name = "FILE")]
    service_account: Option<String>,
    /// Keep the last N requests for GET /_mock/requests.
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep: usize,
}

/// Serves until Ctrl-C or SIGTERM: 0. Wrong flags: 2. An address that cannot be had: 1.
pub fn run(args: Args) -> ExitCode {
    let flags = match Behaviour::from_flags(&args.behave) {
        Ok(flags) => flags,
        Err(why) => return fail(2, &why),
    };
    let models = if args.models.is_empty() { vec![args.name.clone()] } else { args.models };
    let account = match args.service_account.as_deref().map(Account::read).transpose() {
        Ok(account) => account,
        Err(why) => return fail(2, &format!("--service-account {why}")),
    };
    let keys = Keys { key: args.key, aws: args.aws_key, account };
    let mock = Arc::new(Mock::new(args.name, models, keys, flags, args.keep));
    // One thread: answers are made in microseconds, and a second one would take the core of what is measured.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("no runtime: {error}")),
    };
    match runtime.block_on(serve(mock, &args.listen)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &format!("cannot listen on {}: {error}", args.listen)),
    }
}

fn fail(code: u8, why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "weir mock: {why}");
    ExitCode::from(code)
}

async fn serve(mock: Arc<Mock>, listen: &str) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let stop = crate::signals::stop()?;
    let _ = writeln!(io::stdout(), "mock {} on http://{}", mock.profile.name, listener.local_addr()?);
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(connection(Arc::clone(&mock), stream))),
                // Out of descriptors, or the peer is gone already: the next one may fare better.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop => {}
    }
    Ok(())
}

async fn connection(mock: Arc<Mock>, stream: TcpStream) {
    // A chunk must leave when it is written, not when the next one is.
    let _ = stream.set_nodelay(true);
    let switch = ResetSwitch::default();
    let line = Line { stream, switch: switch.clone() };
    let service = service_fn(move |request| {
        let (mock, switch) = (Arc::clone(&mock), switch.clone());
        async move { mock.serve(request, switch).await }
    });
    // hyper's limit on the time for a request's head also runs on idle connections: a proxy's pool would lose them.
    let server = http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(line), service);
    // Errors here are the peer's going away, or ours on purpose.
    let _ = server.await;
}

/// A connection that ends with RST when its switch is on.
struct Line {
    stream: TcpStream,
    switch: ResetSwitch,
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.switch.is_on() {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
