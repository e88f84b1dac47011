//! Keeps of an exchange, as it passes, what its endpoint's inference table takes, and what of its prompt may have to be counted.

use super::{
    Gateway, Phase, answer,
    payload::{MAX_BODY, Payload, Response},
};
use crate::{
    api::Api,
    host::{Host, Step},
    response::{Reader, aggregate::Aggregate},
    tokens::KeptBody,
};

/// Keeps the body of a request that goes to a model: for its endpoint's table, where it has one and the request is drawn; in any
/// case what of it may have to be counted.
pub fn kept(gateway: &Gateway, mut phase: Phase, body: Vec<u8>) -> Phase {
    let (facts, sent_at) = match &mut phase {
        Phase::AwaitAnswer(answer) => (&mut answer.facts, answer.sent_at),
        Phase::AwaitVerdict(verdict) => {
            let at = verdict.facts.received_at;
            (&mut verdict.facts, at)
        }
        _ => return phase,
    };
    let table = facts.endpoint(gateway).and_then(|endpoint| endpoint.inference_table.as_ref());
    if table.is_none_or(|table| !table.takes(&facts.id)) {
        facts.prompt = KeptBody::of(body);
        return phase;
    }
    facts.prompt = KeptBody::copy_of(&body);
    facts.payload = Some(Box::new(Payload::new(body, sent_at)));
    phase
}

/// The answer's headers have passed: from now on what passes is kept too.
pub fn begun((phase, step): (Phase, Step), host: &impl Host) -> (Phase, Step) {
    match phase {
        Phase::ReadAnswer(mut answer) if answer.facts.payload.is_some() => {
            let api = answer.facts.asked;
            if let Some(payload) = &mut answer.facts.payload {
                payload.response = response_for(api, &answer.body, host);
                payload.see(&step, 0, false, host);
            }
            (Phase::LogAnswer(answer), step)
        }
        phase => (phase, step),
    }
}

/// A piece of the answer has passed, or its trailers (a piece of 0 bytes).
#[inline(never)]
pub fn passed((phase, step): (Phase, Step), size: usize, end: bool, host: &impl Host) -> (Phase, Step) {
    let Phase::ReadAnswer(mut answer) = phase else { return (phase, step) };
    if let Some(payload) = &mut answer.facts.payload {
        payload.see(&step, size, end, host);
    }
    (Phase::LogAnswer(answer), step)
}

fn response_for(api: Api, body: &answer::Body, host: &impl Host) -> Response {
    let is_own = matches!(body, answer::Body::Replaced(_));
    match body {
        answer::Body::Read(Reader::Sse(_)) => Response::Stream(Box::new(Aggregate::new(api, MAX_BODY))),
        _ if !is_own && host.response_header("content-encoding").is_some_and(|coding| coding != b"identity") => {
            Response::Missing
        }
        _ => Response::Text(Vec::new()),
    }
}
