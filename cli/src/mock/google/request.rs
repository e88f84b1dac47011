//! A request of Google's generative methods, read as strictly as Google reads it: fields that its protocol buffers do not have are
//! refused, in schemas too, and so are calls without their responses. JSON comes in (in camel or snake case, as Google takes
//! both), `Ask` or the message of the 400 comes out.

use serde_json::Value;

use crate::mock::ask::{Ask, Choice, MOST_CHOICES, Tool};
use crate::mock::route::Api;
use crate::mock::text;

/// The fields of messages, from Google's reference and from `types.py` of `google-genai` 3.4.
const REQUEST: &str = "contents systemInstruction tools toolConfig safetySettings generationConfig cachedContent labels model \
    store serviceTier modelArmorConfig mock";
const CONFIG: &str = "modelSelectionConfig responseJsonSchema audioTimestamp candidateCount enableAffectiveDialog \
    frequencyPenalty logprobs maxOutputTokens mediaResolution presencePenalty responseLogprobs responseMimeType \
    responseModalities responseSchema routingConfig seed speechConfig stopSequences temperature thinkingConfig topK topP \
    enableEnhancedCivicAnswers imageConfig responseFormat translationConfig audioTranscriptionConfig";
const CONTENT: &str = "role parts";
const PART: &str = "text inlineData fileData functionCall functionResponse thought thoughtSignature executableCode \
    codeExecutionResult videoMetadata mediaResolution partMetadata toolCall toolResponse";
const FUNCTION: &str = "name description parameters parametersJsonSchema response responseJsonSchema behavior";
const SCHEMA: &str = "type format title description nullable enum items maxItems minItems properties required \
    minProperties maxProperties minLength maxLength pattern example anyOf propertyOrdering default minimum maximum \
    additionalProperties defs ref $defs $ref";
/// Schemas nested deeper than this are not looked at; `serde_json` itself stops at 128.
const DEEPEST: usize = 64;

/// Reads a request of any of the methods; the model stands in the path.
pub fn read(body: &Value, api: Api, model: String) -> Result<Ask, String> {
    match api {
        Api::Generate | Api::StreamGenerate => generate(body, model, api == Api::StreamGenerate),
        Api::CountContent => {
            let inner = match field(body, "generateContentRequest") {
                Value::Null => body,
                inner => inner,
            };
            let contents = field(inner, "contents");
            Ok(Ask { prompt_tokens: text::count(&words(contents)), model, ..Ask::default() })
        }
        _ => embed(body, api, model),
    }
}

fn generate(body: &Value, model: String, stream: bool) -> Result<Ask, String> {
    known(body, REQUEST, "")?;
    let config = field(body, "generationConfig");
    known(config, CONFIG, "generation_config.")?;
    let contents = body["contents"].as_array().filter(|contents| !contents.is_empty());
    let contents = contents.ok_or("* GenerateContentRequest.contents: contents is not specified")?;
    let results = conversation(contents)?;
    let system = field(body, "systemInstruction");
    known(system, CONTENT, "system_instruction.")?;
    let prompt = [system].into_iter().chain(contents).map(|content| text::count(&words(content)));
    let choices = field(config, "candidateCount").as_u64().unwrap_or(1).clamp(1, MOST_CHOICES);
    let stop = field(config, "stopSequences").as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut ask = Ask {
        model,
        stream,
        max_tokens: field(config, "maxOutputTokens").as_u64(),
        prompt_tokens: prompt.sum(),
        choices: usize::try_from(choices).unwrap_or(1),
        stop: stop.map(str::to_owned).collect(),
        results,
        json: schema(config)?,
        reasoning: *field(field(config, "thinkingConfig"), "includeThoughts") == true,
        logprobs: *field(config, "responseLogprobs") == true,
        ..Ask::default()
    };
    let (mut tools, choice) = (tools(&body["tools"])?, choice(field(body, "toolConfig"))?);
    if let Choice::One(name) = &choice {
        // Several names may be allowed; one of them must be called.
        tools.retain(|tool| name.split(' ').any(|name| name == tool.name));
    }
    let choice = if matches!(choice, Choice::One(_)) { Choice::Any } else { choice };
    ask.offer(tools, &choice, true)?;
    Ok(ask)
}

