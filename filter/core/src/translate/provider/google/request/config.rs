//! `generationConfig`: how the answer shall be made, out of a neutral request.

use crate::translate::{
    Target,
    json::{Json, Object},
    neutral::*,
};

/// Takes out of `request` what stands there.
pub fn write<'a>(request: &mut Request<'a>, target: &Target<'_>) -> Object<'a> {
    let stop: Vec<Json<'_>> = std::mem::take(&mut request.stop).into_iter().map(Json::Text).collect();
    let (mime_type, schema) = match request.format.take() {
        None => (None, None),
        Some(Format::Json) => (Some("application/json"), None),
        Some(Format::Schema { schema, .. }) => (Some("application/json"), Some(schema)),
    };
    Object::new()
        .maybe("maxOutputTokens", request.max_tokens)
        .maybe("temperature", request.temperature.take())
        .maybe("topP", request.top_p.take())
        .maybe("topK", request.top_k.take())
        .maybe("candidateCount", request.choices)
        .maybe("stopSequences", (!stop.is_empty()).then_some(stop))
        .maybe("seed", request.seed.take())
        .maybe("presencePenalty", request.presence_penalty.take())
        .maybe("frequencyPenalty", request.frequency_penalty.take())
        .maybe("responseLogprobs", request.logprobs.map(|_| true))
        .maybe("logprobs", request.logprobs.filter(|top| *top > 0))
        .maybe("responseMimeType", mime_type)
        .maybe("responseJsonSchema", schema)
        .maybe("thinkingConfig", request.reasoning.take().map(|reasoning| thinking(reasoning, target.model)))
}

/// Who asks for reasoning wants to see it. Up to Gemini 2.5 there are budgets, afterwards levels; the numbers and the words are those
/// of Google's own OpenAI-compatible API.
fn thinking(reasoning: Reasoning<'_>, model: &str) -> Object<'static> {
    let has_budgets = model.contains("gemini-2");
    match reasoning {
        Reasoning::Off if has_budgets => Object::new().with("thinkingBudget", 0),
        Reasoning::Off => Object::new().with("thinkingLevel", level("minimal", model)),
        Reasoning::Budget(budget) => shown().with("thinkingBudget", budget),
        // As much as the model sees fit is what it does unasked.
        Reasoning::Adaptive { effort: None } => shown(),
        Reasoning::Adaptive { effort: Some(effort) } | Reasoning::Effort(effort) if has_budgets => {
            shown().with("thinkingBudget", budget(&effort))
        }
        Reasoning::Adaptive { effort: Some(effort) } | Reasoning::Effort(effort) => {
            shown().with("thinkingLevel", level(&effort, model))
        }
    }
}

fn shown() -> Object<'static> {
    Object::new().with("includeThoughts", true)
}

fn budget(effort: &str) -> u64 {
    match effort {
        "minimal" | "low" => 1024,
        "medium" => 8192,
        _ => 24576,
    }
}

/// The Pro models know no `MINIMAL`.
fn level(effort: &str, model: &str) -> &'static str {
    match effort {
        "minimal" if !model.contains("pro") => "MINIMAL",
        "minimal" | "low" => "LOW",
        "medium" => "MEDIUM",
        _ => "HIGH",
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn reasoning() {
        let adaptive = |effort: Option<&'static str>| Reasoning::Adaptive { effort: effort.map(Into::into) };
        for (reasoning, model, expected) in [
            (Reasoning::Off, "gemini-2.5-flash", r#"{"thinkingBudget":0}"#),
            (Reasoning::Off, "gemini-3-flash", r#"{"thinkingLevel":"MINIMAL"}"#),
            (Reasoning::Off, "gemini-3-pro", r#"{"thinkingLevel":"LOW"}"#),
            (Reasoning::Budget(99), "gemini-3-pro", r#"{"includeThoughts":true,"thinkingBudget":99}"#),
            (adaptive(None), "gemini-2.5-pro", r#"{"includeThoughts":true}"#),
            (adaptive(Some("low")), "gemini-2.5-pro", r#"{"includeThoughts":true,"thinkingBudget":1024}"#),
            (Reasoning::Effort("xhigh".into()), "gemini-2.5-pro", r#"{"includeThoughts":true,"thinkingBudget":24576}"#),
            (
                Reasoning::Effort("medium".into()),
                "gemini-3-pro",
                r#"{"includeThoughts":true,"thinkingLevel":"MEDIUM"}"#,
            ),
            (Reasoning::Effort("high".into()), "tuned", r#"{"includeThoughts":true,"thinkingLevel":"HIGH"}"#),
        ] {
            let shown = format!("{reasoning:?} {model}");
            assert_eq!(String::from_utf8(thinking(reasoning, model).to_bytes()).unwrap(), expected, "{shown}");
        }
    }
}
