//! A request of Converse or InvokeModel, read as strictly as Bedrock reads it: turns that do not alternate, blank texts, several
//! kinds in one block and tool results that answer nothing are refused. JSON comes in, `Ask` or the message of the 400 comes out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::mock::ask::{Ask, Choice, Tool};
use crate::mock::text;

/// The members of a request and of its content blocks, from `service-2.json` of botocore 1.44 (`mock` is the mock's own).
const REQUEST: [&str; 13] = [
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "promptVariables",
    "additionalModelResponseFieldPaths",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
    "mock",
];
const BLOCK: [&str; 14] = [
    "text",
    "image",
    "document",
    "video",
    "audio",
    "toolUse",
    "toolResult",
    "guardContent",
    "cachePoint",
    "reasoningContent",
    "citationsContent",
    "searchResult",
    "toolAddition",
    "toolRemoval",
];
const INFERENCE: [&str; 4] = ["maxTokens", "temperature", "topP", "stopSequences"];

/// Reads a request of Converse; the model stands in the path.
pub fn converse(body: &Value, model: String, stream: bool) -> Result<Ask, String> {
    known(body, &REQUEST)?;
    let inference = &body["inferenceConfig"];
    known(inference, &INFERENCE)?;
    let messages = body["messages"].as_array().filter(|messages| !messages.is_empty());
    let messages = messages.ok_or(
        "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
    )?;
    let results = conversation(messages)?;
    let contents = messages.iter().map(|message| &message["content"]).chain([&body["system"]]);
    let more = &body["additionalModelRequestFields"];
    let mut ask = Ask {
        model,
        stream,
        max_tokens: inference["maxTokens"].as_u64(),
        prompt_tokens: contents.map(|content| text::count(&words(content))).sum(),
        stop: inference["stopSequences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        results,
        json: schema(&body["outputConfig"])?,
        reasoning: more["thinking"]["type"] == "enabled" || more["reasoning_config"]["type"] == "enabled",
        ..Ask::default()
    };
    let tools = tools(&body["toolConfig"])?;
    if tools.is_empty() && messages.iter().any(|message| !blocks(message, "toolUse").is_empty()) {
        return Err("The toolConfig field must be defined when using toolUse and toolResult content blocks.".to_owned());
    }
    let choice = &body["toolConfig"]["toolChoice"];
    let choice = match (choice["tool"]["name"].as_str(), choice["any"].is_object()) {
        (Some(name), _) => Choice::One(name.to_owned()),
        (None, true) => Choice::Any,
        (None, false) if choice.is_null() || choice["auto"].is_object() => Choice::Auto,
        _ => return Err("toolChoice: expected auto, any or tool".to_owned()),
    };
    ask.offer(tools, &choice, true)?;
    Ok(ask)
}

/// What the text must be: a schema as a text.
fn schema(output: &Value) -> Result<Option<Value>, String> {
    known(output, &["textFormat", "effort"])?;
    match &output["textFormat"] {
        Value::Null => Ok(None),
        format if format["type"] == "json_schema" => {
            let schema = format["structure"]["jsonSchema"]["schema"].as_str().unwrap_or_default();
            serde_json::from_str(schema).map(Some).map_err(|error| format!("outputConfig: no JSON schema ({error})"))
        }
        _ => Err("outputConfig.textFormat.type: expected json_schema".to_owned()),
    }
}

/// Checks the messages in order; the texts of the tool results with which they end.
fn conversation(messages: &[Value]) -> Result<Option<String>, String> {
    let mut called: Vec<&str> = Vec::new();
    let mut results = None;
    for (n, message) in messages.iter().enumerate() {
        let expected = if n % 2 == 0 { "user" } else { "assistant" };
        if message["role"] != expected {
            return Err("A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.".to_owned());
        }
        let content = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        if content.is_empty() {
            return Err(format!(
                "The content field in the Message object at messages.{n} is empty. Add a ContentBlock object to the content field and try again."
            ));
        }
        for (m, block) in content.iter().enumerate() {
            check(block).map_err(|why| format!("{why} at messages.{n}.content.{m}"))?;
        }
        let answered: Vec<&str> =
            blocks(message, "toolResult").iter().filter_map(|one| one["toolUseId"].as_str()).collect();
        if answered.len() != called.len() || called.iter().any(|id| !answered.contains(id)) {
            return Err(format!(
                "Expected toolResult blocks at messages.{n}.content for the following Ids: {}",
                called.join(", ")
            ));
        }
        let said = blocks(message, "toolResult").into_iter().map(|one| words(&one["content"]));
        results = (!answered.is_empty()).then(|| said.collect::<Vec<_>>().join(" "));
        called = blocks(message, "toolUse").iter().filter_map(|one| one["toolUseId"].as_str()).collect();
    }
    match called.is_empty() {
        true => Ok(results),
        false => Err(format!("Expected toolResult blocks for the following Ids: {}", called.join(", "))),
    }
}

fn blocks<'a>(message: &'a Value, kind: &str) -> Vec<&'a Value> {
    message["content"].as_array().into_iter().flatten().filter_map(|block| block.get(kind)).collect()
}

