//! A request of OpenAI's responses: JSON in, a neutral request out, and what its answer repeats of it.

use super::{HIDDEN, SIGNED};
use crate::translate::{
    Untranslatable,
    json::{Json, Object},
    neutral::*,
    read::{expect_list, expect_object, expect_text, number, refuse_fields, text_or_parts},
};

/// Fields that name what OpenAI keeps, or that change what the answer is made of.
const REFUSED: &[&str] = &["background_options", "conversation", "moderation", "previous_response_id", "prompt"];

pub fn read(body: &[u8]) -> Result<(Request<'_>, Object<'static>), Untranslatable> {
    let document = Json::parse(body).map_err(|e| Untranslatable(format!("the body is not valid JSON: {e}")))?;
    let mut body = expect_object(document, "the request's body")?;
    refuse_fields(&body, REFUSED)?;
    if body.get("background").and_then(Json::as_bool) == Some(true) {
        return Err(Untranslatable("the model that answers cannot work in the `background`".into()));
    }
    let echo = echo(&body);
    let mut request = Request {
        system: text_or_parts(body.take("instructions"), "instructions", part)?,
        tools: tools(&mut body)?,
        tool_choice: tool_choice(&mut body)?,
        parallel_tool_calls: body.get("parallel_tool_calls").and_then(Json::as_bool),
        format: format(&mut body)?,
        max_tokens: body.u64("max_output_tokens"),
        temperature: number(&mut body, "temperature")?,
        top_p: number(&mut body, "top_p")?,
        reasoning: reasoning(&mut body),
        user: body.take_text("safety_identifier").or_else(|| body.take_text("user")),
        stream: body.get("stream").and_then(Json::as_bool).unwrap_or(false),
        ..Request::default()
    };
    match body.take("input") {
        Some(Json::Text(text)) => request.say(Speaker::User, vec![Part::text(text)]),
        input => {
            for (at, item) in expect_list(input.unwrap_or_default(), "`input`")?.into_iter().enumerate() {
                let at = format!("input[{at}]");
                read_item(&mut request, expect_object(item, &format!("`{at}`"))?, &at)?;
            }
        }
    }
    Ok((request, echo))
}

fn read_item<'a>(request: &mut Request<'a>, mut item: Object<'a>, at: &str) -> Result<(), Untranslatable> {
    let kind = item.take_text("type").unwrap_or("message".into());
    let mut text = |key: &str| expect_text(item.take(key).unwrap_or_default(), &format!("`{at}.{key}`"));
    match &*kind {
        "message" => {
            let role = text("role")?;
            let parts = text_or_parts(item.take("content"), &format!("{at}.content"), part)?;
            match &*role {
                "system" | "developer" => request.system.extend(parts),
                "user" => request.say(Speaker::User, parts),
                "assistant" => request.say(Speaker::Assistant, parts),
                _ => return Err(Untranslatable(format!("`{at}.role` is {role:?}, which is no role"))),
            }
        }
        "function_call" => {
            let (id, name, arguments) = (text("call_id")?, text("name")?, Arguments::Text(text("arguments")?));
            request.say(Speaker::Assistant, vec![Part::ToolCall { id, name, arguments, cache: None }]);
        }
        "function_call_output" => {
            let id = text("call_id")?;
            let parts = text_or_parts(item.take("output"), &format!("{at}.output"), part)?;
            request.say(Speaker::User, vec![Part::ToolResult { id, parts, is_error: false, cache: None }]);
        }
        "reasoning" => request.say(Speaker::Assistant, thinking(&mut item).into_iter().collect()),
        _ => {
            return Err(Untranslatable(format!(
                "`{at}` is of type {kind:?}, which the model that answers does not take"
            )));
        }
    }
    Ok(())
}

/// As an answer of Weir's had it; OpenAI's own reasoning is left out.
fn thinking<'a>(item: &mut Object<'a>) -> Option<Part<'a>> {
    let content = item.take_text("encrypted_content")?;
    if let Some(data) = content.strip_prefix(HIDDEN) {
        return Some(Part::RedactedThinking { data: data.to_owned().into() });
    }
    let signature = content.strip_prefix(SIGNED)?.to_owned();
    let summary = item.take_list("summary").unwrap_or_default();
    let texts = summary.iter().filter_map(|part| part.get("text")?.as_text());
    let text = texts.collect::<String>();
    Some(Part::Thinking { text: text.into(), signature: Some(signature.into()) })
}

