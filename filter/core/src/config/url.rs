//! `http(s)://host[:port][/path]`: a base URL of the policy in, an [`Upstream`] out. Userinfo, queries and fragments are
//! refused, and never shown: they may hold credentials.

use std::net::Ipv6Addr;

use super::{Upstream, reader::Field};

/// Reads a base URL. A slash at its end is dropped.
pub(super) fn read(field: &Field<'_>) -> Option<Upstream> {
    let text = field.text()?;
    if text.contains(['@', '?', '#']) {
        field.reject_unseen("a URL without user, password, query and fragment");
        return None;
    }
    let upstream = parse(text);
    if upstream.is_none() {
        field.reject("a URL: http:// or https://, a host, and if need be a port and a path");
    }
    upstream
}

fn parse(text: &str) -> Option<Upstream> {
    let (scheme, rest) = text.split_once("://")?;
    let (tls, default_port) = match scheme {
        "http" => (false, 80),
        "https" => (true, 443),
        _ => return None,
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = split_port(authority)?;
    let port = port.unwrap_or(default_port);
    let host = host.to_ascii_lowercase();
    if !path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'`')) {
        return None;
    }
    let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    Some(Upstream {
        tls,
        authority: if port == default_port { shown } else { format!("{shown}:{port}") },
        host,
        port,
        path_prefix: path.trim_end_matches('/').to_owned(),
    })
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
    } else {
        let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
        (Some(host).filter(|host| is_host(host))?, port)
    };
    let port = match port {
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some(port.parse().ok().filter(|port| *port > 0)?),
        Some(_) => return None,
        None => None,
    };
    Some((host, port))
}

/// A DNS name or an IPv4 address.
pub(super) fn is_host(host: &str) -> bool {
    // RFC 1035: at most 253 characters in text.
    (1..=253).contains(&host.len())
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && !host.split('.').any(str::is_empty)
}

/// The name of a cluster that exists in Envoy; it goes into a header.
pub(super) fn read_cluster(field: &Field<'_>) -> Option<String> {
    let valid = |name: &str| name.len() <= 255 && name.bytes().all(|b| b.is_ascii_graphic() && b != b',');
    field.matching("the name of a cluster: visible ASCII, at most 255 characters", valid).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn urls() {
        let upstream = |tls, host: &str, port, authority: &str, path_prefix: &str| {
            let (host, authority) = (host.to_owned(), authority.to_owned());
            Some(Upstream { tls, host, port, authority, path_prefix: path_prefix.to_owned() })
        };
        for (url, expected) in [
            ("https://api.openai.com/v1", upstream(true, "api.openai.com", 443, "api.openai.com", "/v1")),
            ("https://API.openai.com:443/v1/", upstream(true, "api.openai.com", 443, "api.openai.com", "/v1")),
            ("http://127.0.0.1:9911/v1", upstream(false, "127.0.0.1", 9911, "127.0.0.1:9911", "/v1")),
            ("http://vllm", upstream(false, "vllm", 80, "vllm", "")),
            ("https://vllm:80/", upstream(true, "vllm", 80, "vllm:80", "")),
            ("http://[::1]:8080/a/b", upstream(false, "::1", 8080, "[::1]:8080", "/a/b")),
            ("http://[::1]", upstream(false, "::1", 80, "[::1]", "")),
            ("http://[::1]8080", None),
            ("http://[nonsense]", None),
            ("http://", None),
            ("http:///v1", None),
            ("ftp://host", None),
            ("api.openai.com/v1", None),
            ("http://host:0", None),
            ("http://host:65536", None),
            ("http://host:+80", None),
            ("http://host:", None),
            ("http://ho st", None),
            ("http://a..b", None),
            ("http://host/a b", None),
        ] {
            assert_eq!(parse(url), expected, "{url}");
        }
    }
}
