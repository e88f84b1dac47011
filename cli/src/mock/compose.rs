//! What the mock says to one request: orders, route and body in; status, headers and the pieces of the body out. How the pieces
//! leave (paused, cut, broken off) is not decided here.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::http::request::Parts;

use super::ask::Ask;
use super::behaviour::Behaviour;
use super::body::Body;
use super::frames::{Frames, Framing};
use super::journal::Received;
use super::openai::to_bytes;
use super::profile::Profile;
use super::refused::Refused;
use super::route::{Api, Provider, Route};
use super::say::{Said, say};
use super::{anthropic, bedrock, cohere, credentials, databricks, google, openai, tokens};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream; charset=utf-8";

/// An answer before it is framed.
pub struct Composed {
    pub status: StatusCode,
    pub content_type: String,
    /// Headers that the provider's own answers have.
    pub headers: Vec<(&'static str, String)>,
    /// One for an answer that is no stream; one per event (or per `chunk_bytes` of a raw body) for one that is.
    pub pieces: Vec<Bytes>,
    pub stream: bool,
}

/// One request: whom it is for, and what came.
pub struct Request<'a> {
    pub mock: &'a Profile,
    pub route: &'a Route,
    pub parts: &'a Parts,
    pub bytes: &'a Bytes,
    pub orders: &'a Behaviour,
    /// Which one it is since the mock began.
    pub number: u64,
}

/// Composes the answer that the orders call for: `raw` first, then `empty`, an error status, and what the API says.
pub fn compose(request: &Request<'_>, body: Result<Body, String>) -> Composed {
    let Request { mock, route, parts, bytes, orders, .. } = *request;
    let status = orders.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
    if let Some(raw) = &orders.raw {
        return composed_raw(status, raw.content_type.as_deref(), raw.bytes(), orders);
    }
    let echo = orders.echo.then(|| echoed(mock, parts, bytes));
    let api = match (&body, route.api) {
        (Ok(Body::OpenAi(wire)), Api::Invocations) => wire.api().unwrap_or(Api::Invocations),
        (_, api) => api,
    };
    let ask = match api {
        Api::Models | Api::None => Ok(Ask::default()),
        api => body.and_then(|body| body.ask(route, api)),
    };
    if orders.empty {
        let stream = ask.is_ok_and(|ask| ask.stream);
        let framing = stream.then(|| framing(api));
        let content_type = framing.map_or(JSON, content_type).to_owned();
        return Composed { status, content_type, headers: Vec::new(), pieces: Vec::new(), stream };
    }
    if status.as_u16() >= 300 {
        let message = format!("mock {} was told to answer {}", mock.name, status.as_u16());
        return request.refuse((status, message));
    }
    if api != Api::None
        && echo.is_none()
        && let Err(refused) = credentials::check(&mock.keys, route, parts, bytes)
    {
        return request.refuse(refused);
    }
    if api == Api::StreamGenerate && !parts.uri.query().is_some_and(|query| query.contains("alt=sse")) {
        let message = "the mock streams server-sent events alone: ask with ?alt=sse".to_owned();
        return request.refuse((StatusCode::BAD_REQUEST, message));
    }
    match (api, ask, echo) {
        (Api::None, _, Some(echo)) => request.whole(status, echo.into()),
        (Api::None, ..) => {
            let message = format!("mock {}: no API at {} {}", mock.name, parts.method, parts.uri.path());
            request.refuse((StatusCode::NOT_FOUND, message))
        }
        (Api::Models, ..) if route.provider == Provider::Anthropic => {
            request.whole(status, anthropic::models(&mock.models))
        }
        (Api::Models, ..) => request.whole(status, openai::models(&mock.models)),
        (_, Err(why), None) => request.refuse((StatusCode::BAD_REQUEST, why)),
        // An echo needs no request of the right shape.
        (api, ask, echo) => request.answer(status, api, &ask.unwrap_or_default(), echo),
    }
}

