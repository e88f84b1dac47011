//! A neutral request in, Cohere's chat request out.

use crate::translate::{
    Target, Untranslatable,
    json::{Json, Object},
    neutral::*,
    read::refused,
};

pub fn write(mut request: Request<'_>, target: &Target<'_>) -> Result<Vec<u8>, Untranslatable> {
    refuse(&request)?;
    let choice = tool_choice(&mut request)?;
    let mut messages = Vec::with_capacity(request.turns.len().saturating_add(1));
    if !request.system.is_empty() {
        messages.push(message("system").with("content", content(request.system)?).into());
    }
    for turn in request.turns {
        match turn.speaker {
            Speaker::Assistant => messages.extend(assistant(turn.parts)),
            Speaker::User => user(turn.parts, &mut messages)?,
        }
    }
    let is_strict = request.tools.iter().any(|tool| tool.strict == Some(true));
    let tools: Vec<Json<'_>> = request.tools.into_iter().map(tool).collect();
    let stop: Vec<Json<'_>> = request.stop.into_iter().map(Json::Text).collect();
    let body = Object::new()
        .with("model", target.model.to_owned())
        .with("messages", messages)
        .maybe("tools", (!tools.is_empty()).then_some(tools))
        .maybe("strict_tools", is_strict.then_some(true))
        .maybe("tool_choice", choice)
        .maybe("response_format", request.format.map(format))
        .maybe("max_tokens", request.max_tokens)
        .maybe("stop_sequences", (!stop.is_empty()).then_some(stop))
        .maybe("temperature", request.temperature)
        .maybe("p", request.top_p)
        .maybe("k", request.top_k)
        .maybe("seed", request.seed)
        .maybe("frequency_penalty", request.frequency_penalty)
        .maybe("presence_penalty", request.presence_penalty)
        .maybe("thinking", request.reasoning.and_then(thinking))
        .with("stream", request.stream);
    Ok(body.to_bytes())
}

fn refuse(request: &Request<'_>) -> Result<(), Untranslatable> {
    if request.choices.is_some_and(|n| n != 1) {
        return Err(refused("n"));
    }
    // Cohere's have another shape, and no alternatives.
    if request.logprobs.is_some() {
        return Err(refused("logprobs"));
    }
    Ok(())
}

