//! What counts of a request, and what a body that is cut, deep or odd comes to.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::tokens::count;

fn sum(texts: &[&str]) -> u64 {
    texts.iter().map(|text| count(text.as_bytes()).tokens).sum()
}

#[test]
fn requests_are_counted() {
    let image = r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}}"#;
    let cases: &[(&str, String, u64, bool)] = &[
        ("empty", "{}".into(), 0, true),
        ("a message", r#"{"messages":[{"role":"user","content":"Hi there"}]}"#.into(), 3 + 3 + sum(&["user", "Hi there"]), true),
        (
            "a name, escapes",
            r#"{"messages":[{"role":"system","name":"ann","content":"a\nb \u00e9\ud83d\ude00"},{"role":"user","content":null}]}"#.into(),
            3 + 3 + 3 + 1 + sum(&["system", "ann", "a\nb é😀", "user"]),
            true,
        ),
        (
            "parts",
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"One"},{"type":"text","text":"Two words"}]}]}"#.into(),
            6 + sum(&["user", "One", "Two words"]),
            true,
        ),
        ("an image", format!(r#"{{"messages":[{{"role":"user","content":[{image}]}}]}}"#), 6 + 1 + LOW_IMAGE, false),
        (
            "an image of Anthropic's",
            r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"AAAA"}}]}]}"#.into(),
            6 + 1 + IMAGE,
            false,
        ),
        (
            "audio",
            format!(r#"{{"messages":[{{"role":"user","content":[{{"type":"input_audio","input_audio":{{"data":"{}"}}}}]}}]}}"#, "A".repeat(64_000)),
            6 + 1 + 10,
            false,
        ),
        (
            "tool calls",
            r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}]}"#.into(),
            6 + sum(&["assistant", "f", r#"{"a":1}"#]),
            true,
        ),
        (
            "Anthropic's tools",
            r#"{"system":[{"type":"text","text":"Be brief"}],"messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"text","text":"42"}]}]}]}"#.into(),
            6 + sum(&["Be brief", "user", "42"]),
            true,
        ),
        ("a prompt", r#"{"prompt":["one two",[1,2,3],4]}"#.into(), sum(&["one two"]) + 4, true),
        ("inputs", r#"{"input":["one","two"],"model":"a name that does not count"}"#.into(), 2, true),
        ("an escaped key", r#"{"m\u0065ssages":[{"role":"user","content":"x"}]}"#.into(), 6 + 2, true),
        ("of other types", r#"{"messages":7,"input":{"a":[]},"tools":"x","prompt":null}"#.into(), 3, true),
    ];
    for (name, body, tokens, is_exact) in cases {
        assert_eq!(count_request(body.as_bytes()), Count { tokens: *tokens, is_exact: *is_exact }, "{name}");
    }
}

/// The example of OpenAI's cookbook: its two tools and two messages are 101 tokens to gpt-4o.
#[test]
fn the_cookbooks_tools_are_counted_as_it_says() {
    let body = r#"{"tools":[{"type":"function","function":{"name":"get_current_weather",
        "description":"Get the current weather in a given location","parameters":{"type":"object","properties":{
        "location":{"type":"string","description":"The city and state, e.g. San Francisco, CA"},
        "unit":{"type":"string","description":"The unit of temperature to return","enum":["celsius","fahrenheit"]}},
        "required":["location"]}}}],"messages":[
        {"role":"system","content":"You are a helpful assistant that can answer to questions about the weather."},
        {"role":"user","content":"What's the weather like in San Francisco?"}]}"#;
    assert_eq!(count_request(body.as_bytes()), Count { tokens: 101, is_exact: true });
}

#[test]
fn whatever_comes_is_counted() {
    let deep = |open: &str, close: &str| {
        format!(r#"{{"messages":[{{"role":"user","content":{}{}}}]}}"#, open.repeat(50_000), close.repeat(50_000))
    };
    let schema = format!(r#"{{"tools":[{{"name":"f","parameters":{}"#, r#"{"items":"#.repeat(50_000));
    let properties = format!(r#"{{"tools":[{{"name":"f","parameters":{}"#, r#"{"properties":{"a":"#.repeat(50_000));
    let functions = format!(r#"{{"tools":[{}"#, r#"{"function":"#.repeat(50_000));
    for body in [deep("[", "]"), deep(r#"{"content":"#, "}"), schema, properties, functions] {
        assert!(count_request(body.as_bytes()).tokens > 0);
    }
    for body in [&b"\xff{\"messages\":"[..], b"{\"input\":\"\xff\xfe\xed\xa0\x80\0\"}", b"", b"[1]", b"\"text\""] {
        count_request(body);
    }
}
