//! `weir ready`: a URL in, an exit status out: whether what listens there answers 2xx (`http://`), or listens at all (`tcp://`). For
//! the health checks of containers in which nothing else could ask. It sends one GET over plain HTTP and nothing of its own.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use url::Url;

/// Ask whether a server is ready: exit status 0 if it answers 2xx (tcp:// : takes a connection), 1 if not, 2 if the URL is none
#[derive(clap::Args)]
pub struct Args {
    /// As http://127.0.0.1:9901/ready or tcp://127.0.0.1:6379
    url: Url,
    /// How long to wait for the connection, and for the answer
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

pub fn run(args: Args) -> ExitCode {
    let Args { url, timeout } = args;
    let ready = match (url.scheme(), url.host_str(), url.port()) {
        ("http", Some(_), _) => answers(&url, timeout),
        ("tcp", Some(_), Some(_)) => connect(&url, timeout).map(drop),
        _ => {
            eprintln!("error: found `{url}`, expected a URL as http://127.0.0.1:9901/ready or tcp://127.0.0.1:6379");
            return ExitCode::from(2);
        }
    };
    match ready {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("not ready: {url}: {error}");
            ExitCode::from(1)
        }
    }
}

fn answers(url: &Url, timeout: Duration) -> Result<(), String> {
    match status(url, timeout)? {
        200..=299 => Ok(()),
        status => Err(format!("it answered {status}, expected 2xx")),
    }
}

/// To the first of the name's addresses that takes it.
fn connect(url: &Url, timeout: Duration) -> Result<TcpStream, String> {
    let resolved = (host_of(url).trim_matches(['[', ']']), url.port().unwrap_or(80)).to_socket_addrs();
    let mut last = "the name has no address".to_owned();
    for address in resolved.map_err(|error| error.to_string())? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

fn host_of(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// A status line has at most some 50 bytes; the rest of the answer is not read.
const STATUS_LINE: usize = 64;

fn status(url: &Url, timeout: Duration) -> Result<u16, String> {
    let mut stream = connect(url, timeout)?;
    let (host, port) = (host_of(url), url.port().unwrap_or(80));
    let asked = stream.set_read_timeout(Some(timeout)).and_then(|()| {
        write!(stream, "GET {} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n", url.path())
    });
    asked.map_err(|error| error.to_string())?;
    let mut head = Vec::with_capacity(STATUS_LINE);
    stream.take(STATUS_LINE as u64).read_to_end(&mut head).map_err(|error| error.to_string())?;
    status_of(&head).ok_or_else(|| "what answers is no HTTP server".to_owned())
}

/// Of `HTTP/1.1 200 OK`.
fn status_of(head: &[u8]) -> Option<u16> {
    let line = String::from_utf8_lossy(head);
    let mut words = line.lines().next()?.split(' ');
    words.next()?.strip_prefix("HTTP/1.")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn status_lines() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.0 503 Service Unavailable\r\nx: y", Some(503)),
            ("HTTP/1.1 204", Some(204)),
            ("HTTP/2 200", None),
            ("SSH-2.0-OpenSSH", None),
            ("HTTP/1.1 ", None),
            ("", None),
        ] {
            assert_eq!(status_of(head.as_bytes()), expected, "{head}");
        }
    }

    #[test]
    fn a_server_that_answers_and_one_that_is_not_there() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}/ready?x=1", listener.local_addr().unwrap())).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 256];
            let size = stream.read(&mut asked).unwrap();
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").unwrap();
            String::from_utf8_lossy(&asked[..size]).into_owned()
        });
        let timeout = Duration::from_secs(5);
        assert_eq!(status(&url, timeout), Ok(503));
        assert!(server.join().unwrap().starts_with("GET /ready HTTP/1.1\r\n"));
        assert!(status(&url, timeout).is_err(), "the listener is gone");
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("tcp://{}", silent.local_addr().unwrap())).unwrap();
        assert!(connect(&url, timeout).is_ok(), "it need not answer");
        drop(silent);
        assert!(connect(&url, timeout).is_err());
    }
}
