//! A chat completion's request: JSON in, a neutral request out. `cache_control`, `thinking` and `thinking_blocks` are no
//! fields of OpenAI's; they stand where clients of several providers put them, and are carried to those that know them.

use crate::translate::{
    Untranslatable,
    json::{Json, Object},
    neutral::*,
    read::{expect_list, expect_object, expect_text, number, refuse_fields, text_or_parts},
};

/// Fields that change what the answer is made of, and that no other API knows.
const REFUSED: &[&str] = &["audio", "function_call", "functions", "moderation", "web_search_options"];

pub fn read(body: &[u8]) -> Result<Request<'_>, Untranslatable> {
    let document = Json::parse(body).map_err(|e| Untranslatable(format!("the body is not valid JSON: {e}")))?;
    let mut body = expect_object(document, "the request's body")?;
    refuse_fields(&body, REFUSED)?;
    let modalities = body.take_list("modalities").unwrap_or_default();
    if modalities.iter().any(|modality| modality.as_text() != Some("text")) {
        return Err(Untranslatable("the model that answers cannot give `modalities` other than text".into()));
    }
    let mut request = Request {
        tools: tools(&mut body)?,
        tool_choice: tool_choice(&mut body)?,
        parallel_tool_calls: body.get("parallel_tool_calls").and_then(Json::as_bool),
        format: format(&mut body)?,
        max_tokens: body.u64("max_completion_tokens").or(body.u64("max_tokens")),
        temperature: number(&mut body, "temperature")?,
        top_p: number(&mut body, "top_p")?,
        top_k: number(&mut body, "top_k")?,
        stop: stop(&mut body)?,
        choices: body.u64("n"),
        seed: number(&mut body, "seed")?,
        presence_penalty: number(&mut body, "presence_penalty")?,
        frequency_penalty: number(&mut body, "frequency_penalty")?,
        logprobs: body
            .get("logprobs")
            .and_then(Json::as_bool)
            .unwrap_or(false)
            .then(|| body.u64("top_logprobs").unwrap_or(0)),
        logit_bias: body.take("logit_bias"),
        reasoning: reasoning(&mut body)?,
        user: body.take_text("safety_identifier").or_else(|| body.take_text("user")),
        stream: body.get("stream").and_then(Json::as_bool).unwrap_or(false),
        ..Request::default()
    };
    let messages = expect_list(body.take("messages").unwrap_or_default(), "`messages`")?;
    for (at, message) in messages.into_iter().enumerate() {
        let at = format!("messages[{at}]");
        let message = expect_object(message, &format!("`{at}`"))?;
        read_message(&mut request, message, &at)?;
    }
    Ok(request)
}

fn read_message<'a>(request: &mut Request<'a>, mut message: Object<'a>, at: &str) -> Result<(), Untranslatable> {
    let role = expect_text(message.take("role").unwrap_or_default(), &format!("`{at}.role`"))?;
    let content = message.take("content");
    let cache = message.take("cache_control");
    let mut parts = text_or_parts(content, &format!("{at}.content"), read_part)?;
    match &*role {
        "system" | "developer" => {
            set_cache(&mut parts, cache);
            if parts.iter().any(|part| !matches!(part, Part::Text { .. })) {
                return Err(Untranslatable(format!("`{at}.content` of a {role} message must be text")));
            }
            request.system.extend(parts);
        }
        "user" => {
            set_cache(&mut parts, cache);
            request.say(Speaker::User, parts);
        }
        "assistant" => {
            let mut all = thinking(&mut message)?;
            all.append(&mut parts);
            if let Some(text) = message.take_text("refusal") {
                all.push(Part::Refusal { text });
            }
            for (n, call) in message.take_list("tool_calls").unwrap_or_default().into_iter().enumerate() {
                all.push(tool_call(call, &format!("{at}.tool_calls[{n}]"))?);
            }
            refuse_fields(&message, &["audio", "function_call"])?;
            set_cache(&mut all, cache);
            request.say(Speaker::Assistant, all);
        }
        "tool" => {
            let id = message.take("tool_call_id").unwrap_or_default();
            let id = expect_text(id, &format!("`{at}.tool_call_id`"))?;
            request.say(Speaker::User, vec![Part::ToolResult { id, parts, is_error: false, cache }]);
        }
        _ => {
            return Err(Untranslatable(format!("`{at}.role` is {role:?}, which the model that answers does not know")));
        }
    }
    Ok(())
}

/// A mark on the message is one on its last part.
fn set_cache<'a>(parts: &mut [Part<'a>], mark: Option<Json<'a>>) {
    if let (Some(mark), Some(last)) = (mark, parts.last_mut())
        && let Part::Text { cache, .. }
        | Part::Image { cache, .. }
        | Part::File { cache, .. }
        | Part::ToolCall { cache, .. } = last
    {
        *cache = Some(mark);
    }
}

fn read_part<'a>(part: Json<'a>, at: &str) -> Result<Part<'a>, Untranslatable> {
    let mut part = expect_object(part, &format!("`{at}`"))?;
    let kind = expect_text(part.take("type").unwrap_or_default(), &format!("`{at}.type`"))?;
    let cache = part.take("cache_control");
    match &*kind {
        "text" => {
            Ok(Part::Text { text: expect_text(part.take("text").unwrap_or_default(), &format!("`{at}.text`"))?, cache })
        }
        "refusal" => Ok(Part::Refusal { text: part.take_text("refusal").unwrap_or_default() }),
        "image_url" => {
            let mut image = expect_object(part.take("image_url").unwrap_or_default(), &format!("`{at}.image_url`"))?;
            let url = expect_text(image.take("url").unwrap_or_default(), &format!("`{at}.image_url.url`"))?;
            Ok(Part::Image { source: Source::of_url(url), detail: image.take_text("detail"), cache })
        }
        "file" => {
            let mut file = expect_object(part.take("file").unwrap_or_default(), &format!("`{at}.file`"))?;
            let data = file.take_text("file_data").ok_or_else(|| {
                Untranslatable(format!(
                    "`{at}.file` must hold `file_data`: an uploaded file belongs to another provider"
                ))
            })?;
            Ok(Part::File { source: Source::of_url(data), name: file.take_text("filename"), cache })
        }
        _ => Err(Untranslatable(format!("`{at}` is of type {kind:?}, which the model that answers does not take"))),
    }
}

