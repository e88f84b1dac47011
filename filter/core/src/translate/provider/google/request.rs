//! A neutral request in, generateContent's request out. The model and whether to stream stand in the path.

use std::collections::HashMap;

use super::{OWN_ID, SIGNED};
use crate::translate::{
    Target, Untranslatable,
    json::{Json, Object},
    neutral::*,
};

mod config;

/// What Gemini 3 takes in the place of the signature of a call that another model made (Google's documentation of thought
/// signatures); without any it refuses the conversation.
const UNSIGNED: &str = "skip_thought_signature_validator";

pub fn write(mut request: Request<'_>, target: &Target<'_>) -> Result<Vec<u8>, Untranslatable> {
    let config = config::write(&mut request, target);
    let mut turns = Turns { names: HashMap::new(), wants_signatures: target.model.contains("gemini-3") };
    let mut contents = Vec::with_capacity(request.turns.len());
    for turn in request.turns {
        turns.turn(turn, &mut contents)?;
    }
    let system: Vec<Json<'_>> = request.system.into_iter().filter_map(data).map(Json::from).collect();
    let tools: Vec<Json<'_>> = request.tools.into_iter().map(function).collect();
    let has_tools = !tools.is_empty();
    let tools = has_tools.then(|| vec![Object::new().with("functionDeclarations", tools).into()]);
    let choice = request.tool_choice.filter(|_| has_tools).map(tool_config);
    Ok(Object::new()
        .maybe("systemInstruction", (!system.is_empty()).then(|| Object::new().with("parts", system)))
        .with("contents", contents)
        .maybe("tools", tools)
        .maybe("toolConfig", choice)
        .maybe("generationConfig", (!config.is_empty()).then_some(config))
        .to_bytes())
}

struct Turns<'a> {
    /// The functions' names by the calls' ids: Google knows a result by its function's name.
    names: HashMap<Text<'a>, Text<'a>>,
    wants_signatures: bool,
}

impl<'a> Turns<'a> {
    /// Results of tools are a content of their own, before what the user says. An empty turn is none: Google refuses it.
    fn turn(&mut self, turn: Turn<'a>, contents: &mut Vec<Json<'a>>) -> Result<(), Untranslatable> {
        let (mut results, mut parts) = (Vec::new(), Vec::new());
        let mut signature: Option<String> = None;
        let mut calls = 0_usize;
        for part in turn.parts {
            match part {
                Part::ToolResult { id, parts: found, is_error, .. } => {
                    let (result, others) = self.result(id, found, is_error)?;
                    results.push(result.into());
                    parts.extend(others.into_iter().filter_map(data).map(Json::from));
                }
                Part::ToolCall { id, name, arguments, .. } => {
                    self.names.insert(id.clone(), name.clone());
                    // Of calls at once the first alone is signed.
                    let unsigned = || (self.wants_signatures && calls == 0).then(|| UNSIGNED.to_owned());
                    let signature = signature.take().or_else(unsigned);
                    parts.push(call(id, name, arguments)?.maybe("thoughtSignature", signature).into());
                    calls = calls.saturating_add(1);
                }
                Part::Thinking { signature: found, .. } => {
                    signature = found.and_then(|found| Some(found.strip_prefix(SIGNED)?.to_owned()));
                }
                other => parts.extend(data(other).map(Json::from)),
            }
        }
        let role = match turn.speaker {
            Speaker::Assistant => "model",
            Speaker::User => "user",
        };
        for parts in [results, parts].into_iter().filter(|parts: &Vec<Json<'_>>| !parts.is_empty()) {
            contents.push(Object::new().with("role", role).with("parts", parts).into());
        }
        Ok(())
    }

    /// The response, and what of the result is no text.
    fn result(
        &self,
        id: Text<'a>,
        parts: Vec<Part<'a>>,
        is_error: bool,
    ) -> Result<(Object<'a>, Vec<Part<'a>>), Untranslatable> {
        let name = self.names.get(&id).cloned();
        let name = name.ok_or_else(|| {
            Untranslatable(format!("the tool result for {id:?} answers no tool call of the conversation before it"))
        })?;
        let mut text = String::new();
        let mut others = Vec::new();
        for part in parts {
            match part {
                Part::Text { text: said, .. } => text.push_str(&said),
                other => others.push(other),
            }
        }
        let response = Object::new().with(if is_error { "error" } else { "output" }, text);
        let response = own_id(id).with("name", name).with("response", response);
        Ok((Object::new().with("functionResponse", response), others))
    }
}

