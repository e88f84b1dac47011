//! A chat, completions or embeddings request of OpenAI's API, read: body in, `Ask` out, or the message of the 400 that a provider
//! would answer. Fields it does not know it ignores, as providers do not but tests need.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::mock::ask::{Ask, Choice, MOST_CHOICES, Tool, texts};
use crate::mock::route::Api;
use crate::mock::text;

/// A body as it came: JSON or not, of an API's shape or not.
#[derive(Deserialize, Default)]
pub struct Wire {
    model: Option<String>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    messages: Option<Vec<Message>>,
    prompt: Option<Value>,
    input: Option<Value>,
    encoding_format: Option<String>,
    dimensions: Option<usize>,
    #[serde(default)]
    n: Value,
    #[serde(default)]
    stop: Value,
    #[serde(default)]
    logprobs: Value,
    tools: Option<Vec<Value>>,
    #[serde(default)]
    tool_choice: Value,
    parallel_tool_calls: Option<bool>,
    #[serde(default)]
    response_format: Value,
    pub mock: Option<HashMap<String, Box<RawValue>>>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    role: Role,
    #[serde(default)]
    content: Value,
    #[serde(default)]
    tool_calls: Value,
    tool_call_id: Option<String>,
}

/// Whether a message is a tool's; the other roles are alike here.
#[derive(Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Role {
    Tool,
    #[default]
    #[serde(other)]
    Other,
}

impl Wire {
    /// Reads a body's JSON.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| format!("the body is not a request of this API: {error}"))
    }

    /// The API that a body of `.../invocations` is meant for, if it is one of these.
    pub fn api(&self) -> Option<Api> {
        match self {
            Self { messages: Some(_), .. } => Some(Api::Chat),
            Self { prompt: Some(_), .. } => Some(Api::Completions),
            Self { input: Some(_), .. } => Some(Api::Embeddings),
            _ => None,
        }
    }

    /// Checks that the body is a whole request of `api`; `model` is the one that the path names.
    pub fn ask(self, api: Api, model: Option<String>) -> Result<Ask, String> {
        let Some(model) = model.or(self.model) else { return Err("you must provide a `model`".to_owned()) };
        let mut ask = Ask {
            model,
            stream: self.stream.unwrap_or(false),
            include_usage: self.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
            max_tokens: self.max_completion_tokens.or(self.max_tokens),
            dimensions: self.dimensions,
            base64: self.encoding_format.as_deref() == Some("base64"),
            choices: choices(&self.n)?,
            stop: strings(&self.stop),
            // Chat says true, completions how many.
            logprobs: self.logprobs == true || self.logprobs.is_u64(),
            json: json(&self.response_format)?,
            ..Ask::default()
        };
        match api {
            Api::Chat => {
                let messages =
                    self.messages.filter(|m| !m.is_empty()).ok_or("`messages`: expected at least one message")?;
                ask.prompt_tokens = messages.iter().map(|m| text::count_prompt(&m.content)).sum();
                ask.results = conversation(&messages)?;
                let tools = self.tools.unwrap_or_default().iter().map(tool).collect::<Result<Vec<_>, _>>()?;
                let choice = choice(&self.tool_choice)?;
                ask.offer(tools, &choice, self.parallel_tool_calls.unwrap_or(true))?;
            }
            Api::Completions => {
                ask.prompt_tokens = text::count_prompt(&self.prompt.ok_or("you must provide a `prompt`")?)
            }
            Api::Embeddings => {
                let input = self.input.ok_or("you must provide an `input`")?;
                ask.prompt_tokens = text::count_prompt(&input);
                ask.inputs = inputs(input);
                ask.stream = false;
            }
            _ => {}
        }
        Ok(ask)
    }
}

