//! A request to the mock, read: path and body in, `Ask` out, or the message of the 400 that a provider would answer. It counts
//! the prompt's tokens; fields it does not know it ignores, as providers do not but tests need.

use std::collections::HashMap;

use hyper::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::text;

/// Which API a path means, under any prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Chat,
    Completions,
    Embeddings,
    Models,
}

impl Api {
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let ends =
            |tail: &str| path.strip_suffix(tail).is_some_and(|prefix| prefix.is_empty() || prefix.starts_with('/'));
        match *method {
            Method::POST if ends("/chat/completions") => Some(Self::Chat),
            Method::POST if ends("/completions") => Some(Self::Completions),
            Method::POST if ends("/embeddings") => Some(Self::Embeddings),
            Method::GET if ends("/models") => Some(Self::Models),
            _ => None,
        }
    }
}

/// What of a request the mock answers to.
#[derive(Debug, Default)]
pub struct Ask {
    pub model: String,
    pub stream: bool,
    pub include_usage: bool,
    pub max_tokens: Option<u64>,
    pub prompt_tokens: u64,
    /// The inputs of an embeddings request, as JSON texts.
    pub inputs: Vec<String>,
    pub dimensions: Option<usize>,
    pub base64: bool,
}

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
    pub mock: Option<HashMap<String, Box<RawValue>>>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Value,
}

impl Wire {
    /// Reads a body's JSON.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| format!("the body is not a request of this API: {error}"))
    }

    /// Checks that the body is a whole request of `api`.
    pub fn ask(self, api: Api) -> Result<Ask, String> {
        let Some(model) = self.model else { return Err("you must provide a `model`".to_owned()) };
        let mut ask = Ask {
            model,
            stream: self.stream.unwrap_or(false),
            include_usage: self.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
            max_tokens: self.max_completion_tokens.or(self.max_tokens),
            dimensions: self.dimensions,
            base64: self.encoding_format.as_deref() == Some("base64"),
            ..Ask::default()
        };
        match api {
            Api::Chat => {
                let messages =
                    self.messages.filter(|m| !m.is_empty()).ok_or("`messages`: expected at least one message")?;
                ask.prompt_tokens = messages.iter().map(|m| text::count_prompt(&m.content)).sum();
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
            Api::Models => {}
        }
        Ok(ask)
    }
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
        Wire::read(body.as_bytes())?.ask(api)
    }

    #[test]
    fn paths_under_any_prefix() {
        for (method, path, api) in [
            (Method::POST, "/chat/completions", Some(Api::Chat)),
            (Method::POST, "/a/b/v1/chat/completions", Some(Api::Chat)),
            (Method::POST, "/v1/completions", Some(Api::Completions)),
            (Method::POST, "/v1/embeddings", Some(Api::Embeddings)),
            (Method::GET, "/v1/models", Some(Api::Models)),
            (Method::GET, "/v1/chat/completions", None),
            (Method::POST, "/v1/xcompletions", None),
        ] {
            assert_eq!(Api::of(&method, path), api, "{method} {path}");
        }
    }

    #[test]
    fn a_chat_request_is_read() {
        let got = ask(
            Api::Chat,
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":9,"max_completion_tokens":5,"tools":[],
               "messages":[{"role":"system","content":"be brief"},{"role":"assistant","content":null,"tool_calls":[]},
                           {"role":"user","content":[{"type":"text","text":"one two three"}]}]}"#,
        )
        .unwrap();
        assert!(got.stream && got.include_usage);
        assert_eq!((got.model.as_str(), got.prompt_tokens, got.max_tokens), ("m", 5, Some(5)));
    }

    #[test]
    fn requests_of_the_wrong_shape() {
        for (api, body, message) in [
            (Api::Chat, "", "the body is not a request"),
            (Api::Chat, "[1]", "the body is not a request"),
            (Api::Chat, r#"{"messages":[{}]}"#, "`model`"),
            (Api::Chat, r#"{"model":"m"}"#, "`messages`"),
            (Api::Chat, r#"{"model":"m","messages":[]}"#, "`messages`"),
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
