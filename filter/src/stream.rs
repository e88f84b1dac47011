//! A stream's callbacks, of either role: each is an input to its engine, whose step is applied.

use proxy_wasm::{
    traits::{Context, HttpContext},
    types::Action,
};
use weir_core::{
    attempt::Attempt,
    exchange::Exchange,
    host::{Input, Step},
    restore::Restore,
    unpaused::Unpaused,
};

use crate::{
    apply::{Applied, Sinks},
    host::EnvoyHost,
};

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

impl Engine for Restore {
    fn handle(&mut self, input: Input, host: &EnvoyHost) -> Step {
        Self::handle(self, input, host)
    }
}

impl Engine for Unpaused {
    fn handle(&mut self, input: Input, host: &EnvoyHost) -> Step {
        Self::handle(self, input, host)
    }
}

/// gRPC's `UNAVAILABLE`.
const UNAVAILABLE: u32 = 14;

/// One request of the gateway or the restore role, or one attempt.
pub struct Stream<E> {
    pub engine: E,
    pub sinks: Sinks,
}

impl<E: Engine> Stream<E> {
    fn handle(&mut self, input: Input) -> Action {
        let host = EnvoyHost::default();
        let mut step = self.engine.handle(input, &host);
        loop {
            match self.sinks.apply(step, &host) {
                Applied::Done(action) => return action,
                Applied::Unasked => {
                    step = self.engine.handle(Input::Answer { status: UNAVAILABLE, size: 0 }, &host);
                }
            }
        }
    }
}

impl<E: Engine> Context for Stream<E> {
    fn on_grpc_call_response(&mut self, _: u32, status: u32, size: usize) {
        if self.handle(Input::Answer { status, size }) == Action::Continue {
            EnvoyHost::default().resume_request();
        }
    }

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
