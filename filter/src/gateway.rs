//! The gateway role's callbacks.

use proxy_wasm::{
    traits::{Context, HttpContext},
    types::Action,
};
use weir_core::{exchange::Exchange, host::Input};

use crate::{apply::Sinks, host::EnvoyHost};

/// One request.
pub struct GatewayContext {
    pub exchange: Exchange,
    pub sinks: Sinks,
}

impl GatewayContext {
    fn handle(&mut self, input: Input) -> Action {
        let step = self.exchange.handle(input, &EnvoyHost);
        self.sinks.apply(step, EnvoyHost)
    }
}

impl Context for GatewayContext {
    fn on_done(&mut self) -> bool {
        self.handle(Input::Done);
        true
    }
}

impl HttpContext for GatewayContext {
    fn on_http_request_headers(&mut self, _: usize, end: bool) -> Action {
        self.handle(Input::RequestHeaders { end })
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        self.handle(Input::RequestBody { size, end })
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.handle(Input::RequestTrailers)
    }

    fn on_http_response_headers(&mut self, _: usize, end: bool) -> Action {
        self.handle(Input::ResponseHeaders { end })
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        self.handle(Input::ResponseBody { size, end })
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        self.handle(Input::ResponseTrailers)
    }

    fn on_log(&mut self) {
        self.handle(Input::Log);
    }
}
