//! The only file that calls the host: proxy-wasm's own calls, without the SDK's wrappers (but for callouts), which panic on
//! a status that they do not expect and copy a header map into vectors of strings. A call that the host refuses has no
//! result here, and none panics.

mod abi;
mod random;

use std::{cell::Cell, time::Duration};

use abi::{Buffer, Map, MetricKind, OK, returned};
use proxy_wasm::hostcalls;
use weir_core::{
    export::Answer,
    headers::Headers,
    host::{Cas, CasMismatch, Host, SharedData},
    limits::rls::{self, Rls},
    post::Post,
    reply::Reply,
};

/// The host of the callback that is running: made anew for each, and asked for the time once at most.
#[derive(Debug, Default)]
pub struct EnvoyHost {
    now: Cell<Option<u64>>,
}

impl SharedData for EnvoyHost {
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        let mut cas = 0;
        // SAFETY: `key` outlives the call; the host writes `cas` during it.
        let value = returned(|data, size| unsafe {
            abi::proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas)
        })?;
        Some((value, cas))
    }

    fn store(&self, key: &str, value: &[u8], cas: Cas) -> Result<(), CasMismatch> {
        match set_shared_data(key, value, cas) {
            OK => Ok(()),
            _ => Err(CasMismatch),
        }
    }

    /// The host asks for the version only where the key exists, and 0 alone means "whatever it is": a version that no
    /// value has creates the key, or loses. (It counts versions up from 1; none gets here before 4 billion stores.)
    fn create(&self, key: &str, value: &[u8]) -> Result<(), CasMismatch> {
        const NOBODYS: Cas = Cas::MAX;
        self.store(key, value, NOBODYS)
    }
}

impl Host for EnvoyHost {
    fn now(&self) -> u64 {
        self.now.get().unwrap_or_else(|| {
            let mut time = 0;
            // SAFETY: the host writes `time` during the call.
            unsafe { abi::proxy_get_current_time_nanoseconds(&raw mut time) };
            self.now.set(Some(time));
            time
        })
    }

    fn random(&self) -> u64 {
        random::next()
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        let path = path.join("\0");
        // SAFETY: `path` outlives the call.
        returned(|data, size| unsafe { abi::proxy_get_property(path.as_ptr(), path.len(), data, size) })
    }

    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        header(Map::Request, name)
    }

    fn request_headers(&self) -> Headers {
        headers(Map::Request)
    }

    fn request_body(&self, size: usize) -> Vec<u8> {
        buffer(Buffer::RequestBody, size)
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        header(Map::Response, name)
    }

    fn response_headers(&self) -> Headers {
        headers(Map::Response)
    }

    fn response_chunk(&self, size: usize) -> Vec<u8> {
        buffer(Buffer::ResponseBody, size)
    }

    fn answer(&self, size: usize) -> Vec<u8> {
        buffer(Buffer::GrpcReceive, size)
    }
}

impl EnvoyHost {
    pub fn set_request_header(&self, name: &str, value: &[u8]) {
        set_header(Map::Request, name, value);
    }

    pub fn remove_request_header(&self, name: &str) {
        remove_header(Map::Request, name);
    }

    pub fn remove_request_trailers(&self) {
        // The count of no pairs.
        let pairs = 0_u32.to_le_bytes();
        // SAFETY: `pairs` outlives the call.
        unsafe { abi::proxy_set_header_map_pairs(Map::RequestTrailers as i32, pairs.as_ptr(), pairs.len()) };
    }

    pub fn set_response_header(&self, name: &str, value: &[u8]) {
        set_header(Map::Response, name, value);
    }

    pub fn remove_response_header(&self, name: &str) {
        remove_header(Map::Response, name);
    }

    pub fn replace_request_body(&self, body: &[u8]) {
        set_buffer(Buffer::RequestBody, body);
    }

    pub fn replace_response_chunk(&self, chunk: &[u8]) {
        set_buffer(Buffer::ResponseBody, chunk);
    }

    pub fn set_state(&self, key: &str, value: &[u8]) {
        // SAFETY: both outlive the call.
        unsafe { abi::proxy_set_property(key.as_ptr(), key.len(), value.as_ptr(), value.len()) };
    }

    /// Envoy's own function: the next filter that asks for the route gets one by the headers as they are then.
    pub fn forget_route(&self) {
        let name = "clear_route_cache";
        // SAFETY: `name` outlives the call; without arguments none are read.
        returned(|data, size| unsafe {
            abi::proxy_call_foreign_function(name.as_ptr(), name.len(), name.as_ptr(), 0, data, size)
        });
    }

    /// What follows is done as if the context of that number ran. False where it is gone.
    pub fn act_for(&self, context: u32) -> bool {
        // SAFETY: no memory is involved.
        unsafe { abi::proxy_set_effective_context(context) == OK }
    }

    /// Answers the client. Once, and last.
    pub fn reply(&self, reply: &Reply) {
        let headers = Headers::from_pairs(reply.headers.iter().map(|(name, value)| (&**name, &**value))).into_bytes();
        let details = "weir";
        // SAFETY: all of it outlives the call. -1: no gRPC status.
        unsafe {
            abi::proxy_send_local_response(
                reply.status.into(),
                details.as_ptr(),
                details.len(),
                reply.body.as_ptr(),
                reply.body.len(),
                headers.as_ptr(),
                headers.len(),
                -1,
            )
        };
    }

