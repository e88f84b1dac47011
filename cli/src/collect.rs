//! `weir collect`: usage records in over HTTP (`POST /v1/records`, NDJSON by DESIGN.md section 6), Delta tables and a page out. A batch is
//! acknowledged only when it is on disk, a row is stored once, and what is no record goes to quarantine instead of getting lost.
//!
//! The path of a post: [`server`] reads it, [`line`](mod@line) finds each row's table and id, [`commit`] groups posts and removes
//! duplicates ([`seen`]), a [`sink`] makes them durable: the [`journal`], from which [`flush`] writes the tables of a [`lake`], or
//! [`ndjson`] files. [`rollup`] sums up what [`page`] shows; [`live`] prints.

mod answer;
mod commit;
mod files;
mod flush;
mod journal;
pub mod lake;
mod line;
mod live;
mod ndjson;
mod page;
mod payloads;
pub mod rollup;
pub mod rows;
mod seen;
mod server;
mod sink;
mod start;
mod status;
mod tls;
mod tokens;

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use commit::Committer;
use live::Live;
use server::Collector;
use start::Stored;
use tokens::Tokens;

/// How long a stop waits for posts in flight.
const GRACE: Duration = Duration::from_secs(10);

/// How long a connection may be idle, or take for a request's head. Longer than the hour that Envoy keeps an idle upstream
/// connection, so that it is never closed here just as Envoy sends a batch.
const IDLE: Duration = Duration::from_secs(3660);

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a connection may live on which nobody has shown that he may ask for anything: longer than his first post may take.
const STRANGER: Duration = Duration::from_secs(120);

/// Connections at a time; further ones wait. Below the 1,024 files that a process may have open by default: the journal and the
/// tables need some.
const CONNECTIONS: usize = 900;

/// Receive usage records into Delta tables, each once, and show them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address to listen on; loopback only, unless a token is set. Port 0 picks a free one and prints it.
    #[arg(long, default_value = "127.0.0.1:9902")]
    listen: String,
    /// Where the tables are: a folder, or s3://, abfss:// or gs:// (credentials from the environment, as these stores name them).
    #[arg(long)]
    out: String,
    /// What to write: Delta tables, or <table>/<date of arrival, UTC>.ndjson for programs that read lines (without a page).
    #[arg(long, value_enum, default_value = "delta")]
    format: Format,
    /// Local folder for rows that are in no table yet; default: OUT/.journal. Each collector has one of its own.
    #[arg(long)]
    journal: Option<PathBuf>,
    /// Bytes that the journal may hold while the tables cannot be written; then posts are answered 503.
    #[arg(long, default_value_t = 4 << 30)]
    journal_bytes: u64,
    /// How often rows are committed to their tables.
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    commit_every: Duration,
    /// How often small files are put together; those younger than this, or than a minute, are left for the next time.
    #[arg(long, default_value = "1m", value_parser = humantime::parse_duration)]
    compact_every: Duration,
    /// How long files and versions that no table needs any more stay: no query, and no commit of another collector, may take longer.
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    vacuum_after: Duration,
    /// How long rows are kept, as in 90d; default: for ever.
    #[arg(long, value_parser = humantime::parse_duration)]
    retention: Option<Duration>,
    /// How long payloads are kept; default: as long as all rows.
    #[arg(long, value_parser = humantime::parse_duration)]
    payload_retention: Option<Duration>,
    /// Bearer token that senders and readers must present; better given in the environment.
    #[arg(long, env = "WEIR_COLLECT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// File of tokens, one a line: TOKEN NAME RIGHTS, with rights of write, read, payloads, separated by commas.
    #[arg(long, conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Certificate chain in PEM: serve HTTPS.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key in PEM.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Print one line per stored record.
    #[arg(long)]
    print: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Delta,
    Ndjson,
}

/// Why the collector does not start or go on, and the exit status that says so.
struct Failure(u8, String);

/// Serves until Ctrl-C or SIGTERM: 0. Listening beyond loopback without a token: 2. A folder or address that cannot be
/// had: 1.
pub fn run(args: Args) -> ExitCode {
    match collect(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(code, why)) => {
            log(&why);
            ExitCode::from(code)
        }
    }
}

