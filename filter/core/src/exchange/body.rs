//! The whole request is there: endpoint, permission, limits, plan, and the first attempt's request.

use super::{
    Gateway, Phase,
    close::Replied,
    facts::Facts,
    gate::{self, Gate},
    keep, own,
    permission::permitted,
    send::Prepared,
    verdict::AwaitVerdict,
};
use crate::{
    api::Api,
    attempt::Handover,
    config::{Endpoint, Plan},
    host::{Effect, Host, Step},
    paths::{AUTHORITY_HEADER, CLUSTER_HEADER},
    plan,
    provider::{self, Call},
    reply::{Denied, text},
    request::{self, ApiRequest, InvalidRequest, Prompt},
    translate::Way,
};

/// The headers have passed; the body is being buffered.
#[derive(Debug)]
pub struct AwaitBody {
    facts: Facts,
    /// What the path asks for; `None`: whatever the endpoint is for.
    api: Option<Api>,
    size: usize,
}

impl AwaitBody {
    pub fn new(facts: Facts, api: Option<Api>) -> Self {
        Self { facts, api, size: 0 }
    }

    /// `size` bytes are there.
    pub fn body(mut self: Box<Self>, gateway: &Gateway, size: usize, end: bool, host: &impl Host) -> (Phase, Step) {
        self.size = size;
        let max_bytes = gateway.config.max_request_bytes;
        if size > max_bytes {
            return Replied::new(self.facts, Denied::TooLarge { max_bytes }).reply();
        }
        if !end {
            return (Phase::AwaitBody(self), Step::wait());
        }
        self.whole(gateway, host)
    }

    /// Trailers finish the body. They are no part of any provider's API: none gets them.
    pub fn trailers(self, gateway: &Gateway, host: &impl Host) -> (Phase, Step) {
        let (phase, mut step) = self.whole(gateway, host);
        if matches!(phase, Phase::AwaitAnswer(_) | Phase::AwaitVerdict(_)) {
            step.effects.push(Effect::RemoveRequestTrailers);
        }
        (phase, step)
    }

    /// Envoy has refused the request itself: too large for its buffers, or too slow.
    pub fn answered_by_envoy(self, host: &impl Host) -> (Phase, Step) {
        Replied::ended_by_envoy(self.facts, host)
    }

    /// The client went away before its request was whole.
    pub fn abandoned(self, gateway: &Gateway, host: &impl Host) -> (Phase, Step) {
        Replied::abandoned(self.facts).close(gateway, host)
    }

    fn whole(self, gateway: &Gateway, host: &impl Host) -> (Phase, Step) {
        let body = host.request_body(self.size);
        match self.send(gateway, &body, host) {
            Ok((phase, step)) => (keep::kept(gateway, phase, body), step),
            Err(refused) => refused.reply(),
        }
    }

    fn send(self, gateway: &Gateway, body: &[u8], host: &impl Host) -> Result<(Phase, Step), Box<Replied>> {
        let Self { mut facts, api, .. } = self;
        let mut request = match request::parse(body) {
            Ok(request) => request,
            Err(InvalidRequest(why)) => return Err(Replied::new(facts, Denied::InvalidRequest(why))),
        };
        if let Err(InvalidRequest(why)) = take_facts(&mut facts, &mut request) {
            return Err(Replied::new(facts, Denied::InvalidRequest(why)));
        }
        if facts.endpoint.is_none() {
            let Some(model) = &request.model else {
                let why = "the request names no model: set `model` to an endpoint of this gateway";
                return Err(Replied::new(facts, Denied::InvalidRequest(why.into())));
            };
            facts.endpoint = gateway.config.names.find(&model.value);
            if facts.endpoint.is_none() {
                return own::unmatched(gateway, facts, &model.value);
            }
            facts = permitted(gateway, facts)?;
        }
        let Some(endpoint) = facts.endpoint(gateway) else { return Err(Replied::new(facts, gate::LOST)) };
        let api = api.unwrap_or(Api::of_task(endpoint.task));
        facts.asked = api;
        if let Err(InvalidRequest(why)) = fits(endpoint, api, &request) {
            return Err(Replied::new(facts, Denied::InvalidRequest(why)));
        }
        let Some(plan) = plan::draw(endpoint, host.random()) else { return Err(Replied::new(facts, gate::LOST)) };
        let plan = match plan::able(endpoint, plan, api) {
            Some(plan) => plan,
            None => {
                let why = format!("no model of endpoint {} counts tokens: send the request itself", endpoint.name);
                return Err(Replied::new(facts, Denied::InvalidRequest(why)));
            }
        };
        let plan = &*plan;
        if !plan::ready(endpoint, plan, || host.now()) {
            let why = "the gateway has no token for the model's provider yet: send the request again";
            let refused = gate::Refused::unavailable(why, Vec::new());
            return Err(Replied::at_gate(facts, &plan.entities, refused));
        }
        let verdict = match gate::admit(gateway, endpoint, &mut facts, plan, &request, body, host) {
            Ok(verdict) => verdict,
            Err(refused) => return Err(Replied::at_gate(facts, &plan.entities, *refused)),
        };
        let (effects, handover) = first_attempt(gateway, &facts, plan, api, body, &request, host);
        let drop_usage = request.is_stream() && !request.asks_for_usage();
        let prepared = Prepared { effects, handover, plan: plan.entities.clone(), drop_usage };
        Ok(match verdict {
            Gate::Admitted(admitted) => prepared.send(facts, admitted, host),
            Gate::Asked(asked, question) => {
                let phase = AwaitVerdict::new(facts, asked, prepared);
                (Phase::AwaitVerdict(Box::new(phase)), Step { effects: vec![Effect::Ask(question)], ..Step::wait() })
            }
        })
    }
}