/// Checks the contents in order; the texts of the function responses with which they end.
fn conversation(contents: &[Value]) -> Result<Option<String>, String> {
    let mut called: Vec<&str> = Vec::new();
    let mut results = None;
    for (n, content) in contents.iter().enumerate() {
        known(content, CONTENT, &format!("contents[{n}]."))?;
        if !matches!(content["role"].as_str(), Some("user" | "model" | "function") | None) {
            return Err("Please use a valid role: user, model.".to_owned());
        }
        let parts = content["parts"].as_array().map(Vec::as_slice).unwrap_or_default();
        if parts.is_empty() {
            return Err(format!("* GenerateContentRequest.contents[{n}].parts: contents.parts must not be empty."));
        }
        for part in parts {
            known(part, PART, &format!("contents[{n}].parts."))?;
            if part.as_object().is_none_or(serde_json::Map::is_empty) {
                return Err(format!(
                    "contents[{n}].parts: required oneof field 'data' must have one initialized field"
                ));
            }
        }
        let of = |name| parts.iter().map(move |part| field(part, name)).filter(|one| !one.is_null());
        let responses: Vec<&Value> = of("functionResponse").collect();
        let answered = responses.iter().all(|one| one["name"].as_str().is_some_and(|name| called.contains(&name)));
        if responses.len() != called.len() || !answered {
            return Err("Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.".to_owned());
        }
        if let Some(wrong) = responses.iter().find(|one| !one["response"].is_object()) {
            return Err(format!("function_response.response: expected a Struct, found {}", wrong["response"]));
        }
        called = of("functionCall").filter_map(|call| call["name"].as_str()).collect();
        let said = responses.iter().map(|one| words(&one["response"]));
        results = (!responses.is_empty()).then(|| said.collect::<Vec<_>>().join(" "));
    }
    match called.is_empty() {
        true => Ok(results),
        false => {
            Err("Please ensure that function call turn comes immediately before a function response turn.".to_owned())
        }
    }
}

fn tools(tools: &Value) -> Result<Vec<Tool>, String> {
    let mut read = Vec::new();
    for tool in tools.as_array().into_iter().flatten() {
        for function in field(tool, "functionDeclarations").as_array().into_iter().flatten() {
            known(function, FUNCTION, "tools.function_declarations.")?;
            let name = function["name"].as_str().filter(|name| !name.is_empty());
            let name = name.ok_or("tools[0].function_declarations[0].name: [FIELD_INVALID] Invalid function name.")?;
            schemas(&function["parameters"], "tools.function_declarations.parameters.", 0)?;
            let schema = match field(function, "parametersJsonSchema") {
                Value::Null => &function["parameters"],
                schema => schema,
            };
            read.push(Tool { name: name.to_owned(), schema: schema.clone() });
        }
    }
    Ok(read)
}

fn choice(config: &Value) -> Result<Choice, String> {
    let config = field(config, "functionCallingConfig");
    let names = field(config, "allowedFunctionNames").as_array().into_iter().flatten().filter_map(Value::as_str);
    let names = names.collect::<Vec<_>>().join(" ");
    match config["mode"].as_str() {
        Some("NONE") => Ok(Choice::None),
        Some("ANY") if names.is_empty() => Ok(Choice::Any),
        Some("ANY") => Ok(Choice::One(names)),
        None | Some("AUTO" | "VALIDATED" | "MODE_UNSPECIFIED") if names.is_empty() || config["mode"] == "VALIDATED" => {
            Ok(Choice::Auto)
        }
        mode => Err(format!("function_calling_config: allowed_function_names wants mode ANY, found mode {mode:?}")),
    }
}