fn collect(args: Args) -> Result<(), Failure> {
    let failed = |what: &'static str| move |error: io::Error| Failure(1, format!("{what}: {error}"));
    // One thread receives, one makes rows durable, one writes the tables; reading JSON is left to tokio's blocking threads.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("no runtime"))?;
    let tokens = tokens(&args)?;
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => Some(tls::acceptor(cert, key).map_err(|why| Failure(1, why))?),
        _ => None,
    };
    let listener = runtime.block_on(listen(&args.listen, !tokens.is_empty()))?;
    let Stored { sink, seen, view, flusher } = start::open(&args)?;
    let (live, written) = match args.print {
        true => Live::start().map(|(live, written)| (Some(live), Some(written))).map_err(failed("no thread"))?,
        false => (None, None),
    };
    let (committer, writer) = Committer::start(sink, seen, live).map_err(failed("no thread"))?;
    let collector = Collector::new(committer, tokens, view);
    let served = runtime.block_on(async {
        let stop = crate::signals::stop()?;
        let address = listener.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let _ = writeln!(io::stdout(), "collect on {scheme}://{address} into {}", args.out);
        serve(collector, listener, tls, stop).await;
        Ok(())
    });
    // With the runtime go the last doors to the writer; it stores what waits, and ends. Then the tables get what is in the journal.
    drop(runtime);
    let ended = writer.join();
    if let Some(flusher) = flusher {
        flusher.stop();
    }
    if let Some(written) = written {
        written.wait(Duration::from_secs(1));
    }
    served.map_err(failed("cannot serve"))?;
    ended.map_err(|_| Failure(1, "the writer died; rows not acknowledged will be sent again".to_owned()))
}

fn tokens(args: &Args) -> Result<Tokens, Failure> {
    if let Some(path) = &args.token_file {
        return Tokens::read(path).map_err(|why| Failure(1, why));
    }
    let token = args.token.as_deref().map(str::trim).filter(|token| !token.is_empty());
    Ok(token.map(Tokens::one).unwrap_or_default())
}

/// One line to standard error.
fn log(message: &str) {
    let _ = writeln!(io::stderr(), "weir collect: {message}");
}

async fn listen(address: &str, token: bool) -> Result<TcpListener, Failure> {
    let failed = |error| Failure(1, format!("cannot listen on {address}: {error}"));
    let candidates: Vec<_> = tokio::net::lookup_host(address).await.map_err(failed)?.collect();
    // Looked at before binding, so that no port is open to the world for even a moment.
    if let Some(open) = candidates.iter().find(|candidate| !candidate.ip().is_loopback())
        && !token
    {
        return Err(Failure(
            2,
            format!(
                "--listen {address}: {} is not a loopback address, and without a token anybody could write records; \
                 set WEIR_COLLECT_TOKEN (or --token, --token-file), or listen on 127.0.0.1",
                open.ip()
            ),
        ));
    }
    TcpListener::bind(&candidates[..]).await.map_err(failed)
}

async fn serve(
    collector: Arc<Collector>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
) {
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let next = async || (places.clone().acquire_owned().await, listener.accept().await);
    loop {
        let (place, stream, peer) = tokio::select! {
            () = &mut stop => break,
            (place, accepted) = next() => match accepted {
                Ok((stream, peer)) => (place, stream, peer),
                Err(_) => {
                    // Out of descriptors, or the peer is gone already: the next one may fare better.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        let (collector, watcher, tls) = (Arc::clone(&collector), connections.watcher(), tls.clone());
        tokio::spawn(async move {
            let _place = place;
            match tls {
                None => talk(collector, stream, peer, watcher).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                        talk(collector, stream, peer, watcher).await;
                    }
                }
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, connections.shutdown()).await.is_err() {
        log("posts were still coming in after 10 s; their senders will send them again");
    }
}

/// One connection, to its end.
async fn talk<S>(collector: Arc<Collector>, stream: S, peer: SocketAddr, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let known = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&known);
    let service = service_fn(move |request: Request<Incoming>| {
        let (collector, told) = (Arc::clone(&collector), Arc::clone(&told));
        async move {
            let path = request.uri().path().to_owned();
            let response = collector.serve(request, peer).await;
            told.fetch_or(Collector::knows(&path, response.status()), Ordering::Relaxed);
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE);
    let connection = watcher.watch(builder.serve_connection(TokioIo::new(stream), service));
    let stranger = async {
        tokio::time::sleep(STRANGER).await;
        if known.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = connection => drop(ended),
        () = stranger => {}
    }
}
