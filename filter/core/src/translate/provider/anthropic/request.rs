//! A neutral request in, Anthropic's messages request out.

use crate::translate::{
    Target, Untranslatable,
    json::{Json, Object},
    neutral::*,
    provider::google::SIGNED,
    read::refused,
};

/// Anthropic wants a bound where others have none: what every model of theirs can write.
pub const DEFAULT_MAX_TOKENS: u64 = 4096;

pub fn write(request: Request<'_>, target: &Target<'_>) -> Result<Vec<u8>, Untranslatable> {
    refuse(&request)?;
    let (thinking, effort) = reasoning(request.reasoning);
    let budget = thinking.as_ref().and_then(|thinking| thinking.u64("budget_tokens"));
    // The budget counts as output: what the caller asked for comes on top where he did not say how much in all.
    let max_tokens = request.max_tokens.unwrap_or_else(|| DEFAULT_MAX_TOKENS.saturating_add(budget.unwrap_or(0)));
    let mut body = Object::new().with("model", target.model.to_owned()).with("max_tokens", max_tokens);
    if !request.system.is_empty() {
        body.set("system", system(request.system));
    }
    let turns = request.turns.into_iter().map(turn).collect::<Result<Vec<_>, _>>()?;
    body.set("messages", turns);
    let has_tools = !request.tools.is_empty();
    if has_tools {
        body.set("tools", request.tools.into_iter().map(tool).collect::<Vec<_>>());
    }
    if let Some(choice) = tool_choice(request.tool_choice, request.parallel_tool_calls, has_tools) {
        body.set("tool_choice", choice);
    }
    let body = body
        .maybe("temperature", request.temperature)
        .maybe("top_p", request.top_p)
        .maybe("top_k", request.top_k)
        .maybe("stop_sequences", list(request.stop))
        .maybe("thinking", thinking)
        .maybe("output_config", output_config(request.format, effort))
        .maybe("metadata", request.user.map(|user| Object::new().with("user_id", user)))
        .maybe("stream", request.stream.then_some(true));
    Ok(body.to_bytes())
}

fn refuse(request: &Request<'_>) -> Result<(), Untranslatable> {
    if request.choices.is_some_and(|n| n != 1) {
        return Err(refused("n"));
    }
    if request.logprobs.is_some() {
        return Err(refused("logprobs"));
    }
    match request.format {
        Some(Format::Json) => Err(Untranslatable(
            "the model that answers knows no `json_object`: send `response_format` with a `json_schema`".into(),
        )),
        _ => Ok(()),
    }
}

