//! One JSON line a request, of fields that can hold neither a credential nor anything of a provider: no header that a
//! caller or Weir sets one in, no query string (keys are passed in those too), no upstream address.

use serde_json::{Value, json};

/// Where the filter's usage object is found.
const USAGE: &str = "%FILTER_STATE(wasm.weir.usage:PLAIN)%";

/// What the caller asked for. An attempt rewrites `:authority` and `:path` in the one header map that Envoy has, and a
/// caller who goes away before the answer leaves them so; what is logged is therefore kept aside before the first one.
const AUTHORITY: &str = "weir.authority";
const PATH: &str = "weir.path";

/// The filter that keeps them aside, first in the chain.
pub fn keep_request_line() -> Value {
    let keep = |key: &str, value: &str| {
        json!({
            "object_key": key,
            "factory_key": "envoy.string",
            "format_string": {"text_format_source": {"inline_string": value}, "omit_empty_values": true},
        })
    };
    json!({
        "name": "weir.request_line",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [keep(AUTHORITY, "%REQ(:AUTHORITY)%"), keep(PATH, "%PATH(NQ)%")],
        },
    })
}

/// To a file, or to standard output where `path` is `/dev/stdout` (which cannot be opened where it is a socket).
pub fn access_log(path: &str) -> Value {
    let format = json!({"json_format": fields()});
    if path == "/dev/stdout" {
        json!({
            "name": "envoy.access_loggers.stdout",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
                "log_format": format,
            },
        })
    } else {
        json!({
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                "path": path,
                "log_format": format,
            },
        })
    }
}

fn fields() -> Value {
    json!({
        "start_time": "%START_TIME%",
        "method": "%REQ(:METHOD)%",
        "authority": format!("%FILTER_STATE({AUTHORITY}:PLAIN)%"),
        "path": format!("%FILTER_STATE({PATH}:PLAIN)%"),
        "protocol": "%PROTOCOL%",
        "route": "%ROUTE_NAME%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
        "user_agent": "%REQ(USER-AGENT)%",
        "status": "%RESPONSE_CODE%",
        "status_details": "%RESPONSE_CODE_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
        "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%",
        "duration_ms": "%DURATION%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "cluster": "%UPSTREAM_CLUSTER%",
        "weir": USAGE,
    })
}
