//! `weir collect`: usage records in over HTTP (`POST /v1/records`, NDJSON by DESIGN.md section 6), durable files out. A batch is
//! acknowledged only when it is on disk, a row is stored once, and what is no record goes to quarantine instead of getting lost.
//!
//! The path of a post: [`server`] reads it, [`line`](mod@line) finds each row's table and id, [`commit`] groups posts and removes
//! duplicates ([`seen`]), a [`sink`] stores. [`ndjson`] is the sink of today; [`live`] prints.

mod commit;
mod line;
mod live;
mod ndjson;
mod seen;
mod server;
mod sink;

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;

use commit::Committer;
use live::Live;
use ndjson::NdjsonSink;
use seen::{GENERATION, Seen};
use server::Collector;
use sink::Sink;

/// How long a stop waits for posts in flight.
const GRACE: Duration = Duration::from_secs(10);

/// How long a connection may be idle, or take for a request's head. Longer than the hour that Envoy keeps an idle upstream
/// connection, so that it is never closed here just as Envoy sends a batch.
const IDLE: Duration = Duration::from_secs(3660);

/// Receive usage records and store them durably, each once.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address to listen on; loopback only, unless a token is set. Port 0 picks a free one and prints it.
    #[arg(long, default_value = "127.0.0.1:9902")]
    listen: String,
    /// Folder for the records: <table>/<date of arrival, UTC>.ndjson.
    #[arg(long)]
    out: PathBuf,
    /// Bearer token that senders must present; better given in the environment.
    #[arg(long, env = "WEIR_COLLECT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print one line per stored record.
    #[arg(long)]
    print: bool,
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
    // One thread receives, one writes; reading JSON is left to tokio's blocking threads.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("no runtime"))?;
    let token = args.token.as_deref().map(str::trim).filter(|token| !token.is_empty());
    let listener = runtime.block_on(listen(&args.listen, token.is_some()))?;
    let (sink, seen) = open(&args.out)?;
    let (live, written) = match args.print {
        true => Live::start().map(|(live, written)| (Some(live), Some(written))).map_err(failed("no thread"))?,
        false => (None, None),
    };
    let (committer, writer) = Committer::start(sink, seen, live).map_err(failed("no thread"))?;
    let collector = Collector::new(committer, token);
    let served = runtime.block_on(async {
        let stop = crate::signals::stop()?;
        let address = listener.local_addr()?;
        let _ = writeln!(io::stdout(), "collect on http://{address} into {}", args.out.display());
        serve(collector, listener, stop).await;
        Ok(())
    });
    // With the runtime go the last doors to the writer; it stores what waits, and ends.
    drop(runtime);
    let ended = writer.join();
    if let Some(written) = written {
        written.wait(Duration::from_secs(1));
    }
    served.map_err(failed("cannot serve"))?;
    ended.map_err(|_| Failure(1, "the writer died; rows not acknowledged will be sent again".to_owned()))
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
                 set WEIR_COLLECT_TOKEN (or --token), or listen on 127.0.0.1",
                open.ip()
            ),
        ));
    }
    TcpListener::bind(&candidates[..]).await.map_err(failed)
}

/// Opens the folder, mends what a crash left, and reads back which rows are stored.
fn open(dir: &std::path::Path) -> Result<(NdjsonSink, Seen), Failure> {
    let failed = |failure: sink::SinkFailure| Failure(1, failure.to_string());
    let (sink, repairs) = NdjsonSink::open(dir).map_err(failed)?;
    for repair in repairs {
        log(&format!("{}: cut {} bytes of a torn last line", repair.path.display(), repair.cut_bytes));
    }
    let mut seen = Seen::new(GENERATION);
    sink.recall(GENERATION, &mut |id| seen.insert(id)).map_err(failed)?;
    Ok((sink, seen))
}

async fn serve(collector: Arc<Collector>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let stream = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    // Out of descriptors, or the peer is gone already: the next one may fare better.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        let collector = Arc::clone(&collector);
        let service = service_fn(move |request| {
            let collector = Arc::clone(&collector);
            async move { Ok::<_, Infallible>(collector.serve(request).await) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(IDLE);
        let connection = connections.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move { drop(connection.await) });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, connections.shutdown()).await.is_err() {
        log("posts were still coming in after 10 s; their senders will send them again");
    }
}
