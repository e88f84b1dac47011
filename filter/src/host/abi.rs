//! proxy-wasm ABI 0.2.1, as far as Weir calls it: declarations, numbers, and how the host hands memory over.

use std::ptr;

/// `proxy_status_t` of a call that did what it says.
pub const OK: i32 = 0;

/// `proxy_header_map_type_t`.
#[derive(Clone, Copy)]
pub enum Map {
    Request = 0,
    RequestTrailers = 1,
    Response = 2,
    CallResponse = 6,
}

/// `proxy_buffer_type_t`.
#[derive(Clone, Copy)]
pub enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    CallResponseBody = 4,
    GrpcReceive = 5,
    PluginConfiguration = 7,
}

/// `proxy_metric_type_t`.
#[derive(Clone, Copy)]
pub enum MetricKind {
    Counter = 0,
    Gauge = 1,
}

// Newer linkers take an undefined symbol for a mistake, unless the module that it comes from is named.
#[cfg_attr(target_arch = "wasm32", link(wasm_import_module = "env"))]
unsafe extern "C" {
    pub fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    pub fn proxy_continue_stream(kind: i32) -> i32;
    pub fn proxy_define_metric(kind: i32, name: *const u8, name_size: usize, id: *mut u32) -> i32;
    pub fn proxy_done() -> i32;
    pub fn proxy_get_buffer_bytes(kind: i32, start: usize, max: usize, data: *mut *mut u8, size: *mut usize) -> i32;
    pub fn proxy_get_current_time_nanoseconds(time: *mut u64) -> i32;
    pub fn proxy_get_header_map_pairs(map: i32, data: *mut *mut u8, size: *mut usize) -> i32;
    pub fn proxy_get_header_map_value(
        map: i32,
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    pub fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> i32;
    pub fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> i32;
    pub fn proxy_increment_metric(id: u32, offset: i64) -> i32;
    pub fn proxy_record_metric(id: u32, value: u64) -> i32;
    pub fn proxy_remove_header_map_value(map: i32, name: *const u8, name_size: usize) -> i32;
    pub fn proxy_replace_header_map_value(
        map: i32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> i32;
    pub fn proxy_set_effective_context(context: u32) -> i32;
    pub fn proxy_set_header_map_pairs(map: i32, pairs: *const u8, pairs_size: usize) -> i32;
    pub fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> i32;
    pub fn proxy_set_buffer_bytes(kind: i32, start: usize, size: usize, data: *const u8, data_size: usize) -> i32;
    pub fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> i32;
    pub fn proxy_set_shared_data(key: *const u8, key_size: usize, value: *const u8, value_size: usize, cas: u32)
    -> i32;
    pub fn proxy_set_tick_period_milliseconds(period: u32) -> i32;
}

/// Makes a call that returns memory: `None` where the host refuses it.
pub fn returned(call: impl FnOnce(*mut *mut u8, *mut usize) -> i32) -> Option<Vec<u8>> {
    let mut data = ptr::null_mut();
    let mut size = 0;
    if call(&raw mut data, &raw mut size) != OK {
        return None;
    }
    if data.is_null() {
        return Some(Vec::new());
    }
    // SAFETY: the host had `size` bytes allocated by the SDK's `proxy_on_memory_allocate`, which leaks a boxed slice of
    // exactly that length, has filled them, and keeps no pointer to them.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}
