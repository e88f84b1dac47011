//! What the mock was told to do with a request: from `--behave`, from `POST /_mock/behave`, or from the field `mock` of a
//! request's own body. In comes text or JSON, out comes a checked `Behaviour`. An unknown key is never ignored.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The longest pause that can be asked for, and how long `hang` lasts, in milliseconds.
pub const LONGEST_WAIT_MS: u64 = 600_000;
const MOST_WORDS: usize = 1_000_000;
const MOST_CHUNKS: usize = 100_000;

/// One request's orders. The default is an ordinary answer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// The answer's status, 200 to 599; from 300 on with an error in the shape of the provider, unless `raw` gives the body.
    pub status: Option<u16>,
    /// Seconds in a `retry-after` header.
    pub retry_after: Option<u64>,
    /// Further headers of the answer.
    pub headers: BTreeMap<String, String>,
    /// Drop the connection (RST) in place of an answer.
    pub reset: bool,
    /// Never answer; after 600 s the connection is dropped.
    pub hang: bool,
    /// Wait before the answer's headers (or the reset).
    pub delay_ms: u64,
    /// In how many content deltas a stream comes.
    pub chunks: Option<usize>,
    /// Pause between two SSE events, or between two pieces of `chunk_bytes`.
    pub chunk_delay_ms: u64,
    /// Cut the body every so many bytes, regardless of events; each piece is a write and an HTTP chunk of its own.
    pub chunk_bytes: Option<usize>,
    /// RST after so many SSE events (the role chunk counts); an answer that is no stream stops half-way.
    pub midreset: Option<usize>,
    /// After so many SSE events send the provider's own error event, then end cleanly.
    pub stream_error: Option<usize>,
    /// End the stream cleanly, without the event that says so (`data: [DONE]`, `message_stop`, a `finishReason`).
    pub no_done: bool,
    /// Report no usage, whatever was asked.
    pub no_usage: bool,
    /// Half of the JSON: of the whole answer, or of a stream's last content chunk.
    pub broken_json: bool,
    /// End a stream cleanly in the middle of its last event before that one.
    pub half_event: bool,
    /// Announce 64 bytes more than are sent, then close.
    pub wrong_content_length: bool,
    /// 200 and not one byte of body.
    pub empty: bool,
    /// The answer's exact text.
    pub content: Option<String>,
    /// An answer of so many words.
    pub content_tokens: Option<usize>,
    /// Call at most so many of the tools that a request offers; 0 answers text.
    pub tool_calls: Option<usize>,
    /// What the answer reasons, whether or not the request asks to see it.
    pub reasoning: Option<String>,
    /// Report so many of the prompt's tokens as read from a cache, or as written into one.
    pub cached_tokens: u64,
    pub cache_write_tokens: u64,
    /// The life of tokens that the token endpoints give, in seconds. [default: 3600]
    pub expires_in: Option<u64>,
    /// The usage object to report, as it stands.
    pub usage: Option<Map<String, Value>>,
    /// A whole body, as it stands.
    pub raw: Option<Raw>,
    /// Answer with the request as it was received, as JSON in the content.
    pub echo: bool,
}

/// The body of a `raw` answer: text, or base64 for bytes that are not UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Raw {
    pub content_type: Option<String>,
    pub body: String,
    pub body_base64: Option<String>,
}

impl Raw {
    /// The bytes to send. What is not base64 was refused by `Behaviour::checked`.
    pub fn bytes(&self) -> Bytes {
        match &self.body_base64 {
            Some(text) => STANDARD.decode(text).unwrap_or_default().into(),
            None => self.body.clone().into(),
        }
    }
}

impl Behaviour {
    /// Reads a JSON object. The error names the key and what was expected.
    pub fn from_json(json: &str) -> Result<Self, String> {
        serde_json::from_str::<Self>(json).map_err(|error| error.to_string())?.checked()
    }

    /// Reads `--behave` flags, each `503`, `reset`, `delay_ms=50`, or a JSON object; later ones win.
    pub fn from_flags(flags: &[String]) -> Result<Self, String> {
        let mut keys = Map::new();
        for flag in flags {
            let problem = |why: String| format!("--behave {flag}: {why}");
            if flag.starts_with('{') {
                let object: Map<String, Value> = serde_json::from_str(flag).map_err(|e| problem(e.to_string()))?;
                keys.extend(object);
            } else if let Ok(status) = flag.parse::<u16>() {
                keys.insert("status".to_owned(), status.into());
            } else if let Some((key, value)) = flag.split_once('=') {
                keys.insert(key.to_owned(), flag_value(key, value));
            } else {
                keys.insert(flag.clone(), Value::Bool(true));
            }
            // Checked flag by flag, so that the message names the wrong one.
            Self::from_json(&Value::Object(keys.clone()).to_string()).map_err(problem)?;
        }
        Self::from_json(&Value::Object(keys).to_string())
    }

