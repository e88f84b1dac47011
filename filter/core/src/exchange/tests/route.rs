//! What Envoy's route does to what the gateway role has rewritten (`weir render`). Once: all attempts share the headers.

use crate::{
    headers::Headers,
    host::{Effect, fake::FakeHost},
    paths::{AUTHORITY_HEADER, CLUSTER_HEADER},
    unpaused::HEADERS,
};

/// Puts the host in its place and takes off what is for the route alone; the cluster it picks is left as the property
/// `xds/cluster_name`.
pub fn play(host: &FakeHost) {
    let headers = host.request_headers.borrow().clone();
    let Some(cluster) = headers.value(CLUSTER_HEADER) else { return };
    host.properties.borrow_mut().insert("xds/cluster_name".into(), cluster.to_vec());
    let authority = headers.value(AUTHORITY_HEADER);
    let routed = headers.iter().filter_map(|(name, value)| match name {
        CLUSTER_HEADER | AUTHORITY_HEADER | "x-forwarded-proto" => None,
        ":authority" => Some((name, authority.unwrap_or(value))),
        _ => Some((name, value)),
    });
    host.request_headers.replace(Headers::from_pairs(routed));
}

/// What the filter behind a gateway role that does not pause writes into the headers, and then the route.
pub fn play_unpaused(host: &FakeHost) {
    for (name, key) in HEADERS {
        let value = host.properties.borrow().get(key).cloned();
        host.apply(value.map(|value| Effect::SetRequestHeader(name.into(), value.into())).into_iter().collect());
    }
    // The host stays the client's, for the attempt role to put back.
    host.apply(vec![Effect::RemoveRequestHeader(AUTHORITY_HEADER.into())]);
    play(host);
}

/// The cluster that it picked.
pub fn cluster(host: &FakeHost) -> Option<String> {
    let properties = host.properties.borrow();
    properties.get("xds/cluster_name").map(|cluster| String::from_utf8_lossy(cluster).into_owned())
}
