//! generateContent's answer, or Google's error, in; a neutral one out. What is not known is passed over. Google writes a stream's
//! events in the same words, so that their parts are read here too.

use super::{OWN_ID, SIGNED};
use crate::translate::{
    json::{Json, Object},
    neutral::*,
};

pub fn read(mut answer: Object<'_>) -> Answer<'_> {
    let id = answer.take_text("responseId").unwrap_or_default();
    let mut calls = 0;
    let candidates = answer.take_list("candidates").unwrap_or_default();
    let mut choices: Vec<Choice<'_>> =
        candidates.into_iter().filter_map(Json::into_object).map(|one| choice(one, &id, &mut calls)).collect();
    if choices.is_empty() && blocked(&answer) {
        choices.push(Choice { stop: Some(Stop::Filter), ..Choice::default() });
    }
    Answer {
        model: answer.take_text("modelVersion").unwrap_or_default(),
        choices,
        usage: answer.get("usageMetadata").and_then(usage),
        id,
    }
}

pub fn failure(mut error: Object<'_>) -> Option<Failure<'_>> {
    let mut error = error.take_object("error")?;
    Some(Failure { message: error.take_text("message")?, kind: error.take_text("status"), ..Failure::default() })
}

/// The prompt itself was refused: there is no candidate then.
pub fn blocked(answer: &Object<'_>) -> bool {
    answer.get("promptFeedback").is_some_and(|feedback| feedback.get("blockReason").is_some())
}

fn choice<'a>(mut candidate: Object<'a>, id: &str, calls: &mut u64) -> Choice<'a> {
    let mut choice = Choice::default();
    let before = *calls;
    for found in parts(&mut candidate) {
        match found {
            Found::Text(text) => choice.parts.push(Part::text(text)),
            Found::Thought(text) => match choice.parts.last_mut() {
                Some(Part::Thinking { text: before, signature: None }) => before.to_mut().push_str(&text),
                _ => choice.parts.push(Part::Thinking { text, signature: None }),
            },
            Found::Call { id: own, name, arguments, signature } => {
                if let Some(signature) = signature {
                    sign(&mut choice.parts, signature);
                }
                let id = own.unwrap_or_else(|| call_id(id, *calls));
                choice.parts.push(Part::ToolCall { id, name, arguments: Arguments::Tree(arguments), cache: None });
                *calls = calls.saturating_add(1);
            }
        }
    }
    choice.stop = candidate.take_text("finishReason").map(|reason| stop(reason, *calls > before));
    choice.logprobs = candidate.take_object("logprobsResult").and_then(logprobs);
    choice
}

/// A signature is one of the thinking before it, which is where callers know to keep one.
fn sign<'a>(parts: &mut Vec<Part<'a>>, signed: Text<'a>) {
    match parts.last_mut() {
        Some(Part::Thinking { signature: signature @ None, .. }) => *signature = Some(signed),
        _ => parts.push(Part::Thinking { text: Text::default(), signature: Some(signed) }),
    }
}

/// One part of a candidate.
pub enum Found<'a> {
    Text(Text<'a>),
    Thought(Text<'a>),
    Call { id: Option<Text<'a>>, name: Text<'a>, arguments: Json<'a>, signature: Option<Text<'a>> },
}

/// What a candidate says. A signature of anything but a call need not be sent back, so it is left out.
pub fn parts<'a>(candidate: &mut Object<'a>) -> impl Iterator<Item = Found<'a>> + use<'a> {
    let content = candidate.take_object("content").and_then(|mut content| content.take_list("parts"));
    content.unwrap_or_default().into_iter().filter_map(|part| {
        let mut part = part.into_object()?;
        if let Some(mut call) = part.take_object("functionCall") {
            return Some(Found::Call {
                id: call.take_text("id").filter(|id| !id.is_empty()),
                name: call.take_text("name")?,
                arguments: call.take("args").unwrap_or_else(|| Object::new().into()),
                signature: part.take_text("thoughtSignature").map(|signature| format!("{SIGNED}{signature}").into()),
            });
        }
        let text = part.take_text("text").filter(|text| !text.is_empty())?;
        Some(if part.get("thought").and_then(Json::as_bool) == Some(true) {
            Found::Thought(text)
        } else {
            Found::Text(text)
        })
    })
}

/// For the `number`th call of an answer, where Google gave it no id. Callers know results by it.
pub fn call_id(answer: &str, number: u64) -> Text<'static> {
    format!("{OWN_ID}{answer}_{number}").into()
}

/// A call is no reason of Google's own to stop.
pub fn stop(reason: Text<'_>, calls: bool) -> Stop<'_> {
    match &*reason {
        "STOP" if calls => Stop::ToolCalls,
        "STOP" | "FINISH_REASON_UNSPECIFIED" => Stop::End,
        "MAX_TOKENS" => Stop::Length,
        "BLOCKLIST"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "IMAGE_SAFETY"
        | "LANGUAGE"
        | "MODEL_ARMOR"
        | "PROHIBITED_CONTENT"
        | "RECITATION"
        | "SAFETY"
        | "SPII" => Stop::Filter,
        _ => Stop::Other(reason),
    }
}

/// Google's candidates' tokens are those without the thoughts; its prompt's are those with the cached ones.
pub fn usage(counts: &Json<'_>) -> Option<Usage> {
    let count = |key: &str| counts.get(key).and_then(Json::as_u64);
    let reasoning = count("thoughtsTokenCount");
    let of_tools = count("toolUsePromptTokenCount").unwrap_or(0);
    Some(Usage {
        input: count("promptTokenCount")?.saturating_add(of_tools),
        output: count("candidatesTokenCount").unwrap_or(0).saturating_add(reasoning.unwrap_or(0)),
        cached_input: count("cachedContentTokenCount"),
        cache_write_input: None,
        reasoning,
    })
}

/// OpenAI's object out of Google's.
pub fn logprobs(mut result: Object<'_>) -> Option<Json<'static>> {
    let chosen = result.take_list("chosenCandidates")?;
    let mut top = result.take_list("topCandidates").unwrap_or_default().into_iter();
    let content = chosen.into_iter().filter_map(|token| {
        let others = top.next().and_then(Json::into_object).and_then(|mut step| step.take_list("candidates"));
        let others: Vec<Json<'_>> =
            others.unwrap_or_default().into_iter().filter_map(logprob).map(Json::from).collect();
        Some(logprob(token)?.with("top_logprobs", others).into())
    });
    let content: Vec<Json<'static>> = content.collect();
    Some(Object::new().with("content", content).with("refusal", Json::Null).into())
}

fn logprob(token: Json<'_>) -> Option<Object<'static>> {
    let mut token = token.into_object()?;
    let text = token.take_text("token")?.into_owned();
    let bytes: Vec<Json<'_>> = text.bytes().map(|byte| Json::from(u64::from(byte))).collect();
    let logprob = token.take("logProbability").map_or_else(|| Json::from(0), Json::into_owned);
    Some(Object::new().with("token", text).with("logprob", logprob).with("bytes", bytes))
}
