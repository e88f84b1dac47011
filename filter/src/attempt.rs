//! The attempt role's callbacks.

use proxy_wasm::{
    traits::{Context, HttpContext},
    types::Action,
};
use weir_core::{attempt::Attempt, host::Input};

use crate::{apply::Sinks, host::EnvoyHost};

/// One attempt. What follows the answer's headers is the gateway role's business.
pub struct AttemptContext {
    pub attempt: Attempt,
    pub sinks: Sinks,
}

impl AttemptContext {
    fn handle(&mut self, input: Input) -> Action {
        let step = self.attempt.handle(input, &EnvoyHost);
        self.sinks.apply(step, EnvoyHost)
    }
}

impl Context for AttemptContext {
    fn on_done(&mut self) -> bool {
        self.handle(Input::Done);
        true
    }
}

impl HttpContext for AttemptContext {
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
}
