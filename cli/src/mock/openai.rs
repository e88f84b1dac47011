//! OpenAI's API: what the mock says, as the JSON that `openai`'s types accept. An answer comes in, bytes come out. Requests are
//! read in [`request`], streams made in [`stream`], the Responses API is in [`responses`]. Azure, AI21 and Databricks speak
//! this too, but for their errors.

pub mod request;
pub mod responses;
pub mod stream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::ask::Ask;
use super::behaviour::Behaviour;
use super::route::{Api, Provider};
use super::say::{Call, Counts, Finish, Said, Usage, logprob, vectors};
use super::text;

/// `created` of every answer, in seconds since 1970.
pub const CREATED: u64 = 1_700_000_000;
pub const FINGERPRINT: &str = "fp_weir_mock";

#[derive(Clone, Serialize)]
pub struct Counted {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: Cached,
    completion_tokens_details: Reasoning,
}

#[derive(Clone, Serialize)]
struct Cached {
    cached_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
}

#[derive(Clone, Serialize)]
struct Reasoning {
    reasoning_tokens: u64,
}

/// The usage object of chat and completions.
pub fn usage<'a>(said: &Said<'a>) -> Option<Usage<'a, Counted>> {
    said.usage(|counts: &Counts| Counted {
        prompt_tokens: counts.prompt,
        completion_tokens: counts.completion,
        total_tokens: counts.total(),
        prompt_tokens_details: Cached {
            cached_tokens: counts.cached,
            cache_write_tokens: Some(counts.written).filter(|n| *n > 0),
        },
        completion_tokens_details: Reasoning { reasoning_tokens: counts.reasoning },
    })
}

/// The id of an answer.
pub fn id(said: &Said<'_>, api: Api) -> String {
    format!("{}-{}", if api == Api::Chat { "chatcmpl" } else { "cmpl" }, said.id)
}

pub fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Sequence(_) => "stop",
        Finish::Length => "length",
        Finish::Calls => "tool_calls",
    }
}

/// The whole answer of a chat or completions request as one JSON object.
pub fn whole(said: &Said<'_>, api: Api) -> Bytes {
    let choice = |index| {
        let content = Some(said.content.as_str()).filter(|text| !text.is_empty() || said.calls.is_empty());
        let message = Message {
            role: "assistant",
            content,
            refusal: None,
            reasoning_content: said.reasoning.as_deref(),
            tool_calls: said.calls.iter().map(tool_call).collect(),
        };
        let (message, text) = match api {
            Api::Chat => (Some(message), None),
            _ => (None, Some(said.content.as_str())),
        };
        let logprobs = said.logprobs.then(|| logprobs(&text::pieces(&said.content, None), api));
        Choice { index, message, text, logprobs, finish_reason: finish_reason(&said.finish) }
    };
    to_bytes(&Whole {
        id: &id(said, api),
        object: if api == Api::Chat { "chat.completion" } else { "text_completion" },
        created: CREATED,
        model: said.model,
        choices: (0..said.choices).map(choice).collect(),
        usage: usage(said),
        system_fingerprint: FINGERPRINT,
    })
}

/// The made-up log probabilities of tokens, in the shape of chat or of completions.
pub fn logprobs(tokens: &[&str], api: Api) -> Value {
    if api != Api::Chat {
        let probabilities: Vec<f64> = tokens.iter().map(|token| logprob(token)).collect();
        let tops: Vec<Value> = tokens.iter().map(|token| json!({*token: logprob(token)})).collect();
        let offsets = tokens
            .iter()
            .scan(0, |at: &mut usize, token| Some(std::mem::replace(at, at.saturating_add(token.chars().count()))));
        let offsets: Vec<usize> = offsets.collect();
        return json!({"tokens": tokens, "token_logprobs": probabilities, "top_logprobs": tops, "text_offset": offsets});
    }
    let one = |token: &&str| json!({"token": token, "logprob": logprob(token), "bytes": token.as_bytes()});
    let content = tokens.iter().map(|token| {
        let mut entry = one(token);
        entry["top_logprobs"] = json!([one(token)]);
        entry
    });
    json!({"content": content.collect::<Vec<_>>(), "refusal": null})
}

pub fn tool_call(call: &Call) -> Value {
    let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
    json!({"id": format!("call_{}", call.id), "type": "function", "function": function})
}

