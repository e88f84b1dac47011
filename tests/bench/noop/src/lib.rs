//! Pauses on the request's headers, waits for its whole body, and lets both go on as they came: the floor under every
//! gateway in wasm that must see a body. It reads nothing, and must stay as little as this.

use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::{Action, ContextType},
};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream))
    }
}

struct Stream;

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, end: bool) -> Action {
        until(end)
    }

    fn on_http_request_body(&mut self, _: usize, end: bool) -> Action {
        until(end)
    }
}

fn until(end: bool) -> Action {
    if end { Action::Continue } else { Action::Pause }
}