fn list(texts: Vec<Text<'_>>) -> Option<Vec<Json<'_>>> {
    (!texts.is_empty()).then(|| texts.into_iter().map(Json::Text).collect())
}

/// One text is a text: anything else must be told apart.
fn system(parts: Vec<Part<'_>>) -> Json<'_> {
    let mut blocks: Vec<Json<'_>> = parts.into_iter().filter_map(|part| block(part).ok().flatten()).collect();
    match blocks.as_mut_slice() {
        [Json::Object(only)] if only.get("cache_control").is_none() => only.take("text").unwrap_or_default(),
        _ => blocks.into(),
    }
}

fn turn(turn: Turn<'_>) -> Result<Json<'_>, Untranslatable> {
    let role = match turn.speaker {
        Speaker::Assistant => "assistant",
        Speaker::User => "user",
    };
    Ok(Object::new().with("role", role).with("content", content(turn.parts)?).into())
}

/// A single unmarked text is a text.
fn content(parts: Vec<Part<'_>>) -> Result<Json<'_>, Untranslatable> {
    let mut blocks = Vec::with_capacity(parts.len());
    for part in parts {
        blocks.extend(block(part)?);
    }
    Ok(match blocks.as_mut_slice() {
        [Json::Object(only)] if only.text("type") == Some("text") && only.get("cache_control").is_none() => {
            only.take("text").unwrap_or_default()
        }
        _ => blocks.into(),
    })
}

/// An empty text is none: Anthropic refuses them.
fn block(part: Part<'_>) -> Result<Option<Json<'_>>, Untranslatable> {
    let typed = |kind: &'static str| Object::new().with("type", kind);
    let block = match part {
        Part::Text { text, .. } | Part::Refusal { text } if text.is_empty() => return Ok(None),
        Part::Text { text, cache } => typed("text").with("text", text).maybe("cache_control", cache),
        Part::Refusal { text } => typed("text").with("text", text),
        Part::Image { source, cache, .. } => {
            typed("image").with("source", write_source(source)).maybe("cache_control", cache)
        }
        Part::File { source, name, cache } => {
            typed("document").with("source", write_source(source)).maybe("title", name).maybe("cache_control", cache)
        }
        // Without its signature Anthropic takes no thinking back.
        Part::Thinking { text, signature } => match signature.filter(|own| !own.is_empty() && !own.starts_with(SIGNED))
        {
            Some(signature) => typed("thinking").with("thinking", text).with("signature", signature),
            None => return Ok(None),
        },
        Part::RedactedThinking { data } => typed("redacted_thinking").with("data", data),
        Part::ToolCall { id, name, arguments, cache } => {
            let input = arguments
                .into_tree()
                .ok_or_else(|| Untranslatable(format!("the arguments of tool call {id:?} are not a JSON object")))?;
            typed("tool_use").with("id", id).with("name", name).with("input", input).maybe("cache_control", cache)
        }
        Part::ToolResult { id, parts, is_error, cache } => typed("tool_result")
            .with("tool_use_id", id)
            .with("content", content(parts)?)
            .maybe("is_error", is_error.then_some(true))
            .maybe("cache_control", cache),
    };
    Ok(Some(block.into()))
}

fn write_source(source: Source<'_>) -> Object<'_> {
    match source {
        Source::Base64 { media_type, data } => {
            Object::new().with("type", "base64").with("media_type", media_type).with("data", data)
        }
        Source::Url(url) => Object::new().with("type", "url").with("url", url),
    }
}

fn tool(tool: Tool<'_>) -> Json<'_> {
    // A function without parameters takes none.
    let schema = tool
        .parameters
        .unwrap_or_else(|| Object::new().with("type", "object").with("properties", Object::new()).into());
    Object::new()
        .with("name", tool.name)
        .maybe("description", tool.description)
        .with("input_schema", schema)
        .maybe("strict", tool.strict)
        .maybe("cache_control", tool.cache)
        .into()
}

/// Whether tools may be called at once stands in the choice.
fn tool_choice<'a>(choice: Option<ToolChoice<'a>>, parallel: Option<bool>, has_tools: bool) -> Option<Object<'a>> {
    let alone = (parallel == Some(false)).then_some(true);
    let choice = match choice {
        None if alone.is_none() || !has_tools => return None,
        None | Some(ToolChoice::Auto) => Object::new().with("type", "auto"),
        Some(ToolChoice::Any) => Object::new().with("type", "any"),
        Some(ToolChoice::Tool(name)) => Object::new().with("type", "tool").with("name", name),
        Some(ToolChoice::None) => return Some(Object::new().with("type", "none")),
    };
    Some(choice.maybe("disable_parallel_tool_use", alone))
}

/// `thinking`, and the effort.
fn reasoning(reasoning: Option<Reasoning<'_>>) -> (Option<Object<'_>>, Option<Text<'_>>) {
    match reasoning {
        None => (None, None),
        Some(Reasoning::Off) => (Some(Object::new().with("type", "disabled")), None),
        Some(Reasoning::Budget(budget)) => {
            (Some(Object::new().with("type", "enabled").with("budget_tokens", budget)), None)
        }
        Some(Reasoning::Adaptive { effort }) => (Some(Object::new().with("type", "adaptive")), effort),
        Some(Reasoning::Effort(effort)) => {
            let effort = if effort == "minimal" { "low".into() } else { effort };
            (Some(Object::new().with("type", "adaptive")), Some(effort))
        }
    }
}

fn output_config<'a>(format: Option<Format<'a>>, effort: Option<Text<'a>>) -> Option<Object<'a>> {
    let schema = match format {
        Some(Format::Schema { schema, .. }) => Some(Object::new().with("type", "json_schema").with("schema", schema)),
        _ => None,
    };
    let config = Object::new().maybe("effort", effort).maybe("format", schema);
    (!config.is_empty()).then_some(config)
}
