//! What Envoy's route does to what the gateway role has rewritten (`weir render`). Once: all attempts share the headers.

use crate::{
    headers::Headers,
    host::fake::FakeHost,
    paths::{AUTHORITY_HEADER, CLUSTER_HEADER},
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

/// The cluster that it picked.
pub fn cluster(host: &FakeHost) -> Option<String> {
    let properties = host.properties.borrow();
    properties.get("xds/cluster_name").map(|cluster| String::from_utf8_lossy(cluster).into_owned())
}
