//! A million users through one Envoy: what its memory does, and whether every count is right. Not a part of `make test`; `make
//! bench-users` runs it and prints the figures of docs/limits.md (WEIR_USERS: another number).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};
use weir_e2e::client::chat;
use weir_e2e::{Call, Endpoint, Policy, Rig, Setup};

const CONNECTIONS: u64 = 32;
const ANSWER: &str = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":1}}"#;

/// What one connection has read and not used.
struct Messages(TcpStream, Vec<u8>);

impl Messages {
    /// The next message, whole: its head, as far as its `content-length` goes. `None`: the other side has closed.
    fn next(&mut self) -> Option<String> {
        let mut buffer = [0; 4_096];
        loop {
            if let Some(end) = self.1.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.1[..end]).to_ascii_lowercase();
                let length =
                    head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
                let whole = end + 4 + length.unwrap_or_else(|| panic!("no length: {head}"));
                if self.1.len() >= whole {
                    self.1.drain(..whole);
                    return Some(head);
                }
            }
            match self.0.read(&mut buffer) {
                Ok(size @ 1..) => self.1.extend_from_slice(&buffer[..size]),
                _ => return None,
            }
        }
    }
}

/// A provider that costs next to nothing: the same answer to each request. Its port.
fn provider() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            let _ = stream.set_nodelay(true);
            thread::spawn(move || {
                let mut messages = Messages(stream, Vec::new());
                while messages.next().is_some() {
                    let _ = messages.0.write_all(answer.as_bytes());
                }
            });
        }
    });
    port
}

/// One call of each of these users; how many were admitted. Whoever is not must have been refused.
fn admitted(port: u16, users: std::ops::Range<u64>) -> usize {
    let body = chat("chat", json!({})).to_string();
    let (next, admitted) = (AtomicU64::new(users.start), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let stream = TcpStream::connect(("127.0.0.1", port)).expect("Envoy listens");
                stream.set_nodelay(true).expect("TCP_NODELAY");
                let mut messages = Messages(stream, Vec::new());
                loop {
                    let user = next.fetch_add(1, Ordering::Relaxed);
                    if user >= users.end {
                        return;
                    }
                    let request = format!(
                        "POST /v1/chat/completions HTTP/1.1\r\nhost: e2e\r\nx-user: {}\r\n\
                         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                        name(user),
                        body.len()
                    );
                    messages.0.write_all(request.as_bytes()).expect("Envoy reads");
                    let head = messages.next().expect("Envoy answers");
                    match head.lines().next() {
                        Some("http/1.1 200 ok") => drop(admitted.fetch_add(1, Ordering::Relaxed)),
                        line => assert_eq!(line, Some("http/1.1 429 too many requests"), "user {user}"),
                    }
                }
            });
        }
    });
    admitted.into_inner()
}

/// Each user may make one call in each of these periods.
async fn rig(periods: &[&str]) -> Rig {
    let provider = provider();
    let setup = Setup::new(&[], |at| {
        let endpoint = Endpoint::new("chat").entity_at("a", 100, &format!("http://127.0.0.1:{provider}/v1"));
        let limit = |period: &&str| json!({"key": "user", "calls": 1, "renewal_period": period});
        let endpoint = periods.iter().map(limit).fold(endpoint, Endpoint::limit);
        let header = json!({"header": {"user": "x-user", "trusted_from": ["127.0.0.0/8"]}});
        let mut policy = Policy::new(at).set("/identity", json!({"sources": [header]})).endpoint(endpoint);
        policy.0.as_object_mut().expect("an object").remove("logging");
        policy
    });
    let setup = setup.edit(|bootstrap, _| {
        bootstrap.http_manager().as_object_mut().expect("an object").remove("access_log");
    });
    setup.workers(2).start().await
}

const MB: f64 = 1e6;

#[tokio::test]
#[ignore = "a measurement of many minutes"]
async fn a_million_users() {
    let users = std::env::var("WEIR_USERS").map_or(1_000_000, |users| users.parse().expect("WEIR_USERS: a number"));
    println!("| counters a user | memory before | after | more | counters held | evicted | requests a second |");
    println!("|---|---|---|---|---|---|---|");
    for periods in [&["day"][..], &["hour", "day", "month"]] {
        let mut rig = rig(periods).await;
        // What any load makes Envoy keep: connections, buffers, compiled code. One user's refusals touch one slot.
        assert_eq!(admitted(rig.envoy.port, 0..1), 1);
        let warm = rig.load(20_000, 32, |_| of(0)).await;
        assert_eq!(warm.count(429), 20_000);
        drop(warm);
        let (before, begin) = (rig.envoy.resident(), Instant::now());
        // Two that shared a counter would have one call between them.
        assert_eq!(admitted(rig.envoy.port, 1..users), users as usize - 1, "every user has the one call that is his");
        let rate = users as f64 / begin.elapsed().as_secs_f64();
        let after = rig.envoy.resident();
        let (held, evicted) =
            (rig.envoy.stat("weir.limit_counters").await, rig.envoy.stat("weir.limit_counters_evicted").await);
        let more = (after as f64 - before as f64) / MB;
        println!(
            "| {} | {:.1} MB | {:.1} MB | {more:.1} MB | {held} | {evicted} | {rate:.0} |",
            periods.len(),
            before as f64 / MB,
            after as f64 / MB
        );
        assert!(more < 64.0, "{more} MB");
        assert_eq!(held + evicted, users * periods.len() as u64, "no counter is lost unseen");
        if evicted == 0 {
            for user in (0..users).step_by(1_000) {
                let own = rig.send(Call::get("/weir/v1/limits").header("x-user", &name(user))).await.json();
                let used: Vec<&Value> = own["data"].as_array().expect("rows").iter().map(|row| &row["used"]).collect();
                assert!(used.len() == periods.len() && used.iter().all(|used| **used == 1), "user {user}: {used:?}");
            }
            assert_eq!(admitted(rig.envoy.port, 0..10_000.min(users)), 0, "nobody is forgotten");
        }
        rig.assert_healthy().await;
    }
}

fn name(user: u64) -> String {
    format!("user-{user}@example.com")
}

fn of(user: u64) -> Call {
    Call::post("/v1/chat/completions", chat("chat", json!({})).to_string()).header("x-user", &name(user))
}
