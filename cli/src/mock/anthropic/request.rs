//! A request of Anthropic's Messages API, read as strictly as Anthropic reads it: unknown fields, roles out of place and tool
//! results that answer nothing are refused, so that a translation that is wrong is seen. JSON comes in, `Ask` or the message of
//! the 400 comes out.

use serde_json::Value;

use super::SIGNATURE;
use crate::mock::ask::{Ask, Choice, Tool, texts};
use crate::mock::text;

/// The fields of a request, those of its betas too, from `MessageCreateParams` of `anthropic` 2.12; `mock` is the mock's own.
const FIELDS: [&str; 33] = [
    "model",
    "messages",
    "max_tokens",
    "metadata",
    "service_tier",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "container",
    "context_management",
    "mcp_servers",
    "betas",
    "output_config",
    "output_format",
    "cache_control",
    "inference_geo",
    "speed",
    "billing_policy",
    "compaction",
    "diagnostics",
    "fallback_credit_token",
    "fallbacks",
    "prefill",
    "thread",
    "user_profile_id",
    "workspace_id",
    "mock",
];
/// The least `budget_tokens`.
const LEAST_BUDGET: u64 = 1024;

/// Reads a request; `counting` is `count_tokens`, which takes no `max_tokens`.
pub fn read(body: &Value, counting: bool) -> Result<Ask, String> {
    let fields = body.as_object().ok_or("expected a JSON object")?;
    if let Some(unknown) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(format!("{unknown}: Extra inputs are not permitted"));
    }
    let model = body["model"].as_str().ok_or("model: Field required")?.to_owned();
    let messages = body["messages"].as_array().ok_or("messages: Field required")?;
    let max_tokens = body["max_tokens"].as_u64();
    if !counting && max_tokens.is_none_or(|most| most == 0) {
        return Err("max_tokens: Field required, a whole number from 1".to_owned());
    }
    if body["temperature"].as_f64().is_some_and(|temperature| !(0.0..=1.0).contains(&temperature)) {
        return Err("temperature: range: 0..1".to_owned());
    }
    let results = conversation(messages)?;
    let tools = tools(&body["tools"])?;
    let schemas = tools.iter().map(|tool| text::count(&tool.schema.to_string())).sum::<u64>();
    let mut ask = Ask {
        model,
        stream: body["stream"] == true,
        max_tokens,
        prompt_tokens: text::count(&texts(&body["system"]))
            .saturating_add(messages.iter().map(|message| text::count(&texts(&message["content"]))).sum())
            .saturating_add(schemas),
        stop: body["stop_sequences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        results,
        json: schema(body),
        reasoning: thinking(body, max_tokens)?,
        ..Ask::default()
    };
    let (choice, parallel) = choice(&body["tool_choice"])?;
    if ask.reasoning && matches!(choice, Choice::Any | Choice::One(_)) {
        return Err("Thinking may not be enabled when tool_choice forces tool use.".to_owned());
    }
    ask.offer(tools, &choice, parallel)?;
    Ok(ask)
}

