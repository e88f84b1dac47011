//! What the connection says of its peer: his certificate, or a header that a trusted proxy has set.

use std::net::{IpAddr, SocketAddr};

use super::Unauthenticated;
use crate::{
    caller::{Caller, Principal},
    config::Cidr,
    headers::Headers,
    host::Host,
};

/// The user whom the client's certificate names, by one of Envoy's `connection.*` attributes.
pub fn certificate(attribute: &str, host: &impl Host) -> Option<Caller> {
    let name = String::from_utf8(host.property(&["connection", attribute])?).ok()?;
    (!name.is_empty()).then_some(Caller { principal: Principal::User(name), groups: Vec::new() })
}

/// The service account that the peer's certificate names, `NAMESPACE/NAME`, in the group of its namespace. Whoever is of
/// another trust domain, or no workload, is for another source.
pub fn workload(trust_domain: &str, host: &impl Host) -> Option<Caller> {
    let id = String::from_utf8(host.property(&["connection", "uri_san_peer_certificate"])?).ok()?;
    let path = id.strip_prefix("spiffe://")?.strip_prefix(trust_domain)?.strip_prefix("/ns/")?;
    let (namespace, account) = path.split_once("/sa/")?;
    // As Kubernetes names both: nothing in here can be taken for a separator.
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
    };
    (is_name(namespace) && is_name(account)).then(|| Caller {
        principal: Principal::ServicePrincipal(format!("{namespace}/{account}")),
        groups: vec![namespace.to_owned()],
    })
}

/// The user whom a trusted peer's header names. From any other peer the header is no evidence at all.
pub fn vouched(
    headers: &Headers,
    user: &str,
    groups: Option<&str>,
    trusted_from: &[Cidr],
    host: &impl Host,
) -> Result<Option<Caller>, Unauthenticated> {
    if headers.value(user).is_none() || !is_trusted(trusted_from, host) {
        return Ok(None);
    }
    let name = only_value(headers, user)?;
    if name.is_empty() {
        return Err(Unauthenticated("the header that names the user is empty"));
    }
    let groups = match groups {
        Some(header) if headers.value(header).is_some() => only_value(headers, header)?,
        _ => "",
    };
    let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect();
    Ok(Some(Caller { principal: Principal::User(name.to_owned()), groups }))
}

/// A proxy that appends instead of overwriting lets its client's own header stand first: such a request is refused.
fn only_value<'a>(headers: &'a Headers, name: &str) -> Result<&'a str, Unauthenticated> {
    let mut values = headers.iter().filter(|(n, _)| *n == name).map(|(_, value)| value);
    let value = values.next().unwrap_or_default();
    if values.next().is_some() {
        return Err(Unauthenticated("a header that names the user or his groups stands twice"));
    }
    let value = std::str::from_utf8(value);
    value.map(str::trim).map_err(|_| Unauthenticated("a header that names the user or his groups is not UTF-8"))
}

/// By the connection's own address; see `weir render` for why `x-forwarded-for` cannot set it.
fn is_trusted(trusted_from: &[Cidr], host: &impl Host) -> bool {
    let address = host.property(&["source", "address"]);
    let peer = address.and_then(|address| std::str::from_utf8(&address).ok()?.parse::<SocketAddr>().ok());
    peer.is_some_and(|peer| trusted_from.iter().any(|cidr| contains(cidr, peer.ip().to_canonical())))
}

fn contains(cidr: &Cidr, ip: IpAddr) -> bool {
    match (cidr.address, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(cidr.prefix.into())).unwrap_or(0);
            (network.to_bits() ^ ip.to_bits()) & mask == 0
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(cidr.prefix.into())).unwrap_or(0);
            (network.to_bits() ^ ip.to_bits()) & mask == 0
        }
        _ => false,
    }
}
