//! A neutral request in, a chat completion's request out.

use crate::translate::{
    Target, Untranslatable,
    json::{Json, Object},
    neutral::*,
};

pub fn write(request: Request<'_>, target: &Target<'_>) -> Result<Vec<u8>, Untranslatable> {
    let mut messages = Vec::with_capacity(request.turns.len().saturating_add(1));
    if !request.system.is_empty() {
        messages.push(message("system").with("content", content(request.system)?).into());
    }
    for turn in request.turns {
        match turn.speaker {
            Speaker::Assistant => messages.push(assistant(turn.parts)),
            Speaker::User => user(turn.parts, &mut messages)?,
        }
    }
    let max_tokens = if target.is_openai { "max_completion_tokens" } else { "max_tokens" };
    let has_tools = !request.tools.is_empty();
    let stop: Vec<Json<'_>> = request.stop.into_iter().map(Json::Text).collect();
    let body = Object::new()
        .with("model", target.model.to_owned())
        .with("messages", messages)
        .maybe("tools", has_tools.then(|| request.tools.into_iter().map(tool).collect::<Vec<_>>()))
        .maybe("tool_choice", request.tool_choice.map(tool_choice))
        .maybe("parallel_tool_calls", request.parallel_tool_calls.filter(|_| has_tools))
        .maybe("response_format", request.format.map(format))
        .maybe(max_tokens, request.max_tokens)
        .maybe("temperature", request.temperature)
        .maybe("top_p", request.top_p)
        .maybe("n", request.choices)
        .maybe("stop", (!stop.is_empty()).then_some(stop))
        .maybe("seed", request.seed)
        .maybe("presence_penalty", request.presence_penalty)
        .maybe("frequency_penalty", request.frequency_penalty)
        .maybe("logprobs", request.logprobs.map(|_| true))
        .maybe("top_logprobs", request.logprobs.filter(|top| *top > 0))
        .maybe("logit_bias", request.logit_bias)
        .maybe("reasoning_effort", request.reasoning.and_then(effort))
        .maybe("user", request.user);
    let body = match request.stream {
        true => body.with("stream", true).with("stream_options", Object::new().with("include_usage", true)),
        false => body,
    };
    Ok(body.to_bytes())
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

/// Thinking is no part of what OpenAI takes back.
fn assistant(parts: Vec<Part<'_>>) -> Json<'_> {
    let mut text: Option<String> = None;
    let mut refusal: Option<String> = None;
    let mut calls: Vec<Json<'_>> = Vec::new();
    for part in parts {
        match part {
            Part::Text { text: said, .. } => text.get_or_insert_default().push_str(&said),
            Part::Refusal { text } => refusal.get_or_insert_default().push_str(&text),
            Part::ToolCall { id, name, arguments, .. } => {
                let function = Object::new().with("name", name).with("arguments", arguments.into_text());
                calls.push(Object::new().with("id", id).with("type", "function").with("function", function).into());
            }
            _ => {}
        }
    }
    message("assistant")
        .with("content", text.map(Json::from).unwrap_or_default())
        .maybe("refusal", refusal)
        .maybe("tool_calls", (!calls.is_empty()).then_some(calls))
        .into()
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
        Part::File { source: Source::Url(_), .. } => {
            return Err(Untranslatable(
                "the model that answers takes no file by its URL: send its data in base64".into(),
            ));
        }
        Part::File { source, name, .. } => {
            let file = Object::new().with("filename", name.unwrap_or("file".into()));
            Some(typed("file").with("file", file.with("file_data", source.into_url())))
        }
        Part::RedactedThinking { .. } | Part::Thinking { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } => None,
    })
}

fn tool(tool: Tool<'_>) -> Json<'_> {
    let function = Object::new()
        .with("name", tool.name)
        .maybe("description", tool.description)
        .maybe("parameters", tool.parameters)
        .maybe("strict", tool.strict);
    Object::new().with("type", "function").with("function", function).into()
}

fn tool_choice(choice: ToolChoice<'_>) -> Json<'_> {
    match choice {
        ToolChoice::Any => "required".into(),
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Tool(name) => {
            Object::new().with("type", "function").with("function", Object::new().with("name", name)).into()
        }
    }
}

/// OpenAI wants a name for a schema.
fn format(format: Format<'_>) -> Object<'_> {
    match format {
        Format::Json => Object::new().with("type", "json_object"),
        Format::Schema { name, description, schema, strict } => {
            let schema = Object::new()
                .with("name", name.unwrap_or("answer".into()))
                .maybe("description", description)
                .with("schema", schema)
                .maybe("strict", strict);
            Object::new().with("type", "json_schema").with("json_schema", schema)
        }
    }
}

/// A budget in tokens as the word that stands for as much: the bounds are those at which LiteLLM turns words into budgets.
fn effort(reasoning: Reasoning<'_>) -> Option<Text<'_>> {
    match reasoning {
        Reasoning::Adaptive { effort } => effort,
        Reasoning::Budget(0..2048) => Some("low".into()),
        Reasoning::Budget(2048..4096) => Some("medium".into()),
        Reasoning::Budget(_) => Some("high".into()),
        Reasoning::Effort(effort) => Some(effort),
        // The word for it, `none`, is one that only some models know; the others do not reason.
        Reasoning::Off => None,
    }
}