/// `thinking_blocks`, as an answer of Weir's has them: whoever sends them back may go on with a tool's result.
fn thinking<'a>(message: &mut Object<'a>) -> Result<Vec<Part<'a>>, Untranslatable> {
    let blocks = message.take_list("thinking_blocks").unwrap_or_default();
    let read = |block: Json<'a>| {
        let mut block = block.into_object()?;
        match block.text("type")? {
            "thinking" => {
                Some(Part::Thinking { text: block.take_text("thinking")?, signature: block.take_text("signature") })
            }
            "redacted_thinking" => Some(Part::RedactedThinking { data: block.take_text("data")? }),
            _ => None,
        }
    };
    let parts: Option<Vec<_>> = blocks.into_iter().map(read).collect();
    parts.ok_or_else(|| Untranslatable("`thinking_blocks` must hold blocks as an answer has them".into()))
}

fn tool_call<'a>(call: Json<'a>, at: &str) -> Result<Part<'a>, Untranslatable> {
    let mut call = expect_object(call, &format!("`{at}`"))?;
    if call.text("type").is_some_and(|kind| kind != "function") {
        return Err(Untranslatable(format!("`{at}` must be a call of a function")));
    }
    let id = expect_text(call.take("id").unwrap_or_default(), &format!("`{at}.id`"))?;
    let mut function = expect_object(call.take("function").unwrap_or_default(), &format!("`{at}.function`"))?;
    let name = expect_text(function.take("name").unwrap_or_default(), &format!("`{at}.function.name`"))?;
    let arguments = Arguments::Text(function.take_text("arguments").unwrap_or_default());
    Ok(Part::ToolCall { id, name, arguments, cache: call.take("cache_control") })
}

fn tools<'a>(body: &mut Object<'a>) -> Result<Vec<Tool<'a>>, Untranslatable> {
    let mut tools = Vec::new();
    for (at, tool) in body.take_list("tools").unwrap_or_default().into_iter().enumerate() {
        let mut tool = expect_object(tool, &format!("`tools[{at}]`"))?;
        if tool.text("type") != Some("function") {
            return Err(Untranslatable(format!("`tools[{at}].type` must be \"function\" for the model that answers")));
        }
        let mut function =
            expect_object(tool.take("function").unwrap_or_default(), &format!("`tools[{at}].function`"))?;
        tools.push(Tool {
            name: expect_text(function.take("name").unwrap_or_default(), &format!("`tools[{at}].function.name`"))?,
            description: function.take_text("description"),
            parameters: function.take("parameters"),
            strict: function.get("strict").and_then(Json::as_bool),
            cache: tool.take("cache_control").or_else(|| function.take("cache_control")),
        });
    }
    Ok(tools)
}

fn tool_choice<'a>(body: &mut Object<'a>) -> Result<Option<ToolChoice<'a>>, Untranslatable> {
    let wrong = || Untranslatable("`tool_choice` must be \"auto\", \"none\", \"required\" or a function's name".into());
    match body.take("tool_choice") {
        None => Ok(None),
        Some(Json::Text(word)) => match &*word {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            "required" => Ok(Some(ToolChoice::Any)),
            _ => Err(wrong()),
        },
        Some(choice) => {
            let mut function =
                choice.into_object().and_then(|mut choice| choice.take_object("function")).ok_or_else(wrong)?;
            Ok(Some(ToolChoice::Tool(function.take_text("name").ok_or_else(wrong)?)))
        }
    }
}

fn format<'a>(body: &mut Object<'a>) -> Result<Option<Format<'a>>, Untranslatable> {
    let Some(format) = body.take("response_format") else { return Ok(None) };
    let mut format = expect_object(format, "`response_format`")?;
    match format.text("type") {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(Format::Json)),
        Some("json_schema") => {
            let mut schema =
                expect_object(format.take("json_schema").unwrap_or_default(), "`response_format.json_schema`")?;
            Ok(Some(Format::Schema {
                name: schema.take_text("name"),
                description: schema.take_text("description"),
                strict: schema.get("strict").and_then(Json::as_bool),
                schema: schema.take("schema").unwrap_or_else(|| Object::new().into()),
            }))
        }
        _ => Err(Untranslatable("`response_format.type` must be \"text\", \"json_object\" or \"json_schema\"".into())),
    }
}

fn stop<'a>(body: &mut Object<'a>) -> Result<Vec<Text<'a>>, Untranslatable> {
    match body.take("stop") {
        None => Ok(Vec::new()),
        Some(Json::Text(stop)) => Ok(vec![stop]),
        Some(list) => expect_list(list, "`stop`")?.into_iter().map(|stop| expect_text(stop, "`stop`")).collect(),
    }
}

fn reasoning<'a>(body: &mut Object<'a>) -> Result<Option<Reasoning<'a>>, Untranslatable> {
    if let Some(thinking) = body.take("thinking") {
        return crate::translate::read::thinking(thinking, None);
    }
    let effort = body.take("reasoning_effort").map(|effort| expect_text(effort, "`reasoning_effort`")).transpose()?;
    Ok(effort.map(|effort| if effort == "none" { Reasoning::Off } else { Reasoning::Effort(effort) }))
}
