//! The real SDKs against a gateway whose endpoint `chat` speaks another API: each runs chat, streams, tools and back, and what it
//! printed is held to what any of them must say, whoever answers.

use serde_json::{Value, json};

use crate::policy::ALICE;
use crate::rig::Rig;
use crate::scripts::client;

fn called_both(calls: &Value) -> bool {
    let calls = calls.as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<_> = calls.iter().filter_map(|call| call[0].as_str()).collect();
    names == ["depth", "width"] && calls.iter().all(|call| call[1]["place"].is_string())
}

/// What the OpenAI SDK makes of an endpoint, whoever answers.
pub async fn openai_sdk(rig: &Rig, answers: &str) {
    let got = client("translated_openai.py", &rig.base(), ALICE, rig.folder()).await;
    let text = got["chat"].as_str().unwrap_or_default();
    assert!(text.starts_with(&format!("Hello from {answers}")), "{got:#}");
    assert_eq!(got["streamed"], got["chat"], "{got:#}");
    assert_eq!(got["response"], got["chat"], "{got:#}");
    assert_eq!(got["finish_reason"], "stop", "{got:#}");
    assert_eq!(got["streamed_usage"], got["usage"], "{got:#}");
    assert!(got["usage"]["prompt_tokens"].as_u64() > Some(0), "{got:#}");
    assert_eq!(got["usage_unasked"], 0, "{got:#}");
    assert!(called_both(&got["calls"]) && called_both(&got["streamed_calls"]), "{got:#}");
    assert!(got["after"].as_str().is_some_and(|text| !text.is_empty()), "{got:#}");
    assert_eq!(got["response_calls"][0][0], "depth", "{got:#}");
    assert_eq!(got["response_events"].as_array().and_then(|all| all.last()), Some(&json!("response.completed")));
}

/// What Anthropic's SDK makes of it.
pub async fn anthropic_sdk(rig: &Rig, answers: &str) {
    let got = client("translated_anthropic.py", &rig.base(), ALICE, rig.folder()).await;
    let text = got["chat"].as_str().unwrap_or_default();
    assert!(text.starts_with(&format!("Hello from {answers}")), "{got:#}");
    assert_eq!(got["streamed"], got["chat"], "{got:#}");
    assert_eq!(got["stop_reason"], "end_turn", "{got:#}");
    assert_eq!(got["streamed_usage"], got["usage"], "{got:#}");
    assert!(called_both(&got["calls"]) && called_both(&got["streamed_calls"]), "{got:#}");
    assert!(got["after"].as_str().is_some_and(|text| !text.is_empty()), "{got:#}");
    assert_eq!((&got["wrong"]["type"], &got["wrong"]["status"]), (&json!("NotFoundError"), &json!(404)));
}

/// All good answers to one API have right counts in their records, and so many attempts.
pub async fn recorded(rig: &Rig, requests: usize, api: &str, attempts: usize) {
    let lines = rig.collector.usage(requests).await;
    let is_good = |line: &&Value| line["detail"]["api"] == api && line["row"]["status_code"] == 200;
    let mut of_api = lines.iter().filter(is_good).peekable();
    assert!(of_api.peek().is_some(), "no record of {api}");
    for line in of_api {
        assert_eq!(line["detail"]["token_source"], "reported", "{line:#}");
        assert_eq!(line["detail"]["complete"], true, "{line:#}");
        assert_eq!(line["detail"]["attempts"].as_array().map(Vec::len), Some(attempts), "{line:#}");
        for count in ["input_token_count", "output_token_count", "output_character_count"] {
            assert!(line["row"][count].as_u64() > Some(0), "{line:#}");
        }
    }
}
