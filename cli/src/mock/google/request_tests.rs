//! What Google's requests say, and which of them are refused.

use serde_json::json;

use super::*;

fn body(more: Value) -> Value {
    let mut body = json!({"contents": [{"role": "user", "parts": [{"text": "one two"}]}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn ask(more: Value) -> Result<Ask, String> {
    read(&body(more), Api::Generate, "g".to_owned())
}

#[test]
fn a_request_is_read_in_both_cases() {
    let function = json!({"name": "depth", "parameters": {"type": "OBJECT", "properties": {"at": {"type": "STRING"}}}});
    for more in [
        json!({"systemInstruction": {"parts": [{"text": "be brief"}]}, "tools": [{"functionDeclarations": [function]}],
            "generationConfig": {"maxOutputTokens": 5, "candidateCount": 2, "responseLogprobs": true}}),
        json!({"system_instruction": {"parts": [{"text": "be brief"}]}, "tools": [{"function_declarations": [function]}],
            "generation_config": {"max_output_tokens": 5, "candidate_count": 2, "response_logprobs": true}}),
    ] {
        let ask = ask(more).unwrap();
        assert_eq!((ask.tools.len(), ask.prompt_tokens, ask.max_tokens, ask.choices), (1, 4, Some(5), 2));
        assert!(ask.logprobs);
    }
}

#[test]
fn calls_and_responses() {
    let call = json!({"role": "model", "parts": [{"functionCall": {"name": "depth", "args": {}}}]});
    let response =
        json!({"role": "user", "parts": [{"functionResponse": {"name": "depth", "response": {"result": "7 m"}}}]});
    let user = json!({"role": "user", "parts": [{"text": "x"}]});
    let got = ask(json!({"contents": [user, call, response]})).unwrap();
    assert_eq!(got.results.as_deref(), Some("7 m"));
    for contents in [json!([user, call]), json!([user, call, user]), json!([user, response])] {
        let error = ask(json!({"contents": contents})).expect_err("an unanswered call");
        assert!(error.contains("function"), "{contents}: {error}");
    }
}

#[test]
fn what_google_refuses() {
    let function =
        |parameters: Value| json!({"tools": [{"functionDeclarations": [{"name": "a", "parameters": parameters}]}]});
    for (more, message) in [
        (json!({"messages": []}), "Unknown name \"messages\""),
        (json!({"contents": []}), "contents is not specified"),
        (json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}), "valid role"),
        (json!({"contents": [{"role": "user", "parts": []}]}), "must not be empty"),
        (json!({"contents": [{"role": "user", "parts": [{"type": "text"}]}]}), "Unknown name \"type\""),
        (json!({"generationConfig": {"max_tokens": 1}}), "Unknown name \"max_tokens\""),
        (json!({"generationConfig": {"responseSchema": {"type": "OBJECT"}}}), "response_mime_type"),
        (function(json!({"type": "object", "properties": {"b": {"type": "string", "const": "c"}}})), "\"const\""),
        (function(json!({"$schema": "x"})), "\"$schema\""),
        (json!({"toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["a"]}}}), "mode ANY"),
    ] {
        let error = ask(more.clone()).expect_err(&more.to_string());
        assert!(error.contains(message), "{more}: {error}");
    }
}

#[test]
fn embeddings_in_three_shapes() {
    let content = |text: &str| json!({"parts": [{"text": text}]});
    for (api, body, inputs, dimensions) in [
        (Api::EmbedContent, json!({"content": content("a b"), "outputDimensionality": 3}), vec!["a b"], Some(3)),
        (
            Api::BatchEmbed,
            json!({"requests": [{"content": content("a")}, {"content": content("b")}]}),
            vec!["a", "b"],
            None,
        ),
        (
            Api::Predict,
            json!({"instances": [{"content": "a"}], "parameters": {"outputDimensionality": 4}}),
            vec!["a"],
            Some(4),
        ),
    ] {
        let ask = read(&body, api, "g".to_owned()).unwrap();
        assert_eq!((ask.inputs, ask.dimensions), (inputs.into_iter().map(str::to_owned).collect(), dimensions));
    }
    assert!(read(&json!({"instances": []}), Api::Predict, "g".to_owned()).is_err());
}