/// The schema that the answer must have; a schema wants the content type of JSON.
fn schema(config: &Value) -> Result<Option<Value>, String> {
    let json = *field(config, "responseMimeType") == "application/json";
    let (schema, other) = (field(config, "responseSchema"), field(config, "responseJsonSchema"));
    schemas(schema, "generation_config.response_schema.", 0)?;
    let schema = if schema.is_null() { other } else { schema };
    match (json, schema) {
        (false, Value::Null) => Ok(None),
        (true, Value::Null) => Ok(Some(serde_json::json!({"type": "object"}))),
        (true, schema) => Ok(Some(schema.clone())),
        (false, _) => {
            Err("Function calling config or response schema requires response_mime_type application/json".to_owned())
        }
    }
}

/// Looks for keys that a schema of Google's does not have.
fn schemas(schema: &Value, path: &str, depth: usize) -> Result<(), String> {
    if depth > DEEPEST || !schema.is_object() {
        return Ok(());
    }
    known(schema, SCHEMA, path)?;
    let deeper = |schema: &Value| schemas(schema, path, depth.saturating_add(1));
    schema["properties"].as_object().into_iter().flatten().try_for_each(|(_, schema)| deeper(schema))?;
    field(schema, "anyOf").as_array().into_iter().flatten().try_for_each(deeper)?;
    deeper(&schema["items"])
}

fn embed(body: &Value, api: Api, model: String) -> Result<Ask, String> {
    let (inputs, dimensions) = match api {
        Api::EmbedContent => (vec![&body["content"]], field(body, "outputDimensionality")),
        Api::BatchEmbed => {
            let requests = body["requests"].as_array().map(Vec::as_slice).unwrap_or_default();
            let dimensions = requests.first().map_or(&Value::Null, |first| field(first, "outputDimensionality"));
            (requests.iter().map(|request| &request["content"]).collect(), dimensions)
        }
        _ => {
            let instances = body["instances"].as_array().map(Vec::as_slice).unwrap_or_default();
            let dimensions = field(&body["parameters"], "outputDimensionality");
            (instances.iter().map(|instance| &instance["content"]).collect(), dimensions)
        }
    };
    let inputs: Vec<String> = inputs.into_iter().map(words).collect();
    if inputs.is_empty() || inputs.iter().any(String::is_empty) {
        return Err("content is empty: expected a text for each embedding".to_owned());
    }
    Ok(Ask {
        model,
        prompt_tokens: inputs.iter().map(|input| text::count(input)).sum(),
        dimensions: dimensions.as_u64().and_then(|n| usize::try_from(n).ok()),
        inputs,
        ..Ask::default()
    })
}

/// A field by its name in camel case, or by the same in snake case.
fn field<'a>(object: &'a Value, name: &str) -> &'a Value {
    object.get(name).or_else(|| object.get(snake(name))).unwrap_or(&Value::Null)
}

fn snake(name: &str) -> String {
    name.chars().fold(String::new(), |mut snake, letter| {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
        snake
    })
}

fn known(object: &Value, names: &str, path: &str) -> Result<(), String> {
    let found = |key: &str| names.split_whitespace().any(|name| name == key || snake(name) == key);
    match object.as_object().into_iter().flatten().find(|(key, _)| !found(key)) {
        Some((key, _)) => {
            Err(format!("Invalid JSON payload received. Unknown name \"{key}\" at '{path}': Cannot find field."))
        }
        None => Ok(()),
    }
}

/// All texts under a value, in order.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(words).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" "),
        Value::Object(object) => match (object.get("parts"), object.get("text")) {
            (Some(parts), _) => words(parts),
            (_, Some(text)) => words(text),
            // A function's response says what it says under any name.
            _ if !object.contains_key("functionCall") => object.values().map(words).collect::<Vec<_>>().join(" "),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
