//! What a chat is, whatever API writes it down: the types between a caller's API and a provider's. A superset of both, so
//! that what both sides know is carried; what one side lacks is dropped or refused by the side that lacks it, as
//! `docs/translation.md` says.

use std::borrow::Cow;

use serde_json::Number;

use super::json::Json;

pub type Text<'a> = Cow<'a, str>;

#[derive(Debug, Default, PartialEq)]
pub struct Request<'a> {
    /// [`Part::Text`] alone. Wherever they stood, in their order.
    pub system: Vec<Part<'a>>,
    pub turns: Vec<Turn<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    pub parallel_tool_calls: Option<bool>,
    pub format: Option<Format<'a>>,
    pub max_tokens: Option<u64>,
    pub temperature: Option<Number>,
    pub top_p: Option<Number>,
    pub top_k: Option<Number>,
    pub stop: Vec<Text<'a>>,
    pub choices: Option<u64>,
    pub seed: Option<Number>,
    pub presence_penalty: Option<Number>,
    pub frequency_penalty: Option<Number>,
    /// How many alternatives to each token: 0 is the token alone.
    pub logprobs: Option<u64>,
    pub logit_bias: Option<Json<'a>>,
    pub reasoning: Option<Reasoning<'a>>,
    /// A name for the end user, for the provider's watch over abuse.
    pub user: Option<Text<'a>>,
    pub stream: bool,
}

/// Neighbours of one speaker are one turn.
#[derive(Debug, PartialEq)]
pub struct Turn<'a> {
    pub speaker: Speaker,
    pub parts: Vec<Part<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    Assistant,
    /// With the results of tools.
    User,
}