/// Checks the messages in order; the text of the tool results with which they end.
fn conversation(messages: &[Value]) -> Result<Option<String>, String> {
    let first = messages.first().ok_or("messages: at least one message is required")?;
    if first["role"] != "user" {
        return Err("messages: first message must use the \"user\" role".to_owned());
    }
    let mut called: Vec<&str> = Vec::new();
    let mut results = None;
    for (n, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if !matches!(role, "user" | "assistant") {
            return Err(format!(
                "messages: Unexpected role \"{role}\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role."
            ));
        }
        let blocks = match &message["content"] {
            Value::String(text) if text.is_empty() => {
                return Err(format!("messages.{n}: all messages must have non-empty content"));
            }
            Value::String(_) => &[],
            Value::Array(blocks) if !blocks.is_empty() => blocks.as_slice(),
            _ => return Err(format!("messages.{n}.content: Input should be a valid string or a non-empty list")),
        };
        let answered: Vec<&str> = ids(blocks, "tool_result", "tool_use_id");
        if let Some(id) = answered.iter().find(|id| !called.contains(id)) {
            return Err(format!(
                "messages.{n}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            ));
        }
        if let Some(id) = called.iter().find(|id| !answered.contains(id)) {
            return Err(format!(
                "messages.{n}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}."
            ));
        }
        for (m, block) in blocks.iter().enumerate() {
            check(block, role).map_err(|why| format!("messages.{n}.content.{m}.{why}"))?;
        }
        called = ids(blocks, "tool_use", "id");
        let said = blocks.iter().filter(|block| block["type"] == "tool_result").map(|block| texts(&block["content"]));
        results = (!answered.is_empty()).then(|| said.collect::<Vec<_>>().join(" "));
    }
    match called.first() {
        Some(id) => {
            Err(format!("messages: `tool_use` ids were found without `tool_result` blocks immediately after: {id}."))
        }
        None => Ok(results),
    }
}

fn ids<'a>(blocks: &'a [Value], kind: &str, key: &str) -> Vec<&'a str> {
    blocks.iter().filter(|block| block["type"] == kind).filter_map(|block| block[key].as_str()).collect()
}

/// One content block of a role.
fn check(block: &Value, role: &str) -> Result<(), String> {
    let kind = block["type"].as_str().unwrap_or_default();
    let wrong = |key: &str, expected: &str| Err(format!("{kind}.{key}: {expected}"));
    match (kind, role) {
        ("text", _) if block["text"].as_str().is_none_or(str::is_empty) => {
            wrong("text", "text content blocks must be non-empty")
        }
        ("image" | "document", "user") => match block["source"]["type"].as_str() {
            Some("base64") if block["source"]["media_type"].is_string() && block["source"]["data"].is_string() => {
                Ok(())
            }
            Some("url") if block["source"]["url"].is_string() => Ok(()),
            Some("file" | "text" | "content") => Ok(()),
            _ => wrong("source", "Input should be a source of type base64 (media_type, data) or url (url)"),
        },
        ("tool_use", "assistant") if !block["input"].is_object() => {
            wrong("input", "Input should be a valid dictionary")
        }
        ("tool_use", "assistant") if !block["name"].is_string() => wrong("name", "Field required"),
        ("thinking", "assistant") if block["signature"] != SIGNATURE => {
            wrong("signature", "Invalid `signature` in `thinking` block")
        }
        ("text" | "search_result" | "tool_result", "user")
        | ("text" | "tool_use" | "thinking" | "redacted_thinking" | "server_tool_use", "assistant") => Ok(()),
        _ => Err(format!("type: Input tag '{kind}' does not match any of the expected tags of role {role}")),
    }
}

fn tools(tools: &Value) -> Result<Vec<Tool>, String> {
    let mut read = Vec::new();
    for (n, tool) in tools.as_array().into_iter().flatten().enumerate() {
        let kind = tool["type"].as_str().unwrap_or("custom");
        if kind != "custom" {
            // A tool that Anthropic runs itself; the mock has none.
            continue;
        }
        let name = tool["name"].as_str().unwrap_or_default();
        let lawful = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > 128 || !name.chars().all(lawful) {
            return Err(format!("tools.{n}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"));
        }
        if tool["input_schema"]["type"] != "object" {
            return Err(format!("tools.{n}.custom.input_schema.type: Input should be 'object'"));
        }
        read.push(Tool { name: name.to_owned(), schema: tool["input_schema"].clone() });
    }
    Ok(read)
}

fn choice(choice: &Value) -> Result<(Choice, bool), String> {
    let kind = match (choice, choice["type"].as_str()) {
        (Value::Null, _) | (_, Some("auto")) => Choice::Auto,
        (_, Some("none")) => Choice::None,
        (_, Some("any")) => Choice::Any,
        (_, Some("tool")) => {
            Choice::One(choice["name"].as_str().ok_or("tool_choice.tool.name: Field required")?.to_owned())
        }
        _ => {
            return Err(
                "tool_choice: Input tag does not match any of the expected tags: 'auto', 'any', 'tool', 'none'"
                    .to_owned(),
            );
        }
    };
    Ok((kind, choice["disable_parallel_tool_use"] != true))
}

