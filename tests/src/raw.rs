//! Bytes on a socket, for what no HTTP client would send: bodies in one-byte chunks, pipelined requests, connections that break off.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A plain TCP connection. No Nagle: each write leaves as it is.
pub struct Raw(TcpStream);

impl Raw {
    pub async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a listening port");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Self(stream)
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the other side still reads");
    }

    /// As `write`, where the other side may answer and close before it has read all.
    pub async fn try_write(&mut self, bytes: &[u8]) {
        let _ = timeout(Duration::from_secs(10), self.0.write_all(bytes)).await;
    }

    /// What comes until `enough` holds of it all, or the other side closes, or 10 s have passed.
    pub async fn read_until(&mut self, enough: impl Fn(&str) -> bool) -> String {
        let mut all = Vec::new();
        let mut buffer = [0; 16_384];
        while !enough(&String::from_utf8_lossy(&all)) {
            match timeout(Duration::from_secs(10), self.0.read(&mut buffer)).await {
                Ok(Ok(n)) if n > 0 => all.extend_from_slice(&buffer[..n]),
                _ => break,
            }
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Everything until the other side closes.
    pub async fn read_to_end(&mut self) -> String {
        self.read_until(|_| false).await
    }

    /// Ends the connection by RST, as a process that is killed does.
    pub fn abort(self) {
        self.0.set_zero_linger().expect("SO_LINGER");
    }
}

/// The head of a POST with a body in chunks.
pub fn chunked_head(path: &str, key: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: e2e\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    )
}

/// One HTTP chunk of these bytes.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