fn call<'a>(id: Text<'a>, name: Text<'a>, arguments: Arguments<'a>) -> Result<Object<'a>, Untranslatable> {
    let arguments = arguments
        .into_tree()
        .ok_or_else(|| Untranslatable(format!("the arguments of tool call {id:?} are not a JSON object")))?;
    Ok(Object::new().with("functionCall", own_id(id).with("name", name).with("args", arguments)))
}

/// An id goes back to Google where it was Google's.
fn own_id(id: Text<'_>) -> Object<'_> {
    let is_google = ![OWN_ID, "toolu_", "chatcmpl-tool-"].iter().any(|others| id.starts_with(others));
    Object::new().maybe("id", (is_google && !id.is_empty()).then_some(id))
}

/// One part of a content; `None`: nothing that Google takes, or an empty text, which it refuses.
fn data(part: Part<'_>) -> Option<Object<'_>> {
    match part {
        Part::Text { text, .. } | Part::Refusal { text } => {
            (!text.is_empty()).then(|| Object::new().with("text", text))
        }
        Part::Image { source, .. } | Part::File { source, .. } => Some(match source {
            Source::Base64 { media_type, data } => {
                Object::new().with("inlineData", Object::new().with("mimeType", media_type).with("data", data))
            }
            Source::Url(url) => {
                let file = Object::new().maybe("mimeType", mime_type(&url));
                Object::new().with("fileData", file.with("fileUri", url))
            }
        }),
        Part::RedactedThinking { .. } | Part::Thinking { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } => None,
    }
}

/// By the ending of a URL's path; of others Google is not told any: it judges for itself.
fn mime_type(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next()?;
    let (_, ending) = path.rsplit('/').next()?.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        _ => return None,
    })
}

fn function(tool: Tool<'_>) -> Json<'_> {
    Object::new()
        .with("name", tool.name)
        .maybe("description", tool.description)
        .maybe("parametersJsonSchema", tool.parameters)
        .into()
}

fn tool_config(choice: ToolChoice<'_>) -> Object<'_> {
    let mode = |mode: &'static str| Object::new().with("mode", mode);
    let config = match choice {
        ToolChoice::Any => mode("ANY"),
        ToolChoice::Auto => mode("AUTO"),
        ToolChoice::None => mode("NONE"),
        ToolChoice::Tool(name) => mode("ANY").with("allowedFunctionNames", vec![name.into()]),
    };
    Object::new().with("functionCallingConfig", config)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn types_by_the_ending() {
        for (url, expected) in [
            ("https://example.com/a/cat.PNG?size=1.jpg", Some("image/png")),
            ("gs://bucket/doc.pdf", Some("application/pdf")),
            ("https://example.com/photo", None),
            ("https://example.com", None),
            ("https://example.com/a.b/c", None),
            ("", None),
        ] {
            assert_eq!(mime_type(url), expected, "{url}");
        }
    }

    /// Gemini 3 refuses a conversation whose calls are not signed.
    #[test]
    fn the_first_call_of_a_turn_is_signed() {
        let signed = |id: &'static str, signature: Option<&'static str>| {
            let call = |id: &'static str| Part::ToolCall {
                id: id.into(),
                name: "f".into(),
                arguments: Arguments::Text("{}".into()),
                cache: None,
            };
            let thinking = Part::Thinking { text: "".into(), signature: signature.map(Into::into) };
            Turn { speaker: Speaker::Assistant, parts: vec![thinking, call(id), call("second")] }
        };
        let turns =
            || vec![signed("fc-1", Some("google:c2ln")), signed("toolu_1", Some("anthropics")), signed("", None)];
        for (model, expected) in [("gemini-2.5-pro", ["c2ln", "", ""]), ("gemini-3-pro", ["c2ln", UNSIGNED, UNSIGNED])]
        {
            let request = Request { turns: turns(), ..Request::default() };
            let body = write(request, &Target { model, is_openai: false, is_anthropic: false }).unwrap();
            let mut body = Json::parse(&body).unwrap().into_object().unwrap();
            for (content, expected) in body.take_list("contents").unwrap().into_iter().zip(expected) {
                let parts = content.into_object().unwrap().take_list("parts").unwrap();
                let signature =
                    |part: &Json<'_>| part.get("thoughtSignature").and_then(Json::as_text).unwrap_or("").to_owned();
                assert_eq!(parts.iter().map(signature).collect::<Vec<_>>(), [expected, ""], "{model}");
            }
        }
    }
}