impl Request<'_> {
    fn answer(&self, status: StatusCode, api: Api, ask: &Ask, echo: Option<String>) -> Composed {
        let orders = self.orders;
        match api {
            Api::Embeddings => {
                return self.whole(status, openai::embeddings(ask, orders));
            }
            Api::Token => {
                let token = tokens::token(self.bytes, &self.mock.keys, self.mock.tokens.next(), orders.expires_in);
                return token.map_or_else(|refused| self.refuse(refused), |token| self.whole(status, token));
            }
            Api::EmbedContent | Api::BatchEmbed | Api::Predict | Api::CountContent => {
                return self.whole(status, google::counted(ask, api, orders));
            }
            Api::Invocations => return self.whole(status, databricks::predictions(ask)),
            Api::Invoke => {
                let mut composed = self.whole(status, bedrock::invoked(ask, orders));
                let tokens = (orders.usage.is_none() && !orders.no_usage).then(|| ask.prompt_tokens.to_string());
                composed.headers.extend(tokens.map(|tokens| ("x-amzn-bedrock-input-token-count", tokens)));
                return composed;
            }
            Api::CohereEmbed => return self.whole(status, cohere::embeddings(ask, orders, &self.id())),
            Api::CountTokens => return self.whole(status, anthropic::count(ask)),
            _ => {}
        }
        let said = say(&self.mock.name, ask, echo, self.bytes, orders);
        if ask.stream {
            return self.stream(status, api, &said, ask.include_usage);
        }
        let json = match api {
            Api::Messages => anthropic::whole(&said),
            Api::Generate | Api::StreamGenerate => google::whole(&said),
            Api::Converse | Api::ConverseStream => bedrock::whole(&said),
            Api::CohereChat => cohere::whole(&said),
            Api::Responses => openai::responses::whole(&said),
            api => openai::whole(&said, api),
        };
        self.whole(status, json)
    }

    fn stream(&self, status: StatusCode, api: Api, said: &Said<'_>, include_usage: bool) -> Composed {
        let framing = framing(api);
        let mut frames = Frames::new(framing);
        match api {
            Api::Messages => anthropic::stream(said, &mut frames),
            Api::StreamGenerate => google::stream(said, &mut frames),
            Api::ConverseStream => bedrock::stream(said, &mut frames),
            Api::CohereChat => cohere::stream(said, &mut frames),
            Api::Responses => openai::responses::stream(said, &mut frames),
            api => openai::stream::stream(said, api, include_usage, &mut frames),
        }
        if let Some(after) = self.orders.stream_error {
            frames.truncate(after);
            let message = format!("mock {} was told to fail in the stream", self.mock.name);
            match api {
                Api::Messages => anthropic::stream_error(&mut frames, &message),
                Api::StreamGenerate => google::stream_error(&mut frames, &message),
                Api::ConverseStream => bedrock::stream_error(&mut frames, &message),
                Api::CohereChat => cohere::stream_error(&mut frames, &message),
                Api::Responses => openai::responses::stream_error(&mut frames, &message),
                _ => openai::stream::error(&mut frames, &message),
            }
        }
        Composed {
            status,
            content_type: content_type(framing).to_owned(),
            headers: self.headers(),
            pieces: frames.finish(self.orders),
            stream: true,
        }
    }

    fn whole(&self, status: StatusCode, mut json: Bytes) -> Composed {
        if self.orders.broken_json {
            json.truncate(json.len() / 2);
        }
        let headers = self.headers();
        Composed { status, content_type: JSON.to_owned(), headers, pieces: vec![json], stream: false }
    }

    /// An error in the provider's shape.
    fn refuse(&self, (status, message): Refused) -> Composed {
        let json = match self.route.provider {
            Provider::Anthropic => anthropic::error(status, &message, &self.id()),
            Provider::Google => google::error(status, &message),
            Provider::Bedrock => bedrock::error(&message),
            Provider::Cohere => cohere::error(&message, &self.id()),
            Provider::OAuth => tokens::error(status, &message),
            provider => openai::error(provider, status, &message),
        };
        let mut composed = self.whole(status, json);
        if self.route.provider == Provider::Bedrock {
            composed.headers.push(("x-amzn-errortype", bedrock::error_type(status, &message).to_owned()));
        }
        composed
    }

    /// The request's own id: which one it is since the mock began.
    fn id(&self) -> String {
        format!("mock{:08}", self.number)
    }

    /// The headers that the provider's SDK looks at.
    fn headers(&self) -> Vec<(&'static str, String)> {
        match self.route.provider {
            Provider::Anthropic => vec![("request-id", format!("req_{}", self.id()))],
            Provider::Bedrock => vec![("x-amzn-requestid", self.id())],
            _ => Vec::new(),
        }
    }
}

fn framing(api: Api) -> Framing {
    match api {
        Api::ConverseStream => Framing::Aws,
        Api::StreamGenerate => Framing::SseCrlf,
        _ => Framing::Sse,
    }
}

fn content_type(framing: Framing) -> &'static str {
    match framing {
        Framing::Sse => EVENTS,
        Framing::SseCrlf => "text/event-stream",
        Framing::Aws => "application/vnd.amazon.eventstream",
    }
}

fn composed_raw(status: StatusCode, content_type: Option<&str>, bytes: Bytes, orders: &Behaviour) -> Composed {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while let (Some(size), false) = (orders.chunk_bytes, rest.is_empty()) {
        pieces.push(rest.split_to(size.min(rest.len())));
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    let content_type = content_type.unwrap_or(JSON).to_owned();
    Composed { status, stream: orders.chunk_bytes.is_some(), headers: Vec::new(), content_type, pieces }
}

fn echoed(mock: &Profile, parts: &Parts, body: &Bytes) -> String {
    #[derive(serde::Serialize)]
    struct Echo<'a> {
        mock: &'a str,
        #[serde(flatten)]
        received: Received,
    }
    let echo = Echo { mock: &mock.name, received: Received::new(parts, body) };
    String::from_utf8(to_bytes(&echo).to_vec()).unwrap_or_default()
}
