//! A neutral request in, Converse's out. What Converse has no field for and Anthropic's models know goes into
//! `additionalModelRequestFields`, which Bedrock hands to the model.

mod content;
mod tools;

use self::content::Content;
use crate::translate::{
    Target, Untranslatable,
    json::{Json, Object},
    neutral::*,
    provider::anthropic::DEFAULT_MAX_TOKENS,
    read::refused,
};

pub fn write(mut request: Request<'_>, target: &Target<'_>) -> Result<Vec<u8>, Untranslatable> {
    refuse(&request)?;
    let is_anthropic = target.is_anthropic;
    let tools = tools::config(&mut request, is_anthropic)?;
    let (thinking, effort) = reasoning(request.reasoning.filter(|_| is_anthropic));
    let budget = thinking.as_ref().and_then(|thinking| thinking.u64("budget_tokens"));
    let stop: Vec<Json<'_>> = request.stop.into_iter().map(Json::Text).collect();
    let inference = Object::new()
        // The budget counts as output: a model's own bound may be below it.
        .maybe("maxTokens", request.max_tokens.or(budget.map(|budget| DEFAULT_MAX_TOKENS.saturating_add(budget))))
        .maybe("temperature", request.temperature)
        .maybe("topP", request.top_p)
        .maybe("stopSequences", (!stop.is_empty()).then_some(stop));
    let additional = Object::new()
        .maybe("top_k", request.top_k.filter(|_| is_anthropic))
        .maybe("thinking", thinking)
        .maybe("tool_choice", tools.own_choice);
    let mut content = Content::new(is_anthropic);
    let system = content.blocks(request.system)?;
    let messages = content.messages(request.turns)?;
    let body = Object::new()
        .maybe("system", (!system.is_empty()).then_some(system))
        .with("messages", messages)
        .maybe("inferenceConfig", some(inference))
        .maybe("toolConfig", tools.config)
        .maybe("outputConfig", output_config(request.format, effort))
        .maybe("additionalModelRequestFields", some(additional));
    Ok(body.to_bytes())
}

fn some(object: Object<'_>) -> Option<Object<'_>> {
    (!object.is_empty()).then_some(object)
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

/// Anthropic's `thinking`, and the effort.
fn reasoning(reasoning: Option<Reasoning<'_>>) -> (Option<Object<'_>>, Option<Text<'_>>) {
    let typed = |kind: &'static str| Some(Object::new().with("type", kind));
    match reasoning {
        None => (None, None),
        Some(Reasoning::Off) => (typed("disabled"), None),
        Some(Reasoning::Budget(budget)) => {
            (Some(Object::new().with("type", "enabled").with("budget_tokens", budget)), None)
        }
        Some(Reasoning::Adaptive { effort }) => (typed("adaptive"), effort),
        Some(Reasoning::Effort(effort)) => {
            (typed("adaptive"), Some(if effort == "minimal" { "low".into() } else { effort }))
        }
    }
}

/// A schema is a text here.
fn output_config<'a>(format: Option<Format<'a>>, effort: Option<Text<'a>>) -> Option<Object<'a>> {
    let format = match format {
        Some(Format::Schema { name, description, schema, .. }) => {
            let schema = Object::new()
                .with("schema", schema.to_text())
                .maybe("name", name)
                .maybe("description", description.filter(|text| !text.is_empty()));
            let structure = Object::new().with("jsonSchema", schema);
            Some(Object::new().with("type", "json_schema").with("structure", structure))
        }
        _ => None,
    };
    some(Object::new().maybe("textFormat", format).maybe("effort", effort))
}
