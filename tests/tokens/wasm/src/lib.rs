//! One counter in Envoy's V8: a request's body holds texts, a form feed between two of them; the answer says how many tokens
//! they have, how many nanoseconds that took, and the VM's memory. The header `x-how` may ask for something else: `whole`
//! counts the body as one text, `request` as a request in JSON, `estimate` estimates it, and `skip` does nothing, which tells
//! what all else costs.

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext, RootContext},
    types::{Action, BufferType, ContextType},
};

#[cfg(feature = "weir")]
fn load() {}

#[cfg(feature = "weir")]
fn count(text: &str) -> u64 {
    weir_core::tokens::count(text.as_bytes()).tokens
}

/// What only Weir has.
#[cfg(feature = "weir")]
fn asked(how: &str, text: &str) -> u64 {
    match how {
        "request" => weir_core::tokens::count_request(text.as_bytes()).tokens,
        "estimate" => {
            let mut estimator = weir_core::tokens::estimate::Estimator::default();
            estimator.push(text.as_bytes());
            estimator.tokens() as u64
        }
        _ => 0,
    }
}

#[cfg(not(feature = "weir"))]
fn asked(_: &str, _: &str) -> u64 {
    0
}

#[cfg(feature = "tiktoken")]
fn load() {
    count("load");
}

#[cfg(feature = "tiktoken")]
fn count(text: &str) -> u64 {
    tiktoken::get_encoding("o200k_base").map_or(0, |encoding| encoding.count(text) as u64)
}

#[cfg(feature = "bpe-openai")]
fn load() {
    count("load");
}

#[cfg(feature = "bpe-openai")]
fn count(text: &str) -> u64 {
    bpe_openai::o200k_base().count(text) as u64
}

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

struct Root;

fn nanoseconds() -> u64 {
    let now = hostcalls::get_current_time().ok();
    now.and_then(|now| now.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos() as u64)
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let begin = nanoseconds();
        load();
        let _ = hostcalls::log(proxy_wasm::types::LogLevel::Warn, &format!("loaded in {} ns", nanoseconds() - begin));
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { how: None }))
    }
}

struct Stream {
    how: Option<String>,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.how = self.get_http_request_header("x-how");
        Action::Pause
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        let body = hostcalls::get_buffer(BufferType::HttpRequestBody, 0, size).ok().flatten().unwrap_or_default();
        let body = String::from_utf8_lossy(&body);
        let begin = nanoseconds();
        let tokens: u64 = match self.how.as_deref() {
            None => body.split('\u{c}').map(count).sum(),
            Some("whole") => count(&body),
            Some(how) => asked(how, &body),
        };
        let took = nanoseconds() - begin;
        self.send_http_response(200, vec![], Some(format!("{tokens} {took} {}", memory()).as_bytes()));
        Action::Pause
    }
}

/// Of the VM, in bytes.
#[cfg(target_arch = "wasm32")]
fn memory() -> usize {
    core::arch::wasm32::memory_size(0) << 16
}

#[cfg(not(target_arch = "wasm32"))]
fn memory() -> usize {
    0
}