/// A `client_request_id` goes into the record, where a longer one would push out others' rows; a UUID has 36 bytes.
const MAX_CLIENT_REQUEST_ID_BYTES: usize = 1024;

/// Moves into the facts what the record needs of the body. What the body says goes before what the header says.
fn take_facts(facts: &mut Facts, request: &mut ApiRequest) -> Result<(), InvalidRequest> {
    facts.streaming = request.is_stream();
    facts.prompt_characters = Some(request.characters);
    let id = request.client_request_id.as_mut().and_then(|field| field.value.take());
    if id.as_ref().is_some_and(|id| id.len() > MAX_CLIENT_REQUEST_ID_BYTES) {
        let why =
            format!("`client_request_id` is longer than the {MAX_CLIENT_REQUEST_ID_BYTES} bytes that are allowed");
        return Err(InvalidRequest(why));
    }
    facts.client_request_id = id;
    if let Some(field) = request.usage_context.as_mut().filter(|field| !field.value.is_empty()) {
        facts.usage_context = std::mem::take(&mut field.value);
    }
    Ok(())
}

/// Whether the endpoint serves what is asked for, and the body holds it.
fn fits(endpoint: &Endpoint, api: Api, request: &ApiRequest) -> Result<(), InvalidRequest> {
    if api.task() != endpoint.task {
        let (name, task) = (&endpoint.name, endpoint.task.name().unwrap_or("a model of its own API"));
        return Err(InvalidRequest(format!("endpoint {name} serves {task}: send the request to that API's path")));
    }
    let (prompt, name) = match api {
        Api::Chat | Api::CountTokens | Api::Messages => (Prompt::Messages, "messages"),
        Api::Completions => (Prompt::Prompt, "prompt"),
        Api::Embeddings | Api::Responses => (Prompt::Input, "input"),
        Api::Predict => return Ok(()),
    };
    if request.prompt != Some(prompt) {
        return Err(InvalidRequest(format!("the request has no `{name}`, which this API needs")));
    }
    Ok(())
}

/// The primary's request, and what the attempt role needs for the others.
fn first_attempt(
    gateway: &Gateway,
    facts: &Facts,
    plan: &Plan,
    api: Api,
    body: &[u8],
    request: &ApiRequest,
    host: &impl Host,
) -> (Vec<Effect>, Option<Handover>) {
    let mut effects = Vec::with_capacity(24);
    let endpoint = facts.endpoint(gateway);
    let primary = endpoint.zip(plan.entities.first());
    let Some((endpoint, entity)) = primary.and_then(|(endpoint, at)| Some((endpoint, endpoint.entities.get(*at)?)))
    else {
        return (effects, None);
    };
    provider::scrub_request(facts.headers(), endpoint, entity, &mut effects);
    let call = Call { api, stream: request.is_stream() };
    let streams_usage = call.stream && api.has_stream_options();
    let spliced = match api {
        Api::Predict => request::strip(body, request),
        _ => request::splice(body, request, &entity.model, streams_usage),
    };
    let fallbacks = plan.entities.len().saturating_sub(1);
    // Each attempt translates afresh what the caller sent, so what goes from here is still in his words.
    // And each looks for its token, which one that has none must not go without.
    let translates_first = entity.provider.way(api) != Some(Way::Same) || !entity.credential.is_ready(|| host.now());
    let handover = (fallbacks > 0 || translates_first || facts.is_unpaused).then(|| Handover {
        translates_first,
        is_whole: facts.is_unpaused,
        call,
        config: gateway.config.hash.clone(),
        endpoint: facts.endpoint.unwrap_or_default(),
        entities: plan.entities.clone(),
        model_range: spliced.model_range.clone(),
        ..Handover::default()
    });
    let now = || host.now();
    provider::address(endpoint, entity, call, AUTHORITY_HEADER, Some(facts.headers()), now, &mut effects);
    effects.push(Effect::SetRequestHeader("accept-encoding".into(), text("identity")));
    effects.push(Effect::SetRequestHeader(CLUSTER_HEADER.into(), text(plan.cluster.clone())));
    effects.push(Effect::SetRequestHeader("x-envoy-max-retries".into(), text(fallbacks.to_string())));
    effects.push(Effect::SetRequestHeader(
        "x-envoy-upstream-rq-per-try-timeout-ms".into(),
        text(entity.first_byte_ms.to_string()),
    ));
    // Envoy does not correct a length: a wrong one would smuggle the rest in as a second request.
    let length = spliced.body.as_ref().map_or(body.len(), Vec::len).to_string();
    if facts.headers().text("content-length") != Some(&length) {
        effects.push(Effect::SetRequestHeader("content-length".into(), text(length)));
    }
    effects.extend(spliced.body.map(Effect::ReplaceRequestBody));
    (effects, handover)
}
