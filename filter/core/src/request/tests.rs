#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn sent(body: &str, model: &str, with_usage: bool) -> String {
    let request = parse(body.as_bytes()).unwrap();
    let spliced = splice(body.as_bytes(), &request, model, with_usage);
    let sent = spliced.body.unwrap_or_else(|| body.into());
    let sent = String::from_utf8(sent).unwrap();
    assert_eq!(&sent[spliced.model_range], serde_json::Value::from(model).to_string(), "{sent}");
    let value: serde_json::Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(value["model"], model);
    sent
}

#[test]
fn what_goes_upstream() {
    // (body, with usage, what is sent to the model `m2`)
    let cases = [
        (r#"{"model":"m1","messages":[]}"#, false, r#"{"model":"m2","messages":[]}"#),
        (r#"{"model" : "m2" ,"messages":[]}"#, false, r#"{"model" : "m2" ,"messages":[]}"#),
        (r#" { "messages":[] , "model":"m1"} "#, false, r#" { "messages":[] , "model":"m2"} "#),
        (r#"{"messages":[]}"#, false, r#"{"model":"m2","messages":[]}"#),
        (r#"{}"#, false, r#"{"model":"m2"}"#),
        (r#"{"usage_context":{}}"#, false, r#"{"model":"m2"}"#),
        (r#"{"client_request_id":"a","usage_context":{}}"#, false, r#"{"model":"m2"}"#),
        (r#"{"a":1,"client_request_id":"a", "usage_context":{}}"#, false, r#"{"model":"m2","a":1}"#),
        (r#"{"a":1,"client_request_id":"a","b":2,"usage_context":{}}"#, false, r#"{"model":"m2","a":1,"b":2}"#),
        (r#"{"client_request_id":"a" , "model":"m1","usage_context":{"k":"v"} }"#, false, r#"{ "model":"m2" }"#),
        (r#"{"model":"m1","client_request_id":null,"n":1}"#, false, r#"{"model":"m2","n":1}"#),
        (r#"{"model":"m1"}"#, true, r#"{"stream_options":{"include_usage":true},"model":"m2"}"#),
        (r#"{"n":1}"#, true, r#"{"model":"m2","stream_options":{"include_usage":true},"n":1}"#),
        (r#"{"model":"m1","stream_options":null}"#, true, r#"{"model":"m2","stream_options":{"include_usage":true}}"#),
        (
            r#"{"stream_options":{"include_usage":false,"x":[1]},"model":"m1"}"#,
            true,
            r#"{"stream_options":{"include_usage":true,"x":[1]},"model":"m2"}"#,
        ),
        (
            r#"{"stream_options":{ "include_usage": true },"model":"m1"}"#,
            true,
            r#"{"stream_options":{ "include_usage": true },"model":"m2"}"#,
        ),
        (r#"{"mod\u0065l":"m1","a":"\u0000\ud83d\ude00"}"#, false, r#"{"mod\u0065l":"m2","a":"\u0000\ud83d\ude00"}"#),
    ];
    for (body, with_usage, expected) in cases {
        assert_eq!(sent(body, "m2", with_usage), expected, "{body}");
    }
    assert_eq!(sent(r#"{"model":"x"}"#, "a\"b", false), r#"{"model":"a\"b"}"#);
}

#[test]
fn a_body_that_fits_is_not_copied() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    assert_eq!(splice(body, &parse(body).unwrap(), "m", false).body, None);
}

#[test]
fn what_is_refused() {
    let cases = [
        ("", "empty"),
        (" \n", "empty"),
        ("[]", "expected a JSON object"),
        ("\"text\"", "expected a JSON object"),
        ("{", "EOF"),
        ("{} x", "trailing"),
        (r#"{"model":1}"#, "`model` must be a string"),
        (r#"{"model":null}"#, "`model` must be a string"),
        (r#"{"model":"a","model":"b"}"#, "twice"),
        (r#"{"model":"a","mod\u0065l":"b"}"#, "twice"),
        (r#"{"stream":true,"stream":false}"#, "twice"),
        (r#"{"stream":"yes"}"#, "boolean"),
        (r#"{"stream_options":[]}"#, "`stream_options` must be an object"),
        (r#"{"stream_options":{"include_usage":1}}"#, "`stream_options`"),
        (r#"{"messages":{}}"#, "expected a list of messages"),
        (r#"{"messages":["hello"]}"#, "expected an object"),
        (r#"{"messages":[],"messages":[]}"#, "twice"),
        (r#"{"client_request_id":1}"#, "`client_request_id` must be a string"),
        (r#"{"usage_context":{"a":1}}"#, "`usage_context` must be an object of strings"),
    ];
    for (body, expected) in cases {
        let found = parse(body.as_bytes()).unwrap_err().0;
        assert!(found.contains(expected), "{body}: {found}");
    }
    assert!(parse(b"{\"a\":\"\xff\"}").unwrap_err().0.contains("not UTF-8 from byte 6"));
    let deep = format!("{{\"messages\":[{{\"content\":{}{}}}]}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(parse(deep.as_bytes()).unwrap().characters, 0);
    let large = format!("{{\"usage_context\":{{\"k\":\"{}\"}}}}", "v".repeat(MAX_USAGE_CONTEXT_BYTES));
    assert!(parse(large.as_bytes()).unwrap_err().0.contains("at most 10240"));
}

#[test]
fn fields_are_read() {
    let body = r#"{"model":"chat","stream":true,"stream_options":{"include_usage":true},
        "client_request_id":"c-1","usage_context":{"team":"a","app":"b"},"messages":[
        {"role":"system","content":"ab"},
        {"role":"user","content":[{"type":"text","text":"\u00e9\n"},{"type":"image_url","image_url":{"url":"x"}}]}]}"#;
    let request = parse(body.as_bytes()).unwrap();
    assert_eq!(request.model.as_ref().unwrap().value, "chat");
    assert!(request.is_stream() && request.asks_for_usage());
    assert_eq!(request.client_request_id.as_ref().unwrap().value.as_deref(), Some("c-1"));
    assert_eq!(request.usage_context.as_ref().unwrap().value.len(), 2);
    assert_eq!(request.characters, 4);
    assert_eq!(request.prompt, Some(Prompt::Messages));
    let counted = |body: &str| parse(body.as_bytes()).unwrap().characters;
    assert_eq!(counted(r#"{"input":["ab","c"]}"#), 3);
    assert_eq!(counted(r#"{"input":[1,2]}"#), 0);
    assert_eq!(counted(r#"{"prompt":"日本語"}"#), 3);
    assert_eq!(counted(r#"{"prompt":"\ud83d\ude00 \ud800 \\u"}"#), 6);
    let prompts = |prompt: &str| parse(format!(r#"{{"prompt":{prompt}}}"#).as_bytes()).unwrap().prompts;
    for (prompt, expected) in [
        (r#""a""#, 0),
        ("null", 0),
        ("[]", 0),
        ("[1,2,3]", 0),
        (r#"["a"]"#, 1),
        (r#"["a","b"]"#, 2),
        ("[[1],[2,3],[4]]", 3),
    ] {
        assert_eq!(prompts(prompt), expected, "{prompt}");
    }
    assert_eq!(counted(r#"{"messages":[{},{"content":null},{"content":[null,1.5,-1,true,{}]},{"content":7}]}"#), 0);
}