/// The schema that the answer must have: `output_config.format`, or `output_format` of the beta.
fn schema(body: &Value) -> Option<Value> {
    let formats = [&body["output_config"]["format"], &body["output_format"]];
    formats.into_iter().find(|format| format["type"] == "json_schema").map(|format| format["schema"].clone())
}

fn thinking(body: &Value, max_tokens: Option<u64>) -> Result<bool, String> {
    let thinking = &body["thinking"];
    match thinking["type"].as_str() {
        None if thinking.is_null() => Ok(false),
        Some("disabled") => Ok(false),
        Some("adaptive" | "between_tools") => Ok(true),
        Some("enabled") => match thinking["budget_tokens"].as_u64() {
            Some(budget) if budget < LEAST_BUDGET => {
                Err("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024".to_owned())
            }
            Some(budget) if max_tokens.is_some_and(|most| budget >= most) => {
                Err("`max_tokens` must be greater than `thinking.budget_tokens`".to_owned())
            }
            Some(_) => Ok(true),
            None => Err("thinking.enabled.budget_tokens: Field required".to_owned()),
        },
        _ => Err("thinking: Input tag does not match any of the expected tags: 'enabled', 'disabled', 'adaptive', 'between_tools'".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(more: Value) -> Value {
        let mut body =
            json!({"model": "claude", "max_tokens": 2000, "messages": [{"role": "user", "content": "one two"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    #[test]
    fn a_conversation_with_tools_is_read() {
        let tool =
            json!({"name": "depth", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}});
        let more = json!({"system": [{"type": "text", "text": "be brief"}], "tools": [tool], "stop_sequences": ["x"]});
        let ask = read(&body(more.clone()), false).unwrap();
        assert_eq!((ask.tools.len(), ask.prompt_tokens, ask.stop.len(), ask.results), (1, 5, 1, None));
        let messages = json!([{"role": "user", "content": "how deep"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "depth", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "7 m"}]}]}]);
        let mut answered = body(more);
        answered["messages"] = messages;
        let ask = read(&answered, false).unwrap();
        assert_eq!((ask.tools.len(), ask.results.as_deref()), (0, Some("7 m")));
    }

    #[test]
    fn what_anthropic_refuses() {
        let turn = |role: &str, content: Value| json!({"role": role, "content": content});
        let called = turn("assistant", json!([{"type": "tool_use", "id": "t1", "name": "a", "input": {}}]));
        let result = turn("user", json!([{"type": "tool_result", "tool_use_id": "t2", "content": "x"}]));
        for (more, message) in [
            (json!({"n": 2}), "n: Extra inputs are not permitted"),
            (json!({"max_tokens": null}), "max_tokens: Field required"),
            (json!({"temperature": 1.5}), "temperature: range: 0..1"),
            (json!({"messages": []}), "at least one message"),
            (json!({"messages": [turn("assistant", json!("x"))]}), "first message must use"),
            (json!({"messages": [turn("user", json!("x")), turn("system", json!("x"))]}), "Unexpected role \"system\""),
            (json!({"messages": [turn("user", json!(""))]}), "non-empty content"),
            (json!({"messages": [turn("user", json!([{"type": "image_url"}]))]}), "messages.0.content.0.type"),
            (
                json!({"messages": [turn("user", json!("x")), called, turn("user", json!("y"))]}),
                "without `tool_result`",
            ),
            (json!({"messages": [turn("user", json!("x")), result]}), "unexpected `tool_use_id`"),
            (json!({"tools": [{"name": "a.b"}]}), "tools.0.custom.name"),
            (json!({"tools": [{"name": "a", "input_schema": {}}]}), "input_schema.type"),
            (json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}), "must be greater than"),
            (json!({"tool_choice": "auto"}), "tool_choice"),
        ] {
            let error = read(&body(more.clone()), false).expect_err(&more.to_string());
            assert!(error.contains(message), "{more}: {error}");
        }
        assert!(read(&json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}), true).is_ok());
    }
}
