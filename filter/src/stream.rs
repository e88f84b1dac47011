//! A stream's callbacks, of either role: each is an input to its engine, whose step is applied.

use proxy_wasm::{
    traits::{Context, HttpContext},
    types::Action,
};
use weir_core::{
    attempt::Attempt,
    exchange::Exchange,
    host::{Input, Step},
};

use crate::{apply::Sinks, host::EnvoyHost};

/// What a role does with a stream.
pub trait Engine {
    fn handle(&mut self, input: Input, host: &EnvoyHost) -> Step;
}

impl Engine for Exchange {
    fn handle(&mut self, input: Input, host: &EnvoyHost) -> Step {
        Self::handle(self, input, host)
    }
}

impl Engine for Attempt {
    fn handle(&mut self, input: Input, host: &EnvoyHost) -> Step {
        Self::handle(self, input, host)
    }
}

/// One request of the gateway role, or one attempt.
pub struct Stream<E> {
    pub engine: E,
    pub sinks: Sinks,
}

impl<E: Engine> Stream<E> {
    fn handle(&mut self, input: Input) -> Action {
        let step = self.engine.handle(input, &EnvoyHost);
        self.sinks.apply(step, EnvoyHost)
    }
}

impl<E: Engine> Context for Stream<E> {
    fn on_done(&mut self) -> bool {
        self.handle(Input::Done);
        true
    }
}

impl<E: Engine> HttpContext for Stream<E> {
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
