//! When to stop: Ctrl-C or SIGTERM, as one future for the commands that serve.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Catches both signals from now on; the future is done at the first one. Must be called inside a tokio runtime.
pub fn stop() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
