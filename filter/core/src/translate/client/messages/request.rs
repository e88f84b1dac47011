//! A request of Anthropic's messages: JSON in, a neutral request out.

use crate::translate::{
    Untranslatable,
    json::{Json, Object},
    neutral::*,
    read::{self, expect_list, expect_object, expect_text, number, refuse_fields, text_or_parts},
};

/// Fields that change what the answer is made of, and that no other API knows.
const REFUSED: &[&str] = &["container", "context_management", "mcp_servers"];

pub fn read(body: &[u8]) -> Result<Request<'_>, Untranslatable> {
    let document = Json::parse(body).map_err(|e| Untranslatable(format!("the body is not valid JSON: {e}")))?;
    let mut body = expect_object(document, "the request's body")?;
    refuse_fields(&body, REFUSED)?;
    let mut config = body.take_object("output_config").unwrap_or_default();
    let (tool_choice, parallel_tool_calls) = tool_choice(&mut body)?;
    let mut request = Request {
        system: system(body.take("system"), "system")?,
        tools: tools(&mut body)?,
        tool_choice,
        parallel_tool_calls,
        format: format(&mut body, &mut config)?,
        max_tokens: body.u64("max_tokens"),
        temperature: number(&mut body, "temperature")?,
        top_p: number(&mut body, "top_p")?,
        top_k: number(&mut body, "top_k")?,
        stop: stop(&mut body)?,
        reasoning: reasoning(&mut body, config.take_text("effort"))?,
        user: body.take_object("metadata").and_then(|mut metadata| metadata.take_text("user_id")),
        stream: body.get("stream").and_then(Json::as_bool).unwrap_or(false),
        ..Request::default()
    };
    let messages = expect_list(body.take("messages").unwrap_or_default(), "`messages`")?;
    for (at, message) in messages.into_iter().enumerate() {
        let at = format!("messages[{at}]");
        let mut message = expect_object(message, &format!("`{at}`"))?;
        let role = expect_text(message.take("role").unwrap_or_default(), &format!("`{at}.role`"))?;
        let content = message.take("content");
        match &*role {
            "user" => request.say(Speaker::User, text_or_parts(content, &format!("{at}.content"), part)?),
            "assistant" => request.say(Speaker::Assistant, text_or_parts(content, &format!("{at}.content"), part)?),
            "system" => request.system.extend(system(content, &format!("{at}.content"))?),
            _ => return Err(Untranslatable(format!("`{at}.role` must be \"user\", \"assistant\" or \"system\""))),
        }
    }
    Ok(request)
}

fn system<'a>(content: Option<Json<'a>>, at: &str) -> Result<Vec<Part<'a>>, Untranslatable> {
    let parts = text_or_parts(content, at, part)?;
    match parts.iter().all(|part| matches!(part, Part::Text { .. })) {
        true => Ok(parts),
        false => Err(Untranslatable(format!("`{at}` must be text"))),
    }
}

fn part<'a>(block: Json<'a>, at: &str) -> Result<Part<'a>, Untranslatable> {
    let mut block = expect_object(block, &format!("`{at}`"))?;
    let kind = expect_text(block.take("type").unwrap_or_default(), &format!("`{at}.type`"))?;
    let cache = block.take("cache_control");
    let mut text = |key: &str| expect_text(block.take(key).unwrap_or_default(), &format!("`{at}.{key}`"));
    match &*kind {
        "text" => Ok(Part::Text { text: text("text")?, cache }),
        "thinking" => Ok(Part::Thinking { text: text("thinking")?, signature: Some(text("signature")?) }),
        "redacted_thinking" => Ok(Part::RedactedThinking { data: text("data")? }),
        "image" => Ok(Part::Image { source: source(&mut block, at)?, detail: None, cache }),
        "document" => document(block, at, cache),
        "tool_use" => Ok(Part::ToolCall {
            id: text("id")?,
            name: text("name")?,
            arguments: Arguments::Tree(block.take("input").unwrap_or_else(|| Object::new().into())),
            cache,
        }),
        "tool_result" => Ok(Part::ToolResult {
            id: text("tool_use_id")?,
            is_error: block.get("is_error").and_then(Json::as_bool).unwrap_or(false),
            parts: text_or_parts(block.take("content"), &format!("{at}.content"), part)?,
            cache,
        }),
        _ => Err(Untranslatable(format!("`{at}` is of type {kind:?}, which the model that answers does not take"))),
    }
}

