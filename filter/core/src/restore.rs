//! The restore role, before the gateway where `limits_store.rls` is set: it keeps the request's headers as the client sent
//! them, and puts them back with the answer. Envoy takes them out of a filter's hands once that has resumed a stream which
//! waited, and the provider's credential must not reach an access log (docs/decisions/0007-shared-limits.md).

use std::{borrow::Cow, rc::Rc};

use crate::{
    gateway::Gateway,
    headers::Headers,
    host::{Effect, Host, Input, Step, Verdict},
    paths,
};

/// Request headers that the provider must not see but an access log may: they come back with the answer.
pub const RESTORED: [&str; 4] = [":path", ":authority", "user-agent", "x-request-id"];

/// Puts back what the client sent.
pub fn restore(sent: &Headers, effects: &mut Vec<Effect>) {
    for name in RESTORED {
        if let Some(value) = sent.value(name) {
            effects.push(Effect::SetRequestHeader(name.into(), Cow::Owned(value.to_vec())));
        }
    }
}

/// One request.
#[derive(Debug)]
pub struct Restore {
    gateway: Rc<Gateway>,
    /// While there is something to put back.
    sent: Option<Headers>,
}

impl Restore {
    pub fn new(gateway: Rc<Gateway>) -> Self {
        Self { gateway, sent: None }
    }

    pub fn handle(&mut self, input: Input, host: &impl Host) -> Step {
        match input {
            // Pausing here keeps the headers writable; the body's first piece goes on at once, and the headers with it.
            Input::RequestHeaders { end: false } => {
                self.sent = Some(host.request_headers()).filter(|headers| self.is_in_scope(headers));
                let verdict = if self.sent.is_some() { Verdict::Pause } else { Verdict::Continue };
                Step { effects: Vec::new(), verdict }
            }
            Input::ResponseHeaders { .. } | Input::Log | Input::Done => {
                let mut effects = Vec::new();
                if let Some(sent) = self.sent.take() {
                    self.take_off_credentials(&mut effects);
                    restore(&sent, &mut effects);
                }
                Step { effects, verdict: Verdict::Continue }
            }
            _ => Step::default(),
        }
    }

    /// Of whatever provider: which endpoint it was stands in the body.
    fn take_off_credentials(&self, effects: &mut Vec<Effect>) {
        let mut names: Vec<_> =
            self.gateway.config.endpoints.iter().flat_map(|endpoint| &endpoint.own_headers).collect();
        names.sort_unstable();
        names.dedup();
        effects.extend(names.into_iter().map(|name| Effect::RemoveRequestHeader(name.clone())));
    }

    fn is_in_scope(&self, headers: &Headers) -> bool {
        let is_ours = headers.text(":path").is_some_and(|path| paths::resolve(path).is_some());
        is_ours && self.gateway.is_host_in_scope(headers)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::{
        exchange::tests::drive::{OPENAI, compiled, policy},
        host::fake::FakeHost,
    };

    fn host(path: &str) -> FakeHost {
        let host = FakeHost::default();
        let sent: [(&str, &[u8]); 4] = [
            (":path", path.as_bytes()),
            (":authority", b"ai.example.com"),
            ("user-agent", b"me"),
            ("authorization", b"my"),
        ];
        host.request_headers.replace(Headers::from_pairs(sent));
        host
    }

    fn shown(host: &FakeHost) -> Vec<String> {
        let headers = host.request_headers.borrow();
        headers.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value))).collect()
    }

    #[test]
    fn what_the_client_sent_comes_back_and_no_credential() {
        for last in [Input::ResponseHeaders { end: false }, Input::Log] {
            let host = host(OPENAI);
            let mut role = Restore::new(compiled(&policy()));
            assert_eq!(role.handle(Input::RequestHeaders { end: false }, &host).verdict, Verdict::Pause);
            let body = Input::RequestBody { size: 1, end: false };
            assert_eq!(role.handle(body, &host), Step::default(), "nothing is held back");
            let changed: [(&str, &[u8]); 3] =
                [(":path", b"/x/v1"), (":authority", b"x.example.com"), ("authorization", b"Bearer secret")];
            host.request_headers.replace(Headers::from_pairs(changed));
            host.apply(role.handle(last, &host).effects);
            let expected = [&format!(":path={OPENAI}"), ":authority=ai.example.com", "user-agent=me"];
            assert_eq!(shown(&host), expected);
            assert_eq!(role.handle(Input::Done, &host), Step::default(), "once");
        }
    }

    #[test]
    fn what_is_not_weirs_passes() {
        let host = host("/other");
        let mut role = Restore::new(compiled(&policy()));
        for input in [Input::RequestHeaders { end: false }, Input::ResponseHeaders { end: false }, Input::Log] {
            assert_eq!(role.handle(input, &host), Step::default());
        }
    }
}