/// `cache`: Anthropic's `cache_control`, as it came.
#[derive(Debug, PartialEq)]
pub enum Part<'a> {
    File { source: Source<'a>, name: Option<Text<'a>>, cache: Option<Json<'a>> },
    Image { source: Source<'a>, detail: Option<Text<'a>>, cache: Option<Json<'a>> },
    RedactedThinking { data: Text<'a> },
    Refusal { text: Text<'a> },
    Text { text: Text<'a>, cache: Option<Json<'a>> },
    Thinking { text: Text<'a>, signature: Option<Text<'a>> },
    ToolCall { id: Text<'a>, name: Text<'a>, arguments: Arguments<'a>, cache: Option<Json<'a>> },
    ToolResult { id: Text<'a>, parts: Vec<Part<'a>>, is_error: bool, cache: Option<Json<'a>> },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Source<'a> {
    Base64 { media_type: Text<'a>, data: Text<'a> },
    Url(Text<'a>),
}

/// A tool call's: what the model wrote as JSON, as text or as a tree.
#[derive(Debug, PartialEq)]
pub enum Arguments<'a> {
    Text(Text<'a>),
    Tree(Json<'a>),
}

#[derive(Debug, PartialEq)]
pub struct Tool<'a> {
    pub name: Text<'a>,
    pub description: Option<Text<'a>>,
    /// A JSON schema.
    pub parameters: Option<Json<'a>>,
    pub strict: Option<bool>,
    pub cache: Option<Json<'a>>,
}

#[derive(Debug, PartialEq)]
pub enum ToolChoice<'a> {
    Any,
    Auto,
    None,
    Tool(Text<'a>),
}

/// What the answer's text must be.
#[derive(Debug, PartialEq)]
pub enum Format<'a> {
    Json,
    Schema { name: Option<Text<'a>>, description: Option<Text<'a>>, schema: Json<'a>, strict: Option<bool> },
}

#[derive(Debug, PartialEq)]
pub enum Reasoning<'a> {
    /// As much as the model sees fit, with a word for how hard it shall try.
    Adaptive {
        effort: Option<Text<'a>>,
    },
    Budget(u64),
    /// `minimal`, `low`, `medium`, `high` and so on.
    Effort(Text<'a>),
    Off,
}

/// A whole answer.
#[derive(Debug, Default, PartialEq)]
pub struct Answer<'a> {
    pub id: Text<'a>,
    pub model: Text<'a>,
    /// In the order of their indices.
    pub choices: Vec<Choice<'a>>,
    pub usage: Option<Usage>,
}

#[derive(Debug, Default, PartialEq)]
pub struct Choice<'a> {
    pub parts: Vec<Part<'a>>,
    pub stop: Option<Stop<'a>>,
    /// OpenAI's object, as it came.
    pub logprobs: Option<Json<'a>>,
}

/// Why the model stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop<'a> {
    /// It had said all.
    End,
    /// By a filter, or since it refused.
    Filter,
    /// `max_tokens`, or the end of the context.
    Length,
    /// A sequence of the request's; `None`: the provider does not tell which.
    Sequence(Option<Text<'a>>),
    ToolCalls,
    /// A word that Weir does not know.
    Other(Text<'a>),
}

/// In tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All of them, cached ones too.
    pub input: u64,
    pub output: u64,
    /// Read from a cache.
    pub cached_input: Option<u64>,
    pub cache_write_input: Option<u64>,
    pub reasoning: Option<u64>,
}

/// What a provider says instead of an answer.
#[derive(Debug, Default, PartialEq)]
pub struct Failure<'a> {
    pub message: Text<'a>,
    /// The provider's own words, where it has them.
    pub kind: Option<Text<'a>>,
    pub code: Option<Text<'a>>,
    pub param: Option<Text<'a>>,
}

/// One step of a stream. Parts of one choice come one after the other; tool calls have numbers of their own, from 0.
#[derive(Debug, PartialEq)]
pub enum Event<'a> {
    Start {
        id: Text<'a>,
        model: Text<'a>,
    },
    Logprobs {
        choice: u64,
        logprobs: Json<'a>,
    },
    Refusal {
        choice: u64,
        text: Text<'a>,
    },
    RedactedThinking {
        choice: u64,
        data: Text<'a>,
    },
    Signature {
        choice: u64,
        text: Text<'a>,
    },
    Stop {
        choice: u64,
        stop: Stop<'a>,
    },
    Text {
        choice: u64,
        text: Text<'a>,
    },
    Thinking {
        choice: u64,
        text: Text<'a>,
    },
    ToolArguments {
        choice: u64,
        call: u64,
        text: Text<'a>,
    },
    ToolCall {
        choice: u64,
        call: u64,
        id: Text<'a>,
        name: Text<'a>,
    },
    /// Counts so far: the last ones count.
    Usage(Usage),
    /// The provider's own error: nothing follows.
    Failure(Failure<'a>),
    /// The provider's terminal event: nothing follows.
    End,
}

impl<'a> Part<'a> {
    pub fn text(text: impl Into<Text<'a>>) -> Self {
        Self::Text { text: text.into(), cache: None }
    }
}

impl Failure<'_> {
    /// The status that stands for the provider's words, where a stream has begun with 200.
    pub fn status(&self) -> u16 {
        let words = [&self.kind, &self.code].into_iter().flatten();
        let status = |word: &Text<'_>| match &**word {
            "INVALID_ARGUMENT" | "invalid_request_error" | "validationException" => Some(400),
            "overloaded_error" => Some(529),
            "RESOURCE_EXHAUSTED" | "rate_limit_error" | "rate_limit_exceeded" | "throttlingException" => Some(429),
            "UNAVAILABLE" | "serviceUnavailableException" => Some(503),
            "DEADLINE_EXCEEDED" | "modelTimeoutException" | "timeout_error" => Some(504),
            _ => None,
        };
        words.filter_map(status).next().unwrap_or(500)
    }
}

impl<'a> Request<'a> {
    /// Adds to the last turn, where it is the speaker's.
    pub fn say(&mut self, speaker: Speaker, parts: Vec<Part<'a>>) {
        match self.turns.last_mut() {
            Some(last) if last.speaker == speaker => last.parts.extend(parts),
            _ => self.turns.push(Turn { speaker, parts }),
        }
    }
}

impl<'a> Arguments<'a> {
    /// As JSON text.
    pub fn into_text(self) -> Text<'a> {
        match self {
            Self::Text(text) => text,
            Self::Tree(tree) => tree.to_text().into(),
        }
    }

    /// As an object; nothing at all is an empty one. `None`: it is none.
    pub fn into_tree(self) -> Option<Json<'a>> {
        let tree = match self {
            Self::Tree(tree) => tree,
            Self::Text(text) if text.trim().is_empty() => return Some(Json::Object(super::json::Object::new())),
            Self::Text(Cow::Borrowed(text)) => Json::parse(text.as_bytes()).ok()?,
            Self::Text(Cow::Owned(text)) => Json::parse_owned(&text).ok()?,
        };
        matches!(tree, Json::Object(_)).then_some(tree)
    }
}