/// Checks that tool results answer calls, and gives the text of those with which the conversation ends.
fn conversation(messages: &[Message]) -> Result<Option<String>, String> {
    let mut called: Vec<&str> = Vec::new();
    let mut ending = Vec::new();
    for (n, message) in messages.iter().enumerate() {
        if message.role != Role::Tool {
            if let Some(id) = called.first() {
                return Err(format!(
                    "messages[{n}]: an assistant message with `tool_calls` must be followed by tool messages responding to each `tool_call_id`; the following did not have response messages: {id}"
                ));
            }
            let calls = message.tool_calls.as_array().into_iter().flatten();
            called = calls.filter_map(|call| call["id"].as_str()).collect();
            ending.clear();
            continue;
        }
        let id = message.tool_call_id.as_deref().unwrap_or_default();
        let Some(at) = called.iter().position(|call| *call == id) else {
            return Err(format!(
                "messages[{n}]: messages with role `tool` must be a response to a preceding message with `tool_calls`; no call has the id `{id}`"
            ));
        };
        called.remove(at);
        ending.push(texts(&message.content));
    }
    match called.first() {
        Some(id) => Err(format!("messages: the call `{id}` has no tool message")),
        None => Ok((!ending.is_empty()).then(|| ending.join(" "))),
    }
}

/// A tool of chat (`function` in an object of its own) or of responses (flat).
pub fn tool(tool: &Value) -> Result<Tool, String> {
    let function = if tool["function"].is_object() { &tool["function"] } else { tool };
    match (tool["type"].as_str(), function["name"].as_str()) {
        (Some("function"), Some(name)) => Ok(Tool { name: name.to_owned(), schema: function["parameters"].clone() }),
        (kind, _) => Err(format!("tools: expected type `function` and a name, found type {kind:?}")),
    }
}

/// `tool_choice` of chat or of responses.
pub fn choice(choice: &Value) -> Result<Choice, String> {
    let name = choice["function"]["name"].as_str().or(choice["name"].as_str());
    match (choice.as_str(), name) {
        (Some("auto"), _) => Ok(Choice::Auto),
        (Some("none"), _) => Ok(Choice::None),
        (Some("required"), _) => Ok(Choice::Any),
        (None, Some(name)) => Ok(Choice::One(name.to_owned())),
        (None, None) if choice.is_null() => Ok(Choice::Auto),
        _ => Err(format!("tool_choice: expected none, auto, required or a function, found {choice}")),
    }
}

/// The schema that the answer must have, from `response_format` or responses' `text.format`.
pub fn json(format: &Value) -> Result<Option<Value>, String> {
    match format["type"].as_str() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(Value::Object([("type".to_owned(), "object".into())].into_iter().collect()))),
        Some("json_schema") => {
            let schema = if format["json_schema"].is_object() { &format["json_schema"] } else { format };
            match (schema["name"].as_str(), &schema["schema"]) {
                (Some(_), schema @ Value::Object(_)) => Ok(Some(schema.clone())),
                _ => Err("response_format: expected `name` and `schema` of the JSON schema".to_owned()),
            }
        }
        None if format.is_null() => Ok(None),
        _ => Err(format!("response_format: expected type text, json_object or json_schema, found {format}")),
    }
}

fn choices(n: &Value) -> Result<usize, String> {
    match n.as_u64() {
        Some(n @ 1..=MOST_CHOICES) => Ok(usize::try_from(n).unwrap_or(1)),
        None if n.is_null() => Ok(1),
        _ => Err(format!("n: expected 1 to {MOST_CHOICES}, found {n}")),
    }
}

