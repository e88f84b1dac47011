//! `weir ready`: a URL in, an exit status out: whether what listens there answers 2xx. For the health checks of containers in
//! which nothing else could ask. It sends one GET over plain HTTP and nothing of its own.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use url::Url;

/// Ask whether a server is ready: exit status 0 if it answers 2xx, 1 if not, 2 if the URL is none
#[derive(clap::Args)]
pub struct Args {
    /// As http://127.0.0.1:9901/ready
    url: Url,
    /// How long to wait for the connection, and for the answer
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

pub fn run(args: Args) -> ExitCode {
    if args.url.scheme() != "http" || args.url.host_str().is_none() {
        eprintln!("error: found `{}`, expected a URL as http://127.0.0.1:9901/ready", args.url);
        return ExitCode::from(2);
    }
    match status(&args.url, args.timeout) {
        Ok(200..=299) => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("not ready: {} answered {status}, expected 2xx", args.url);
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("not ready: {}: {error}", args.url);
            ExitCode::from(1)
        }
    }
}

/// A status line has at most some 50 bytes; the rest of the answer is not read.
const STATUS_LINE: usize = 64;

fn status(url: &Url, timeout: Duration) -> Result<u16, String> {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or(80));
    let resolved = (host.trim_matches(['[', ']']), port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut last = "the name has no address".to_owned();
    for address in resolved {
        let mut stream = match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => stream,
            Err(error) => {
                last = error.to_string();
                continue;
            }
        };
        let asked = stream.set_read_timeout(Some(timeout)).and_then(|()| {
            write!(stream, "GET {} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n", url.path())
        });
        asked.map_err(|error| error.to_string())?;
        let mut head = Vec::with_capacity(STATUS_LINE);
        stream.take(STATUS_LINE as u64).read_to_end(&mut head).map_err(|error| error.to_string())?;
        return status_of(&head).ok_or_else(|| "what answers is no HTTP server".to_owned());
    }
    Err(last)
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
    }
}