    /// Sends a callout: its number; `None` where the cluster does not exist or the call cannot be made now. By the SDK's own
    /// wrapper, which knows by it whose the answer is.
    pub fn post(&self, post: &Post) -> Option<u32> {
        let headers: Vec<_> = post.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let timeout = Duration::from_millis(post.timeout_ms);
        hostcalls::dispatch_http_call(&post.cluster, headers, Some(&post.body), Vec::new(), timeout).ok()
    }

    /// Calls the engine of the limits: the call's number; `None` where that cannot be done now. By the SDK's own wrapper, as
    /// [`EnvoyHost::post`].
    pub fn should_rate_limit(&self, rls: &Rls, request: &[u8], timeout_ms: u64) -> Option<u32> {
        let timeout = Duration::from_millis(timeout_ms);
        hostcalls::dispatch_grpc_call(&rls.service, rls::SERVICE, rls::METHOD, Vec::new(), Some(request), timeout).ok()
    }

    /// The request goes on that a callback has held.
    pub fn resume_request(&self) {
        /// `proxy_stream_type_t`.
        const HTTP_REQUEST: i32 = 0;
        // SAFETY: no memory is involved.
        unsafe { abi::proxy_continue_stream(HTTP_REQUEST) };
    }

    /// The callout's answer that is being delivered, at most `max_bytes` of its body.
    pub fn answer(&self, max_bytes: usize) -> Answer {
        let number = |name| std::str::from_utf8(&header(Map::CallResponse, name)?).ok()?.parse::<u64>().ok();
        Answer {
            status: number(":status").and_then(|status| u16::try_from(status).ok()),
            retry_after: number("retry-after"),
            body: buffer(Buffer::CallResponseBody, max_bytes),
        }
    }

    pub fn configuration(&self) -> Vec<u8> {
        buffer(Buffer::PluginConfiguration, usize::MAX >> 1)
    }

    pub fn set_tick_period_ms(&self, period: u64) {
        // SAFETY: no memory is involved.
        unsafe { abi::proxy_set_tick_period_milliseconds(u32::try_from(period).unwrap_or(u32::MAX)) };
    }

    /// A root context that asked to stay may go.
    pub fn done(&self) {
        // SAFETY: no memory is involved.
        unsafe { abi::proxy_done() };
    }

    /// The metric's number, the same one for each definition of the same name.
    pub fn define_metric(&self, name: &str, is_gauge: bool) -> Option<u32> {
        let kind = if is_gauge { MetricKind::Gauge } else { MetricKind::Counter };
        let mut id = 0;
        // SAFETY: `name` outlives the call; the host writes `id` during it.
        let status = unsafe { abi::proxy_define_metric(kind as i32, name.as_ptr(), name.len(), &raw mut id) };
        (status == OK).then_some(id)
    }

    pub fn add_to_metric(&self, id: u32, offset: i64) {
        // SAFETY: no memory is involved.
        unsafe { abi::proxy_increment_metric(id, offset) };
    }

    pub fn set_metric(&self, id: u32, value: u64) {
        // SAFETY: no memory is involved.
        unsafe { abi::proxy_record_metric(id, value) };
    }
}

fn header(map: Map, name: &str) -> Option<Vec<u8>> {
    // SAFETY: `name` outlives the call.
    returned(|data, size| unsafe { abi::proxy_get_header_map_value(map as i32, name.as_ptr(), name.len(), data, size) })
}

fn headers(map: Map) -> Headers {
    // SAFETY: only the memory that the host hands over is involved.
    let bytes = returned(|data, size| unsafe { abi::proxy_get_header_map_pairs(map as i32, data, size) });
    Headers::from_host(bytes.unwrap_or_default())
}

fn set_header(map: Map, name: &str, value: &[u8]) {
    // SAFETY: both outlive the call.
    unsafe { abi::proxy_replace_header_map_value(map as i32, name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

fn remove_header(map: Map, name: &str) {
    // SAFETY: `name` outlives the call.
    unsafe { abi::proxy_remove_header_map_value(map as i32, name.as_ptr(), name.len()) };
}

fn buffer(kind: Buffer, size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    // SAFETY: only the memory that the host hands over is involved.
    returned(|data, length| unsafe { abi::proxy_get_buffer_bytes(kind as i32, 0, size, data, length) })
        .unwrap_or_default()
}

/// Replaces all of a buffer: the host cuts the length down to what is there.
fn set_buffer(kind: Buffer, bytes: &[u8]) {
    // SAFETY: `bytes` outlives the call.
    unsafe { abi::proxy_set_buffer_bytes(kind as i32, 0, usize::MAX >> 1, bytes.as_ptr(), bytes.len()) };
}

fn set_shared_data(key: &str, value: &[u8], cas: Cas) -> i32 {
    // SAFETY: both outlive the call.
    unsafe { abi::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) }
}