/// A block is a union: exactly one of its members is there.
fn check(block: &Value) -> Result<(), String> {
    known(block, &BLOCK)?;
    if block.as_object().map_or(0, serde_json::Map::len) != 1 {
        return Err(format!("ContentBlock must set one of the following keys: {}", BLOCK.join(", ")));
    }
    if block["text"].as_str().is_some_and(|text| text.trim().is_empty()) {
        return Err(
            "The text field in the ContentBlock object is blank. Add text to the text field, and try again".to_owned()
        );
    }
    let source = &block["image"]["source"];
    let decodes = source["bytes"].as_str().is_some_and(|text| STANDARD.decode(text).is_ok());
    if block["image"].is_object() && !decodes && !source["s3Location"].is_object() {
        return Err("image.source: expected bytes in base64, or s3Location".to_owned());
    }
    if let Some(call) = block.get("toolUse")
        && !(call["input"].is_object() && call["name"].is_string() && call["toolUseId"].is_string())
    {
        return Err("toolUse: expected toolUseId, name, and input that is a JSON object".to_owned());
    }
    Ok(())
}

fn tools(config: &Value) -> Result<Vec<Tool>, String> {
    if config.is_null() {
        return Ok(Vec::new());
    }
    let all = config["tools"].as_array().filter(|tools| !tools.is_empty());
    let all = all.ok_or("toolConfig.tools: expected at least 1 tool")?;
    let specs = all.iter().filter_map(|tool| tool.get("toolSpec"));
    let spec = |spec: &Value| match (spec["name"].as_str(), &spec["inputSchema"]["json"]) {
        (Some(name), schema @ Value::Object(_)) if schema["type"] == "object" => {
            Ok(Tool { name: name.to_owned(), schema: schema.clone() })
        }
        _ => Err("The value at toolConfig.tools.toolSpec.inputSchema.json.type must be one of the following: object."
            .to_owned()),
    };
    specs.map(spec).collect()
}

/// Reads a request of InvokeModel to an embeddings model, of Titan's shape or of Cohere's.
pub fn invoke(body: &Value, model: String) -> Result<Ask, String> {
    let inputs: Vec<String> = match (&body["inputText"], &body["texts"]) {
        (Value::String(text), _) if !text.is_empty() => vec![text.clone()],
        (_, Value::Array(texts)) if body["input_type"].is_string() => {
            texts.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => {
            return Err("Malformed input request: expected `inputText` (Titan), or `texts` and `input_type` (Cohere)"
                .to_owned());
        }
    };
    Ok(Ask {
        model,
        prompt_tokens: inputs.iter().map(|input| text::count(input)).sum(),
        dimensions: body["dimensions"].as_u64().and_then(|n| usize::try_from(n).ok()),
        inputs,
        ..Ask::default()
    })
}

fn known(object: &Value, names: &[&str]) -> Result<(), String> {
    match object.as_object().into_iter().flatten().find(|(key, _)| !names.contains(&key.as_str())) {
        Some((key, _)) => Err(format!("extraneous key [{key}] is not permitted")),
        None => Ok(()),
    }
}

/// All texts under content blocks, tool results' too.
fn words(content: &Value) -> String {
    match content {
        Value::Array(blocks) => blocks.iter().map(words).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" "),
        block => match (block["text"].as_str(), &block["toolResult"]["content"], &block["json"]) {
            (Some(text), ..) => text.to_owned(),
            (_, inner @ Value::Array(_), _) => words(inner),
            (_, _, Value::Null) => String::new(),
            (_, _, json) => json.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(messages: Value, more: Value) -> Result<Ask, String> {
        let mut body = json!({"messages": messages});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        converse(&body, "m".to_owned(), false)
    }

    fn turn(role: &str, block: Value) -> Value {
        json!({"role": role, "content": [block]})
    }

    #[test]
    fn conversations() {
        let spec = json!({"toolConfig": {"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {"type": "object"}}}}]}});
        let user = turn("user", json!({"text": "one two"}));
        let call = turn("assistant", json!({"toolUse": {"toolUseId": "t", "name": "a", "input": {}}}));
        let result = |id: &str| turn("user", json!({"toolResult": {"toolUseId": id, "content": [{"json": {"m": 7}}]}}));
        let got = ask(json!([user]), spec.clone()).unwrap();
        assert_eq!((got.tools.len(), got.prompt_tokens), (1, 2));
        let got = ask(json!([user, call, result("t")]), spec.clone()).unwrap();
        assert_eq!((got.tools.len(), got.results.as_deref()), (0, Some(r#"{"m":7}"#)));
        for (messages, more, message) in [
            (json!([]), json!({}), "must start with a user message"),
            (json!([user, user]), json!({}), "must alternate"),
            (json!([turn("user", json!({"text": " "}))]), json!({}), "is blank"),
            (json!([turn("user", json!({"type": "text", "text": "x"}))]), json!({}), "extraneous key [type]"),
            (json!([turn("user", json!({"text": "x", "image": {}}))]), json!({}), "must set one of"),
            (json!([user, call, result("u")]), spec.clone(), "for the following Ids: t"),
            (json!([user, call, result("t")]), json!({}), "toolConfig field must be defined"),
            (json!([user]), json!({"toolConfig": {"tools": []}}), "at least 1"),
            (json!([user]), json!({"inferenceConfig": {"max_tokens": 1}}), "extraneous key [max_tokens]"),
        ] {
            let error = ask(messages.clone(), more).expect_err(message);
            assert!(error.contains(message), "{messages}: {error}");
        }
    }

    #[test]
    fn embeddings_in_two_shapes() {
        let titan = invoke(&json!({"inputText": "a b", "dimensions": 3}), "t".to_owned()).unwrap();
        assert_eq!((titan.inputs.len(), titan.dimensions, titan.prompt_tokens), (1, Some(3), 2));
        let cohere = invoke(&json!({"texts": ["a", "b"], "input_type": "search_query"}), "c".to_owned()).unwrap();
        assert_eq!(cohere.inputs, ["a", "b"]);
        assert!(invoke(&json!({"texts": ["a"]}), "c".to_owned()).is_err());
    }
}
