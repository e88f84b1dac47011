//! `logging`: where usage records go, how often and how many may wait.

use std::net::IpAddr;

use super::{Cluster, Secret, Upstream, reader::Field, secret, url};

/// `logging`.
#[derive(Debug)]
pub struct Logging {
    pub cluster: Cluster,
    /// `:authority` and `:path` of the POST.
    pub authority: String,
    pub path: String,
    /// Where `cluster` is rendered.
    pub upstream: Upstream,
    /// The whole `authorization` value.
    pub authorization: Option<Secret>,
    pub format: Format,
    /// The collector is on this machine, where bytes cost less than packing them.
    pub is_local: bool,
    pub flush_interval_ms: u64,
    pub max_batch_bytes: usize,
    pub max_buffered_bytes: usize,
}

/// What a collector takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Weir's own lines.
    Ndjson,
    /// OpenTelemetry's log records, as JSON over HTTP.
    Otlp,
}

/// The cluster that `weir render` makes. No entity's has that name: each of theirs has two dashes at least.
const CLUSTER: &str = "weir-records";

pub(super) fn read(field: &Field<'_>) -> Option<Logging> {
    let mut logging = field.object()?;
    let upstream = logging.read("url", "the URL that records are posted to", url::read);
    let cluster = logging.read_if("cluster", url::read_cluster);
    let authorization = logging.read_if("token", secret::bearer);
    let format = logging.read_or("format", Format::Ndjson, |format| {
        format.choice(&[("ndjson", Format::Ndjson), ("otlp", Format::Otlp)])
    });
    let flush_interval_ms = logging.read_or("flush_interval_ms", 1_000, |ms| ms.whole(10..=60_000));
    let max_batch_bytes = logging.read_or("max_batch_bytes", 256 << 10, |bytes| bytes.bytes(1 << 10));
    let max_buffered_bytes = logging.read_or("max_buffered_bytes", 8 << 20, |bytes| bytes.bytes(1));
    logging.close();
    if let (Some(batch), Some(buffered)) = (max_batch_bytes, max_buffered_bytes)
        && batch > buffered
    {
        let found = format!("`max_batch_bytes` ({batch}) above `max_buffered_bytes` ({buffered})");
        field.report(found, "a buffer that holds a batch");
    }
    let (upstream, format) = (upstream?, format?);
    if format == Format::Otlp && !upstream.path_prefix.ends_with("/v1/logs") {
        field.warn("a `url` that does not end in `/v1/logs`", "the path where an OTLP collector takes log records");
    }
    Some(Logging {
        cluster: cluster?.map_or_else(|| Cluster::Rendered(CLUSTER.to_owned()), Cluster::Existing),
        authority: upstream.authority.clone(),
        path: if upstream.path_prefix.is_empty() { "/".to_owned() } else { upstream.path_prefix.clone() },
        authorization: authorization?,
        format,
        is_local: is_loopback(&upstream.host),
        upstream,
        flush_interval_ms: flush_interval_ms?,
        max_batch_bytes: max_batch_bytes?,
        max_buffered_bytes: max_buffered_bytes?,
    })
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