/// That one tool shall be called is said by offering no other.
fn tool_choice(request: &mut Request<'_>) -> Result<Option<&'static str>, Untranslatable> {
    match request.tool_choice.take().filter(|_| !request.tools.is_empty()) {
        None | Some(ToolChoice::Auto) => Ok(None),
        Some(ToolChoice::Any) => Ok(Some("REQUIRED")),
        Some(ToolChoice::None) => Ok(Some("NONE")),
        Some(ToolChoice::Tool(name)) => {
            request.tools.retain(|tool| tool.name == name);
            match request.tools.is_empty() {
                true => Err(Untranslatable(format!("`tool_choice` names {name:?}, which is none of the `tools`"))),
                false => Ok(Some("REQUIRED")),
            }
        }
    }
}

fn message(role: &'static str) -> Object<'static> {
    Object::new().with("role", role)
}

/// Results of tools are messages of their own, before what the user says. Pictures among them have no place there: they
/// go into the user's message.
fn user<'a>(parts: Vec<Part<'a>>, messages: &mut Vec<Json<'a>>) -> Result<(), Untranslatable> {
    let mut said = Vec::new();
    for part in parts {
        match part {
            Part::ToolResult { id, parts, .. } => {
                let (texts, others): (Vec<_>, Vec<_>) =
                    parts.into_iter().partition(|part| matches!(part, Part::Text { .. }));
                said.extend(others);
                let content = if texts.is_empty() { "".into() } else { content(texts)? };
                messages.push(message("tool").with("tool_call_id", id).with("content", content).into());
            }
            other => said.push(other),
        }
    }
    if !said.is_empty() {
        messages.push(message("user").with("content", content(said)?).into());
    }
    Ok(())
}

/// Thinking goes back as what it was: the plan for the tools, where some were called. What is signed is another provider's.
fn assistant(parts: Vec<Part<'_>>) -> Option<Json<'_>> {
    let (mut text, mut thought) = (String::new(), String::new());
    let mut calls: Vec<Json<'_>> = Vec::new();
    for part in parts {
        match part {
            Part::Text { text: said, .. } | Part::Refusal { text: said } => text.push_str(&said),
            Part::Thinking { text, signature } if signature.as_deref().unwrap_or_default().is_empty() => {
                thought.push_str(&text);
            }
            Part::ToolCall { id, name, arguments, .. } => {
                let function = Object::new().with("name", name).with("arguments", arguments.into_text());
                calls.push(Object::new().with("id", id).with("type", "function").with("function", function).into());
            }
            _ => {}
        }
    }
    let typed = |kind: &'static str, text: String| Object::new().with("type", kind).with(kind, text).into();
    let filled = |text: String| (!text.is_empty()).then_some(text);
    let (plan, thought) = if calls.is_empty() { (None, filled(thought)) } else { (filled(thought), None) };
    let content = match (thought, filled(text)) {
        (None, text) => text.map(Json::from),
        (Some(thought), text) => {
            let mut parts: Vec<Json<'_>> = vec![typed("thinking", thought)];
            parts.extend(text.map(|text| typed("text", text)));
            Some(parts.into())
        }
    };
    if content.is_none() && calls.is_empty() {
        return None;
    }
    let message = message("assistant").maybe("content", content).maybe("tool_plan", plan);
    Some(message.maybe("tool_calls", (!calls.is_empty()).then_some(calls)).into())
}

/// One text is a text.
fn content(parts: Vec<Part<'_>>) -> Result<Json<'_>, Untranslatable> {
    let parts = parts.into_iter().filter_map(|written| part(written).transpose());
    let mut parts = parts.collect::<Result<Vec<Object<'_>>, _>>()?;
    Ok(match parts.as_mut_slice() {
        [only] if only.text("type") == Some("text") => only.take("text").unwrap_or_default(),
        _ => parts.into_iter().map(Json::from).collect::<Vec<_>>().into(),
    })
}

fn part(part: Part<'_>) -> Result<Option<Object<'_>>, Untranslatable> {
    let typed = |kind: &'static str| Object::new().with("type", kind);
    Ok(match part {
        Part::Text { text, .. } | Part::Refusal { text } => Some(typed("text").with("text", text)),
        Part::Image { source, detail, .. } => {
            let url = Object::new().with("url", source.into_url()).maybe("detail", detail);
            Some(typed("image_url").with("image_url", url))
        }
        Part::File { .. } => {
            return Err(Untranslatable("the model that answers takes no files: send their text".into()));
        }
        Part::RedactedThinking { .. } | Part::Thinking { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } => None,
    })
}

/// Cohere wants a schema.
fn tool(tool: Tool<'_>) -> Json<'_> {
    let schema = tool
        .parameters
        .unwrap_or_else(|| Object::new().with("type", "object").with("properties", Object::new()).into());
    let function =
        Object::new().with("name", tool.name).maybe("description", tool.description).with("parameters", schema);
    Object::new().with("type", "function").with("function", function).into()
}

fn format(format: Format<'_>) -> Object<'_> {
    let json = Object::new().with("type", "json_object");
    match format {
        Format::Json => json,
        Format::Schema { schema, .. } => json.with("json_schema", schema),
    }
}

/// Cohere knows no effort: its models think unless they are told not to.
fn thinking(reasoning: Reasoning<'_>) -> Option<Object<'static>> {
    match reasoning {
        Reasoning::Budget(budget) => Some(Object::new().with("type", "enabled").with("token_budget", budget)),
        Reasoning::Off => Some(Object::new().with("type", "disabled")),
        Reasoning::Adaptive { .. } | Reasoning::Effort(_) => None,
    }
}