/// One text or a list of them.
pub fn strings(value: &Value) -> Vec<String> {
    let all = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// One text or list of token numbers is one input; a list of texts or of lists is one input each.
fn inputs(input: Value) -> Vec<String> {
    match input {
        Value::Array(items) if !items.iter().any(Value::is_number) => items.iter().map(Value::to_string).collect(),
        one => vec![one.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(api: Api, body: &str) -> Result<Ask, String> {
        Wire::read(body.as_bytes())?.ask(api, None)
    }

    #[test]
    fn a_chat_request_is_read() {
        let got = ask(
            Api::Chat,
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":9,"max_completion_tokens":5,"tools":[],
               "messages":[{"role":"system","content":"be brief"},{"role":"assistant","content":null,"tool_calls":[]},
                           {"role":"user","content":[{"type":"text","text":"one two three"}]}],
               "n":2,"stop":"x","logprobs":true,"response_format":{"type":"json_object"}}"#,
        )
        .unwrap();
        assert!(got.stream && got.include_usage && got.logprobs && got.json.is_some());
        assert_eq!((got.model.as_str(), got.prompt_tokens, got.max_tokens, got.choices), ("m", 5, Some(5), 2));
    }

    #[test]
    fn tools_and_their_results() {
        let body = |rest: &str| {
            let tools = r#"[{"type":"function","function":{"name":"a","parameters":{"type":"object"}}},{"type":"function","function":{"name":"b"}}]"#;
            format!(r#"{{"model":"m","tools":{tools},"messages":[{{"role":"user","content":"x"}}{rest}"#)
        };
        let called = r#",{"role":"assistant","tool_calls":[{"id":"c1"},{"id":"c2"}]}"#;
        let result = |id: &str| format!(r#",{{"role":"tool","tool_call_id":"{id}","content":"7 {id}"}}"#);
        let names = |ask: Ask| ask.tools.into_iter().map(|tool| tool.name).collect::<String>();
        assert_eq!(names(ask(Api::Chat, &body("]}")).unwrap()), "ab");
        let one = body(r#"],"parallel_tool_calls":false}"#);
        assert_eq!(names(ask(Api::Chat, &one).unwrap()), "a");
        let named = body(r#"],"tool_choice":{"type":"function","function":{"name":"b"}}}"#);
        assert_eq!(names(ask(Api::Chat, &named).unwrap()), "b");
        let answered = body(&format!("{called}{}{}]}}", result("c2"), result("c1")));
        assert_eq!(ask(Api::Chat, &answered).unwrap().results.as_deref(), Some("7 c2 7 c1"));
        for (rest, message) in [
            (format!("{called}{}]}}", result("c1")), "`c2` has no tool message"),
            (format!("{called}{}]}}", result("c3")), "no call has the id `c3`"),
            (format!("{called},{{\"role\":\"user\"}}]}}"), "did not have response messages: c1"),
            (r#"],"tool_choice":"some"}"#.to_owned(), "tool_choice: expected"),
        ] {
            let error = ask(Api::Chat, &body(&rest)).expect_err(&rest);
            assert!(error.contains(message), "{rest}: {error}");
        }
    }

    #[test]
    fn requests_of_the_wrong_shape() {
        for (api, body, message) in [
            (Api::Chat, "", "the body is not a request"),
            (Api::Chat, "[1]", "the body is not a request"),
            (Api::Chat, r#"{"messages":[{}]}"#, "`model`"),
            (Api::Chat, r#"{"model":"m"}"#, "`messages`"),
            (Api::Chat, r#"{"model":"m","messages":[]}"#, "`messages`"),
            (Api::Chat, r#"{"model":"m","messages":[{}],"n":0}"#, "n: expected 1 to 128"),
            (Api::Chat, r#"{"model":"m","messages":[{}],"response_format":{"type":"json_schema"}}"#, "response_format"),
            (Api::Completions, r#"{"model":"m"}"#, "`prompt`"),
            (Api::Embeddings, r#"{"model":"m"}"#, "`input`"),
        ] {
            let error = ask(api, body).expect_err(body);
            assert!(error.contains(message), "{body}: {error}");
        }
    }

    #[test]
    fn embeddings_inputs_are_told_apart() {
        for (input, n) in [(r#""one""#, 1), (r#"["one","two"]"#, 2), ("[1,2,3]", 1), ("[[1],[2]]", 2)] {
            let got = ask(Api::Embeddings, &format!(r#"{{"model":"m","input":{input}}}"#)).unwrap();
            assert_eq!(got.inputs.len(), n, "{input}");
        }
    }
}