    /// The same from a body that was read as a whole.
    pub fn from_value(mock: &Value, name: &str) -> Result<Option<Self>, String> {
        let orders = [name, "*"].into_iter().find_map(|key| Some((key, mock.get(key)?)));
        let Some((key, json)) = orders else { return Ok(None) };
        Self::from_json(&json.to_string()).map(Some).map_err(|why| format!("mock.{key}: {why}"))
    }

    /// Picks this mock's orders from a body's `mock` field: those under its name, else those under `*`.
    pub fn from_body(mock: &HashMap<String, Box<RawValue>>, name: &str) -> Result<Option<Self>, String> {
        let orders = mock.get_key_value(name).or_else(|| mock.get_key_value("*"));
        let Some((key, json)) = orders else { return Ok(None) };
        Self::from_json(json.get()).map(Some).map_err(|why| format!("mock.{key}: {why}"))
    }

    /// The usage to report where `counted` would be; nothing if none is to be reported.
    pub fn usage_or(&self, counted: Value) -> Option<Value> {
        match &self.usage {
            _ if self.no_usage => None,
            Some(ordered) => Some(Value::Object(ordered.clone())),
            None => Some(counted),
        }
    }

    fn checked(self) -> Result<Self, String> {
        let at_most = |key: &str, value: u64, most: u64| match value > most {
            true => Err(format!("{key}: expected at most {most}, found {value}")),
            false => Ok(()),
        };
        let count = |n: Option<usize>| n.unwrap_or(0) as u64;
        at_most("delay_ms", self.delay_ms, LONGEST_WAIT_MS)?;
        at_most("chunk_delay_ms", self.chunk_delay_ms, LONGEST_WAIT_MS)?;
        at_most("chunks", count(self.chunks), MOST_CHUNKS as u64)?;
        at_most("content_tokens", count(self.content_tokens), MOST_WORDS as u64)?;
        if let Some(status) = self.status
            && !(200..=599).contains(&status)
        {
            return Err(format!("status: expected 200 to 599, found {status}"));
        }
        if self.chunks == Some(0) || self.chunk_bytes == Some(0) {
            return Err("chunks, chunk_bytes: expected at least 1, found 0".to_owned());
        }
        if let Some(text) = self.raw.as_ref().and_then(|raw| raw.body_base64.as_ref()) {
            STANDARD.decode(text).map_err(|error| format!("raw.body_base64: expected base64: {error}"))?;
        }
        for (name, value) in &self.headers {
            if matches!(name.to_ascii_lowercase().as_str(), "content-length" | "transfer-encoding") {
                return Err(format!("headers.{name}: the mock frames its answers itself; see wrong_content_length"));
            }
            if hyper::header::HeaderName::try_from(name).is_err()
                || hyper::header::HeaderValue::try_from(value).is_err()
            {
                return Err(format!("headers: expected a name and a value that HTTP allows, found `{name}: {value}`"));
            }
        }
        Ok(self)
    }
}

/// A flag's value is JSON where it can be, else text; `content` is always text.
fn flag_value(key: &str, value: &str) -> Value {
    match serde_json::from_str(value) {
        Ok(json) if key != "content" => json,
        _ => Value::String(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(flags: &[&str]) -> Result<Behaviour, String> {
        Behaviour::from_flags(&flags.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn flags_take_every_form() {
        let got =
            flags(&["503", "retry_after=7", "no_done", "content=42", r#"{"chunks":3,"usage":{"prompt_tokens":1}}"#]);
        let want = Behaviour {
            status: Some(503),
            retry_after: Some(7),
            no_done: true,
            content: Some("42".to_owned()),
            chunks: Some(3),
            usage: Some(Map::from_iter([("prompt_tokens".to_owned(), 1.into())])),
            ..Behaviour::default()
        };
        assert_eq!(got, Ok(want));
    }

    #[test]
    fn wrong_orders_are_named() {
        for (orders, message) in [
            ("resset", "--behave resset: unknown field `resset`"),
            ("99", "status: expected 200 to 599, found 99"),
            ("delay_ms=600001", "delay_ms: expected at most 600000, found 600001"),
            ("chunks=0", "expected at least 1"),
            ("delay_ms=soon", "invalid type: string \"soon\""),
            (r#"{"raw":{"body_base64":"%"}}"#, "raw.body_base64: expected base64"),
            (r#"{"headers":{"a b":"c"}}"#, "headers: expected a name"),
            (r#"{"raw":{"bytes":"x"}}"#, "unknown field `bytes`"),
        ] {
            let error = flags(&[orders]).expect_err(orders);
            assert!(error.contains(message), "{orders}: {error}");
        }
    }

    #[test]
    fn a_body_speaks_to_one_mock_or_to_all() {
        let body = r#"{"a":{"status":503},"*":{"echo":true},"b":{}}"#;
        let mock: HashMap<String, Box<RawValue>> = serde_json::from_str(body).unwrap();
        let pick = |name| Behaviour::from_body(&mock, name).unwrap().unwrap();
        assert_eq!(pick("a").status, Some(503));
        assert_eq!(pick("b"), Behaviour::default());
        assert!(pick("c").echo);
    }
}
