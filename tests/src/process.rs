//! Processes that a rig starts, and where they write: a free port, a folder, a child that ends with its owner. Waits are bounded.

use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout").to_owned()
}

/// A file of `dist/`, which `make build` leaves.
pub fn dist(name: &str) -> PathBuf {
    let path = std::env::var_os("WEIR_E2E_DIST").map_or_else(|| root().join("dist"), PathBuf::from).join(name);
    assert!(path.exists(), "{} is missing: run `make build`", path.display());
    path
}

/// A port that nobody listens on. It lies below Linux's range for outgoing connections (32768 up), so that none of the many
/// that a load opens takes it before its owner does. The UDP port of the same number, held until this process ends, claims it
/// among all test runs on the machine.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(61);
    for _ in 0..2000 {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let port = u16::try_from(12_000 + offset).expect("below 32768");
        if let Ok(claim) = UdpSocket::bind(("127.0.0.1", port))
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            std::mem::forget(claim);
            return port;
        }
    }
    panic!("no free port between 12000 and 32000");
}

/// A new folder under `target/e2e`. It stays where it is when the test that made it fails.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = root().join("target/e2e").join(format!("{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
        Self(path)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A child process with its output in a file; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, appending what it prints to `log`.
    pub fn start(name: &str, command: &mut Command, log: PathBuf) -> Self {
        let file = File::options().create(true).append(true).open(&log).expect("the log can be written");
        let error = file.try_clone().expect("a second handle of the log");
        let child = command.stdin(Stdio::null()).stdout(file).stderr(error).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        Self { name: name.to_owned(), child, log }
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The last lines of its log, with a head that says whose they are.
    pub fn tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        let last = &all[all.len().saturating_sub(lines)..];
        format!("--- {} (all of it in {})\n{}\n", self.name, self.log.display(), last.join("\n"))
    }

    /// Waits until `ready` holds; panics with the log's end when the process ends or the time is over.
    pub async fn wait_until(&mut self, bound: Duration, ready: impl AsyncFn() -> bool) {
        let end = Instant::now() + bound;
        loop {
            let answers = ready().await;
            // What answers for a process that has ended is somebody else.
            let over = self.child.try_wait().ok().flatten();
            if over.is_none() && answers {
                return;
            }
            if over.is_some() || Instant::now() >= end {
                panic!("{} was not ready within {bound:?} (ended: {over:?})\n{}", self.name, self.tail(30));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks it to end (SIGTERM), and waits.
    pub async fn terminate(&mut self, bound: Duration) {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {} failed", self.name);
        let end = Instant::now() + bound;
        while self.child.try_wait().ok().flatten().is_none() {
            assert!(Instant::now() < end, "{} did not end within {bound:?} of SIGTERM", self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Memory that it holds, in bytes.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process that runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its resident memory");
        let kilobytes = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
        kilobytes * 1024
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().ok().flatten().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls `probe` until it gives something; `None` when `bound` is over.
pub async fn poll<T>(bound: Duration, probe: impl AsyncFn() -> Option<T>) -> Option<T> {
    let end = Instant::now() + bound;
    loop {
        let found = probe().await;
        if found.is_some() || Instant::now() >= end {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use super::*;

    /// Between threads by the claims alone; between processes too, since the system knows whose a claim is.
    #[test]
    fn no_port_is_given_twice() {
        let threads: Vec<_> =
            (0..8).map(|_| thread::spawn(|| (0..25).map(|_| free_port()).collect::<Vec<_>>())).collect();
        let ports: Vec<u16> = threads.into_iter().flat_map(|thread| thread.join().expect("25 ports")).collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 200);
        for port in ports {
            assert!(UdpSocket::bind(("127.0.0.1", port)).is_err(), "{port} could be claimed again");
        }
    }
}
