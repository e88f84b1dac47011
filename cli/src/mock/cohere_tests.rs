//! What Cohere's requests say and what is refused, and the order of its events.

use super::super::frames::Framing;
use super::super::say::{Call, Report};
use super::*;

fn ask(messages: Value, more: Value) -> Result<Ask, String> {
    let mut body = json!({"model": "command", "messages": messages});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    chat(&body)
}

#[test]
fn a_chat_is_read() {
    let tool = json!({"tools": [{"type": "function", "function": {"name": "a", "parameters": {}}}]});
    let user = json!({"role": "user", "content": "one two"});
    let call = json!({"role": "assistant", "tool_calls": [{"id": "c", "type": "function"}]});
    let document = json!([{"type": "document", "document": {"data": {"m": 7}}}]);
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": document});
    let got = ask(json!([user]), tool.clone()).unwrap();
    assert_eq!((got.tools.len(), got.prompt_tokens), (1, 2));
    let got = ask(json!([user, call, result("c")]), tool.clone()).unwrap();
    assert_eq!((got.tools.len(), got.results.as_deref()), (0, Some(r#"{"m":7}"#)));
    for (messages, more, message) in [
        (json!([]), json!({}), "must not be empty"),
        (json!([user, call, result("d")]), json!({}), "`d` not found"),
        (json!([{"role": "model", "content": "x"}]), json!({}), "role must be one of"),
        (json!([{"role": "user", "content": ""}]), json!({}), "non-empty content"),
        (json!([user]), json!({"tool_choice": "auto"}), "REQUIRED, NONE"),
    ] {
        let error = ask(messages.clone(), more).expect_err(message);
        assert!(error.contains(message), "{messages}: {error}");
    }
}

#[test]
fn an_embedding_wants_its_input_type() {
    let body = |more: Value| {
        let mut body = json!({"model": "embed", "texts": ["a b", "c"], "output_dimension": 3});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let ask = embed(&body(json!({"input_type": "search_query"}))).unwrap();
    let got: Value = serde_json::from_slice(&embeddings(&ask, &Behaviour::default(), "i")).unwrap();
    assert_eq!(
        (got["embeddings"]["float"][1].as_array().unwrap().len(), &got["meta"]["billed_units"]["input_tokens"]),
        (3, &json!(3))
    );
    assert!(embed(&body(json!({}))).is_err_and(|why| why.contains("input_type")));
    assert!(embed(&body(json!({"input_type": "x", "embedding_types": ["int8"]}))).is_err());
}

#[test]
fn the_order_of_a_stream() {
    let said = Said {
        id: "1".to_owned(),
        model: "command",
        reasoning: Some("so".to_owned()),
        calls: vec![Call { id: "2".to_owned(), name: "a".to_owned(), arguments: json!({"b": 1}) }],
        finish: Finish::Calls,
        report: Report::Counted,
        ..Said::default()
    };
    let mut frames = Frames::new(Framing::Sse);
    stream(&said, &mut frames);
    let text = String::from_utf8(frames.finish(&Behaviour::default()).concat()).unwrap();
    let mut names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    names.dedup();
    let want = [
        "message-start",
        "content-start",
        "content-delta",
        "content-end",
        "tool-plan-delta",
        "tool-call-start",
        "tool-call-delta",
        "tool-call-end",
        "message-end",
    ];
    assert_eq!(names, want);
    assert!(text.ends_with("data: [DONE]\n\n") && text.contains(r#""finish_reason":"TOOL_CALL""#), "{text}");
}
