//! The JSON of the mock's whole answers, in the shapes that the OpenAI SDK's types accept strictly. What to say and count comes
//! in; bytes come out. The same request always gets the same bytes: ids are hashes, and time stands still.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::request::{Api, Ask};

/// `created` of every answer, in seconds since 1970.
pub const CREATED: u64 = 1_700_000_000;
pub const FINGERPRINT: &str = "fp_weir_mock";
/// Numbers of an embedding when the request asks for no `dimensions`.
const DIMENSIONS: usize = 8;
const MOST_DIMENSIONS: usize = 4096;

/// One answer of a chat or completions request, before it is cut into a stream or written as one object.
pub struct Said<'a> {
    pub id: String,
    pub api: Api,
    pub model: &'a str,
    pub content: &'a str,
    /// `stop` or `length`.
    pub finish_reason: &'static str,
    pub usage: Option<Usage<'a>>,
}

/// What an answer reports: counted here, or as it was ordered.
#[derive(Clone, Serialize)]
#[serde(untagged)]
pub enum Usage<'a> {
    Counted {
        prompt_tokens: u64,
        completion_tokens: u64,
        total_tokens: u64,
        prompt_tokens_details: Cached,
        completion_tokens_details: Reasoning,
    },
    Ordered(&'a Map<String, Value>),
}

#[derive(Clone, Serialize)]
pub struct Cached {
    cached_tokens: u64,
}

#[derive(Clone, Serialize)]
pub struct Reasoning {
    reasoning_tokens: u64,
}

impl Usage<'_> {
    pub fn counted(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self::Counted {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
            prompt_tokens_details: Cached { cached_tokens: 0 },
            completion_tokens_details: Reasoning { reasoning_tokens: 0 },
        }
    }
}

/// The id of the answer to a body: the same for the same bytes.
pub fn id(api: Api, body: &[u8]) -> String {
    let mut hash = DefaultHasher::new();
    body.hash(&mut hash);
    let kind = if api == Api::Chat { "chatcmpl" } else { "cmpl" };
    format!("{kind}-{:016x}", hash.finish())
}

/// The whole answer as one JSON object.
pub fn whole(said: &Said<'_>) -> Bytes {
    let (object, message, text) = match said.api {
        Api::Chat => {
            ("chat.completion", Some(Message { role: "assistant", content: said.content, refusal: None }), None)
        }
        _ => ("text_completion", None, Some(said.content)),
    };
    to_bytes(&Whole {
        id: &said.id,
        object,
        created: CREATED,
        model: said.model,
        choices: [Choice { index: 0, message, text, logprobs: None, finish_reason: said.finish_reason }],
        usage: said.usage.as_ref(),
        system_fingerprint: FINGERPRINT,
    })
}

/// An embeddings answer: numbers from -1 to 1 that the input's hash decides.
pub fn embeddings(ask: &Ask, usage: Option<&Map<String, Value>>, no_usage: bool) -> Bytes {
    let dimensions = ask.dimensions.unwrap_or(DIMENSIONS).min(MOST_DIMENSIONS);
    let data = ask.inputs.iter().enumerate().map(|(index, input)| {
        let vector: Vec<f32> = (0..dimensions).map(|n| coordinate(input, n)).collect();
        let embedding = match ask.base64 {
            true => json!(STANDARD.encode(vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())),
            false => json!(vector),
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    let mut answer = json!({"object": "list", "data": data.collect::<Vec<_>>(), "model": ask.model});
    if let (false, Some(answer)) = (no_usage, answer.as_object_mut()) {
        let counted = json!({"prompt_tokens": ask.prompt_tokens, "total_tokens": ask.prompt_tokens});
        answer.insert("usage".to_owned(), usage.map_or(counted, |ordered| Value::Object(ordered.clone())));
    }
    to_bytes(&answer)
}

/// The list of models.
pub fn models(names: &[String]) -> Bytes {
    let data = names.iter().map(|id| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "weir-mock"}));
    to_bytes(&json!({"object": "list", "data": data.collect::<Vec<_>>()}))
}

/// An error in OpenAI's shape.
pub fn error(status: StatusCode, message: &str) -> Bytes {
    let (kind, code) = match status.as_u16() {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        403 => ("permission_error", None),
        404 => ("invalid_request_error", Some("not_found")),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    to_bytes(&json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
}

/// JSON as bytes. The types here cannot fail to serialize; if one did, the answer would be empty.
pub fn to_bytes(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

fn coordinate(input: &str, n: usize) -> f32 {
    let mut hash = DefaultHasher::new();
    (input, n).hash(&mut hash);
    // 16 bits are exact in an f32.
    let bits = u16::try_from(hash.finish() & 0xffff).unwrap_or(0);
    f32::from(bits) / 32_768.0 - 1.0
}

#[derive(Serialize)]
struct Whole<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a Usage<'a>>,
    system_fingerprint: &'static str,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
    refusal: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_answer_to_the_byte() {
        let said = Said {
            id: "chatcmpl-1".to_owned(),
            api: Api::Chat,
            model: "m",
            content: "one two",
            finish_reason: "stop",
            usage: Some(Usage::counted(3, 2)),
        };
        let want = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"one two","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}},"system_fingerprint":"fp_weir_mock"}"#;
        assert_eq!(whole(&said), want);
        let silent = Said { usage: None, api: Api::Completions, ..said };
        assert!(!String::from_utf8_lossy(&whole(&silent)).contains("usage"));
    }

    #[test]
    fn an_embedding_is_the_same_in_both_encodings() {
        let ask = |base64| Ask { inputs: vec!["one".to_owned()], dimensions: Some(3), base64, ..Ask::default() };
        let read = |base64| -> Value { serde_json::from_slice(&embeddings(&ask(base64), None, false)).unwrap() };
        let floats: Vec<f32> = serde_json::from_value(read(false)["data"][0]["embedding"].clone()).unwrap();
        let packed = STANDARD.decode(read(true)["data"][0]["embedding"].as_str().unwrap()).unwrap();
        let unpacked: Vec<f32> = packed.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!((floats.len(), floats), (3, unpacked));
    }
}