/// A document of text is text.
fn document<'a>(mut block: Object<'a>, at: &str, cache: Option<Json<'a>>) -> Result<Part<'a>, Untranslatable> {
    let source_of_text =
        block.get("source").filter(|source| source.get("type").and_then(Json::as_text) == Some("text"));
    if source_of_text.is_some() {
        let text = block.take_object("source").and_then(|mut source| source.take_text("data")).unwrap_or_default();
        return Ok(Part::Text { text, cache });
    }
    Ok(Part::File { source: source(&mut block, at)?, name: block.take_text("title"), cache })
}

fn source<'a>(block: &mut Object<'a>, at: &str) -> Result<Source<'a>, Untranslatable> {
    let mut source = expect_object(block.take("source").unwrap_or_default(), &format!("`{at}.source`"))?;
    let (url, data) = (source.take_text("url"), source.take_text("data"));
    match (source.text("type"), url, data) {
        (Some("url"), Some(url), _) => Ok(Source::Url(url)),
        (Some("base64"), _, Some(data)) => {
            let media_type = source.take("media_type").unwrap_or_default();
            Ok(Source::Base64 { media_type: expect_text(media_type, &format!("`{at}.source.media_type`"))?, data })
        }
        _ => Err(Untranslatable(format!(
            "`{at}.source` must be of type \"base64\" or \"url\": an uploaded file belongs to another provider"
        ))),
    }
}

/// Tools that Anthropic runs itself are nobody else's.
fn tools<'a>(body: &mut Object<'a>) -> Result<Vec<Tool<'a>>, Untranslatable> {
    let mut tools = Vec::new();
    for (at, tool) in body.take_list("tools").unwrap_or_default().into_iter().enumerate() {
        let mut tool = expect_object(tool, &format!("`tools[{at}]`"))?;
        if let Some(kind) = tool.text("type").filter(|kind| *kind != "custom") {
            return Err(Untranslatable(format!("`tools[{at}]` is {kind:?}, which only Anthropic's own models have")));
        }
        tools.push(Tool {
            name: expect_text(tool.take("name").unwrap_or_default(), &format!("`tools[{at}].name`"))?,
            description: tool.take_text("description"),
            parameters: tool.take("input_schema"),
            strict: tool.get("strict").and_then(Json::as_bool),
            cache: tool.take("cache_control"),
        });
    }
    Ok(tools)
}

fn tool_choice<'a>(body: &mut Object<'a>) -> Result<(Option<ToolChoice<'a>>, Option<bool>), Untranslatable> {
    let Some(choice) = body.take("tool_choice") else { return Ok((None, None)) };
    let mut choice = expect_object(choice, "`tool_choice`")?;
    let parallel = choice.get("disable_parallel_tool_use").and_then(Json::as_bool).map(|alone| !alone);
    let wrong =
        || Untranslatable("`tool_choice.type` must be \"auto\", \"any\", \"none\" or \"tool\" with a `name`".into());
    let name = choice.take_text("name");
    let choice = match choice.text("type") {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Any,
        Some("none") => ToolChoice::None,
        Some("tool") => ToolChoice::Tool(name.ok_or_else(wrong)?),
        _ => return Err(wrong()),
    };
    Ok((Some(choice), parallel))
}

/// `output_format` is what it was called at first.
fn format<'a>(body: &mut Object<'a>, config: &mut Object<'a>) -> Result<Option<Format<'a>>, Untranslatable> {
    let Some(format) = config.take("format").or_else(|| body.take("output_format")) else { return Ok(None) };
    let mut format = expect_object(format, "`output_config.format`")?;
    let schema = format.take("schema").filter(|_| format.text("type") == Some("json_schema"));
    let schema = schema
        .ok_or_else(|| Untranslatable("`output_config.format` must be a `json_schema` with a `schema`".into()))?;
    Ok(Some(Format::Schema { name: None, description: None, schema, strict: Some(true) }))
}

fn stop<'a>(body: &mut Object<'a>) -> Result<Vec<Text<'a>>, Untranslatable> {
    let Some(list) = body.take("stop_sequences") else { return Ok(Vec::new()) };
    expect_list(list, "`stop_sequences`")?.into_iter().map(|stop| expect_text(stop, "`stop_sequences`")).collect()
}

/// The effort alone steers how much is written too, so it is carried without thinking.
fn reasoning<'a>(body: &mut Object<'a>, effort: Option<Text<'a>>) -> Result<Option<Reasoning<'a>>, Untranslatable> {
    match body.take("thinking") {
        Some(thinking) => read::thinking(thinking, effort),
        None => Ok(effort.map(Reasoning::Effort)),
    }
}
