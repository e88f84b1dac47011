//! What the mock says to a request, before any protocol gives it a shape: an `Ask` and the orders come in, texts, calls, counts
//! and the reason to stop come out. The same request always gets the same answer: ids are hashes, and time stands still.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use serde_json::{Map, Value};

use super::ask::Ask;
use super::behaviour::Behaviour;
use super::{schema, text};

/// Numbers of an embedding when the request asks for no dimensions.
const DIMENSIONS: usize = 8;
const MOST_DIMENSIONS: usize = 4096;
/// What the mock thinks when it is asked to think and not told what.
const REASONING: &str = "The caller asks; a weir answers with what it holds.";

/// One answer.
#[derive(Debug, Default)]
pub struct Said<'a> {
    /// 16 hexadecimal digits, to which each protocol gives its own prefix.
    pub id: String,
    pub model: &'a str,
    pub content: String,
    pub reasoning: Option<String>,
    pub calls: Vec<Call>,
    pub finish: Finish,
    /// At least 1.
    pub choices: usize,
    pub logprobs: bool,
    pub counts: Counts,
    pub report: Report<'a>,
    /// In how many parts a stream brings the content.
    pub chunks: Option<usize>,
}

/// One call of a tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// 18 characters, to which each protocol gives its own prefix.
    pub id: String,
    pub name: String,
    pub arguments: Value,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Finish {
    #[default]
    Stop,
    Length,
    Calls,
    /// One of the request's stop sequences, which this is.
    Sequence(String),
}

/// Tokens. `prompt` holds `cached` and `written`, `completion` holds `reasoning`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub prompt: u64,
    pub completion: u64,
    pub cached: u64,
    pub written: u64,
    pub reasoning: u64,
}

/// Which usage an answer reports.
#[derive(Clone, Copy, Debug, Default)]
pub enum Report<'a> {
    #[default]
    None,
    Counted,
    Ordered(&'a Map<String, Value>),
}

/// A protocol's usage object, or the ordered one in its place.
#[derive(Clone, Serialize)]
#[serde(untagged)]
pub enum Usage<'a, T> {
    Counted(T),
    Ordered(&'a Map<String, Value>),
}

impl Counts {
    pub fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }

    /// Of the prompt what neither came from a cache nor went into one.
    pub fn fresh(&self) -> u64 {
        self.prompt.saturating_sub(self.cached).saturating_sub(self.written)
    }
}

impl<'a> Said<'a> {
    /// The usage to report, in the shape that a protocol gives to counts.
    pub fn usage<T>(&self, counted: impl FnOnce(&Counts) -> T) -> Option<Usage<'a, T>> {
        match self.report {
            Report::None => None,
            Report::Counted => Some(Usage::Counted(counted(&self.counts))),
            Report::Ordered(ordered) => Some(Usage::Ordered(ordered)),
        }
    }

    /// The parts of the content that a stream brings.
    pub fn pieces(&self) -> Vec<&str> {
        text::pieces(&self.content, self.chunks)
    }
}

/// Answers. `echo` takes the place of every text.
pub fn say<'a>(name: &str, ask: &'a Ask, echo: Option<String>, body: &[u8], orders: &'a Behaviour) -> Said<'a> {
    let mut hash = DefaultHasher::new();
    body.hash(&mut hash);
    let id = format!("{:016x}", hash.finish());
    let calls = match &echo {
        Some(_) => Vec::new(),
        None => calls(ask, orders, &id),
    };
    let content = match echo {
        Some(echo) => echo,
        None if !calls.is_empty() => orders.content.clone().unwrap_or_default(),
        None => content(name, ask, orders),
    };
    let (content, mut finish) = ended(content, ask);
    if !calls.is_empty() {
        finish = Finish::Calls;
    }
    let reasoning = match &orders.reasoning {
        Some(ordered) => Some(ordered.clone()),
        None => ask.reasoning.then(|| REASONING.to_owned()),
    };
    let choices = ask.choices.max(1);
    let counts = counts(ask, orders, &content, reasoning.as_deref(), &calls, choices);
    let report = match &orders.usage {
        _ if orders.no_usage => Report::None,
        Some(ordered) => Report::Ordered(ordered),
        None => Report::Counted,
    };
    let (model, logprobs, chunks) = (ask.model.as_str(), ask.logprobs, orders.chunks);
    Said { id, model, content, reasoning, calls, finish, choices, logprobs, counts, report, chunks }
}

fn calls(ask: &Ask, orders: &Behaviour, id: &str) -> Vec<Call> {
    let most = orders.tool_calls.unwrap_or(usize::MAX);
    let call = |(n, tool): (usize, &super::ask::Tool)| Call {
        id: format!("{id}{n:02}"),
        name: tool.name.clone(),
        arguments: schema::sample(&tool.schema),
    };
    ask.tools.iter().take(most).enumerate().map(call).collect()
}

/// The ordered text, else the ordered number of words, else JSON or tool results as the request has it, else a greeting; a
/// stream of more chunks than the greeting has words gets one word per chunk.
fn content(name: &str, ask: &Ask, orders: &Behaviour) -> String {
    if let Some(content) = &orders.content {
        return content.clone();
    }
    if let Some(n) = orders.content_tokens {
        return text::words(n);
    }
    if let Some(schema) = &ask.json {
        return schema::sample(schema).to_string();
    }
    if let Some(results) = &ask.results {
        return format!("Hello from {name}: the tools said {results}");
    }
    let greeting = text::greeting(name);
    match orders.chunks.filter(|n| ask.stream && *n as u64 > text::count(&greeting)) {
        Some(n) => text::words(n),
        None => greeting,
    }
}