/// An embeddings answer.
pub fn embeddings(ask: &Ask, orders: &Behaviour) -> Bytes {
    let data = vectors(ask).enumerate().map(|(index, vector)| {
        let embedding = match ask.base64 {
            true => json!(STANDARD.encode(vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())),
            false => json!(vector),
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    let mut answer = json!({"object": "list", "data": data.collect::<Vec<_>>(), "model": ask.model});
    let counted = json!({"prompt_tokens": ask.prompt_tokens, "total_tokens": ask.prompt_tokens});
    if let Some(usage) = orders.usage_or(counted) {
        answer["usage"] = usage;
    }
    to_bytes(&answer)
}

/// The list of models.
pub fn models(names: &[String]) -> Bytes {
    let data = names.iter().map(|id| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "weir-mock"}));
    to_bytes(&json!({"object": "list", "data": data.collect::<Vec<_>>()}))
}

/// An error in the shape of OpenAI, or of one of those that speak its API but for errors.
pub fn error(provider: Provider, status: StatusCode, message: &str) -> Bytes {
    let code = match (provider, status.as_u16()) {
        (Provider::Ai21, _) => return to_bytes(&json!({"detail": message})),
        (Provider::Databricks, status) => {
            return to_bytes(&json!({"error_code": databricks_code(status), "message": message}));
        }
        (Provider::Azure, 401 | 403) => "401",
        (Provider::Azure, 404) => "DeploymentNotFound",
        (Provider::Azure, 429) => "429",
        (Provider::Azure, 500..) => "InternalServerError",
        _ => return to_bytes(&json!({"error": error_object(status, message)})),
    };
    to_bytes(&json!({"error": {"code": code, "message": message}}))
}

/// What stands under `error`.
pub fn error_object(status: StatusCode, message: &str) -> Value {
    let (kind, code) = match status.as_u16() {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        403 => ("permission_error", None),
        404 => ("invalid_request_error", Some("not_found")),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    json!({"message": message, "type": kind, "param": null, "code": code})
}

fn databricks_code(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "RESOURCE_DOES_NOT_EXIST",
        429 => "REQUEST_LIMIT_EXCEEDED",
        503 => "TEMPORARILY_UNAVAILABLE",
        500.. => "INTERNAL_ERROR",
        _ => "BAD_REQUEST",
    }
}

/// JSON as bytes. The types here cannot fail to serialize; if one did, the answer would be empty.
pub fn to_bytes(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[derive(Serialize)]
struct Whole<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage<'a, Counted>>,
    system_fingerprint: &'static str,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    logprobs: Option<Value>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Value>,
}

#[cfg(test)]
mod tests {
    use super::super::say::Report;
    use super::*;

    #[test]
    fn a_chat_answer_to_the_byte() {
        let said = Said {
            id: "1".to_owned(),
            model: "m",
            content: "one two".to_owned(),
            choices: 1,
            counts: Counts { prompt: 3, completion: 2, ..Counts::default() },
            report: Report::Counted,
            ..Said::default()
        };
        let want = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"one two","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}},"system_fingerprint":"fp_weir_mock"}"#;
        assert_eq!(whole(&said, Api::Chat), want);
        let silent = Said { report: Report::None, ..said };
        assert!(!String::from_utf8_lossy(&whole(&silent, Api::Completions)).contains("usage"));
    }

    #[test]
    fn an_embedding_is_the_same_in_both_encodings() {
        let ask = |base64| Ask { inputs: vec!["one".to_owned()], dimensions: Some(3), base64, ..Ask::default() };
        let read =
            |base64| -> Value { serde_json::from_slice(&embeddings(&ask(base64), &Behaviour::default())).unwrap() };
        let floats: Vec<f32> = serde_json::from_value(read(false)["data"][0]["embedding"].clone()).unwrap();
        let packed = STANDARD.decode(read(true)["data"][0]["embedding"].as_str().unwrap()).unwrap();
        let unpacked: Vec<f32> = packed.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!((floats.len(), floats), (3, unpacked));
    }

    #[test]
    fn errors_by_provider() {
        for (provider, status, want) in [
            (Provider::OpenAi, 503, r#""type":"server_error""#),
            (Provider::Azure, 429, r#"{"error":{"code":"429","message":"x"}}"#),
            (Provider::Ai21, 401, r#"{"detail":"x"}"#),
            (Provider::Databricks, 503, r#"{"error_code":"TEMPORARILY_UNAVAILABLE","message":"x"}"#),
        ] {
            let got = error(provider, StatusCode::from_u16(status).unwrap(), "x");
            assert!(String::from_utf8_lossy(&got).contains(want), "{got:?}");
        }
    }

    #[test]
    fn probabilities_have_a_place_for_each_token() {
        let plain = logprobs(&["one", " two"], Api::Completions);
        assert_eq!((&plain["text_offset"], &plain["tokens"][1]), (&json!([0, 3]), &json!(" two")));
        let chat = logprobs(&["é"], Api::Chat);
        assert_eq!(chat["content"][0]["bytes"], json!([195, 169]));
        assert!((-1.0..=0.0).contains(&chat["content"][0]["logprob"].as_f64().unwrap()));
    }
}
