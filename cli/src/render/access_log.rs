//! One JSON line a request, of fields that can hold neither a credential nor anything of a provider: no header that a
//! caller or Weir sets one in, no query string (keys are passed in those too), no upstream address. Host and path are the
//! caller's: the filter puts them back before anything is logged.

use serde_json::{Value, json};

use super::options::Options;

/// Where the filter's usage object is found.
const USAGE: &str = "%FILTER_STATE(wasm.weir.usage:PLAIN)%";

/// To a file, or to standard output where the path is `/dev/stdout` (which cannot be opened where it is a socket). The usage
/// object is a tenth of all that Weir costs on a small request: where a collector has it, a line holds its id alone, unless
/// it was asked for.
pub fn access_log(options: &Options, has_collector: bool) -> Value {
    let path = &options.access_log;
    let mut fields = fields();
    if options.access_log_usage || !has_collector {
        fields["weir"] = USAGE.into();
    }
    let format = json!({"json_format": fields});
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
        "authority": "%REQ(:AUTHORITY)%",
        "path": "%PATH(NQ:PATH)%",
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
        // `databricks_request_id` of the usage record.
        "databricks_request_id": "%RESP(X-DATABRICKS-REQUEST-ID)%",
    })
}