/// Where the text ends: at the first stop sequence, at the most tokens, or by itself.
fn ended(mut content: String, ask: &Ask) -> (String, Finish) {
    let found = |stop: &String| content.find(stop.as_str()).map(|at| (at, stop.clone()));
    let first = ask.stop.iter().filter(|stop| !stop.is_empty()).filter_map(found).min_by_key(|(at, _)| *at);
    let mut finish = Finish::Stop;
    if let Some((at, stop)) = first {
        content.truncate(at);
        finish = Finish::Sequence(stop);
    }
    let Some(most) = ask.max_tokens else { return (content, finish) };
    let (kept, cut) = text::cut(&content, most);
    let length = kept.len();
    if cut {
        content.truncate(length);
        finish = Finish::Length;
    }
    (content, finish)
}

fn counts(
    ask: &Ask,
    orders: &Behaviour,
    content: &str,
    reasoning: Option<&str>,
    calls: &[Call],
    choices: usize,
) -> Counts {
    // A call's tokens are the words of its arguments' JSON, and one for its name.
    let called = calls.iter().map(|call| text::count(&call.arguments.to_string()).saturating_add(1)).sum::<u64>();
    let reasoning = reasoning.map_or(0, text::count);
    let once = text::count(content).saturating_add(called).saturating_add(reasoning);
    let cached = orders.cached_tokens.min(ask.prompt_tokens);
    let written = orders.cache_write_tokens.min(ask.prompt_tokens.saturating_sub(cached));
    Counts {
        prompt: ask.prompt_tokens,
        completion: once.saturating_mul(choices as u64),
        cached,
        written,
        reasoning: reasoning.saturating_mul(choices as u64),
    }
}

/// The vectors of an embeddings request: numbers from -1 to 1 that each input's hash decides.
pub fn vectors(ask: &Ask) -> impl Iterator<Item = Vec<f32>> {
    let dimensions = ask.dimensions.unwrap_or(DIMENSIONS).min(MOST_DIMENSIONS);
    ask.inputs.iter().map(move |input| (0..dimensions).map(|n| coordinate(input, n)).collect())
}

fn coordinate(input: &str, n: usize) -> f32 {
    let mut hash = DefaultHasher::new();
    (input, n).hash(&mut hash);
    // 16 bits are exact in an f32.
    let bits = u16::try_from(hash.finish() & 0xffff).unwrap_or(0);
    f32::from(bits) / 32_768.0 - 1.0
}

/// A made-up logarithm of a token's probability: the same for the same token, from -1 to 0.
pub fn logprob(token: &str) -> f64 {
    (f64::from(coordinate(token, 0)) - 1.0) / 2.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ask::Tool;
    use super::*;

    #[test]
    fn answers_follow_the_request_and_the_orders() {
        let stop = |stop: &str| Ask { stop: vec![stop.to_owned(), "never".to_owned()], ..Ask::default() };
        for (ask, orders, content, finish) in [
            (Ask::default(), r#"{"content":"one two"}"#, "one two", Finish::Stop),
            (Ask { max_tokens: Some(1), ..Ask::default() }, r#"{"content":"one two"}"#, "one", Finish::Length),
            (stop("tw"), r#"{"content":"one two"}"#, "one ", Finish::Sequence("tw".to_owned())),
            (Ask { json: Some(json!({})), ..Ask::default() }, "{}", "null", Finish::Stop),
            (
                Ask { results: Some("7 m".to_owned()), ..Ask::default() },
                "{}",
                "Hello from m: the tools said 7 m",
                Finish::Stop,
            ),
        ] {
            let orders = Behaviour::from_json(orders).unwrap();
            let said = say("m", &ask, None, b"", &orders);
            assert_eq!((said.content.as_str(), &said.finish), (content, &finish));
        }
    }

    #[test]
    fn tools_are_called_and_counted() {
        let schema = json!({"type": "object", "properties": {"at": {"type": "string"}}});
        let tool = |name: &str| Tool { name: name.to_owned(), schema: schema.clone() };
        let ask = Ask { tools: vec![tool("a"), tool("b")], prompt_tokens: 9, reasoning: true, ..Ask::default() };
        let orders = Behaviour::from_json(r#"{"cached_tokens":4,"cache_write_tokens":9,"reasoning":"so so"}"#).unwrap();
        let said = say("m", &ask, None, b"x", &orders);
        let names: Vec<_> = said.calls.iter().map(|call| (call.name.as_str(), call.arguments.to_string())).collect();
        let arguments = r#"{"at":"weir"}"#.to_owned();
        assert_eq!(names, [("a", arguments.clone()), ("b", arguments)]);
        assert!(said.content.is_empty() && said.finish == Finish::Calls);
        let counts = Counts { prompt: 9, completion: 6, cached: 4, written: 5, reasoning: 2 };
        assert_eq!((said.counts, said.counts.fresh()), (counts, 0));
        let none = Behaviour::from_json(r#"{"tool_calls":0}"#).unwrap();
        assert!(say("m", &ask, None, b"x", &none).content.starts_with("Hello from m"));
    }
}