fn part<'a>(part: Json<'a>, at: &str) -> Result<Part<'a>, Untranslatable> {
    let mut part = expect_object(part, &format!("`{at}`"))?;
    let kind = expect_text(part.take("type").unwrap_or_default(), &format!("`{at}.type`"))?;
    let uploaded =
        || Untranslatable(format!("`{at}` must hold the data or a URL: an uploaded file belongs to another provider"));
    match &*kind {
        "input_text" | "output_text" => {
            Ok(Part::text(expect_text(part.take("text").unwrap_or_default(), &format!("`{at}.text`"))?))
        }
        "refusal" => Ok(Part::Refusal { text: part.take_text("refusal").unwrap_or_default() }),
        "input_image" => {
            let url = part.take_text("image_url").ok_or_else(uploaded)?;
            Ok(Part::Image { source: Source::of_url(url), detail: part.take_text("detail"), cache: None })
        }
        "input_file" => {
            let url = part.take_text("file_data").or_else(|| part.take_text("file_url")).ok_or_else(uploaded)?;
            Ok(Part::File { source: Source::of_url(url), name: part.take_text("filename"), cache: None })
        }
        _ => Err(Untranslatable(format!("`{at}` is of type {kind:?}, which the model that answers does not take"))),
    }
}

fn tools<'a>(body: &mut Object<'a>) -> Result<Vec<Tool<'a>>, Untranslatable> {
    let mut tools = Vec::new();
    for (at, tool) in body.take_list("tools").unwrap_or_default().into_iter().enumerate() {
        let mut tool = expect_object(tool, &format!("`tools[{at}]`"))?;
        if tool.text("type") != Some("function") {
            return Err(Untranslatable(format!("`tools[{at}].type` must be \"function\" for the model that answers")));
        }
        tools.push(Tool {
            name: expect_text(tool.take("name").unwrap_or_default(), &format!("`tools[{at}].name`"))?,
            description: tool.take_text("description"),
            parameters: tool.take("parameters"),
            strict: tool.get("strict").and_then(Json::as_bool),
            cache: None,
        });
    }
    Ok(tools)
}

fn tool_choice<'a>(body: &mut Object<'a>) -> Result<Option<ToolChoice<'a>>, Untranslatable> {
    let wrong = || Untranslatable("`tool_choice` must be \"auto\", \"none\", \"required\" or a function's name".into());
    let Some(choice) = body.take("tool_choice") else { return Ok(None) };
    match (choice.as_text(), choice.get("name").and_then(Json::as_text)) {
        (Some("auto"), _) => Ok(Some(ToolChoice::Auto)),
        (Some("none"), _) => Ok(Some(ToolChoice::None)),
        (Some("required"), _) => Ok(Some(ToolChoice::Any)),
        (None, Some(name)) => Ok(Some(ToolChoice::Tool(name.to_owned().into()))),
        _ => Err(wrong()),
    }
}

fn format<'a>(body: &mut Object<'a>) -> Result<Option<Format<'a>>, Untranslatable> {
    let Some(mut format) = body.take_object("text").and_then(|mut text| text.take_object("format")) else {
        return Ok(None);
    };
    match format.text("type") {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(Format::Json)),
        Some("json_schema") => Ok(Some(Format::Schema {
            name: format.take_text("name"),
            description: format.take_text("description"),
            strict: format.get("strict").and_then(Json::as_bool),
            schema: format.take("schema").unwrap_or_else(|| Object::new().into()),
        })),
        _ => Err(Untranslatable("`text.format.type` must be \"text\", \"json_object\" or \"json_schema\"".into())),
    }
}

fn reasoning<'a>(body: &mut Object<'a>) -> Option<Reasoning<'a>> {
    let effort = body.take_object("reasoning")?.take_text("effort")?;
    Some(if effort == "none" { Reasoning::Off } else { Reasoning::Effort(effort) })
}

/// OpenAI's answers repeat most of the request.
fn echo(body: &Object<'_>) -> Object<'static> {
    let given = |key: &str| body.get(key).map(|value| value.clone().into_owned());
    Object::new()
        .with("instructions", given("instructions").unwrap_or_default())
        .with("max_output_tokens", given("max_output_tokens").unwrap_or_default())
        .with("metadata", given("metadata").unwrap_or_else(|| Object::new().into()))
        .with("parallel_tool_calls", given("parallel_tool_calls").unwrap_or(Json::Bool(true)))
        .with("previous_response_id", Json::Null)
        .with("reasoning", given("reasoning").unwrap_or_else(|| Object::new().into()))
        .with("store", false)
        .with("temperature", given("temperature").unwrap_or_default())
        .with("text", given("text").unwrap_or_else(plain_text))
        .with("tool_choice", given("tool_choice").unwrap_or_else(|| "auto".into()))
        .with("tools", given("tools").unwrap_or_else(|| Vec::new().into()))
        .with("top_p", given("top_p").unwrap_or_default())
        .with("truncation", "disabled")
}

fn plain_text() -> Json<'static> {
    Object::new().with("format", Object::new().with("type", "text")).into()
}
