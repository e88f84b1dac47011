//! Answers of other APIs than OpenAI's chat completions: streams and documents of the golden files, as they pass.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../../../tests/golden/", $name))
    };
}

fn read(api: Api, kind: &str, pieces: &[&[u8]]) -> (Vec<u8>, Read) {
    run(Reader::new(api, kind, Filter::default()), pieces)
}

/// 33 tokens in, 20 of them cached, 3 written into the cache; 40 out.
const COUNTS: (u64, u64, u64, u64) = (33, 40, 20, 3);

fn counts(read: &Read) -> (u64, u64, u64, u64) {
    let usage = read.usage.unwrap();
    (
        usage.input.unwrap(),
        usage.output.unwrap(),
        usage.cached_input.unwrap_or_default(),
        usage.cache_write_input.unwrap_or_default(),
    )
}

#[test]
fn streams_pass_and_are_read_wherever_they_are_cut() {
    for (api, stream, reason) in [
        (Api::Messages, golden!("anthropic/stream-full.sse"), "tool_use"),
        (Api::Responses, golden!("anthropic/stream-full.responses.sse"), "completed"),
    ] {
        let bytes = stream.as_bytes();
        for cut in 0..=bytes.len() {
            let (one, two) = bytes.split_at(cut);
            let (out, read) = read(api, "text/event-stream", &[one, two]);
            assert_eq!(out, bytes, "{api:?} cut at {cut}");
            assert_eq!((counts(&read), read.complete), (COUNTS, true), "{api:?} cut at {cut}");
            assert_eq!(read.finish_reason.as_deref(), Some(reason));
            assert!(read.text.characters() > 40, "{}", read.text.characters());
        }
    }
}

#[test]
fn documents_pass_and_are_read() {
    for (api, answer, reason) in [
        (Api::Messages, golden!("anthropic/answer-full.json"), "tool_use"),
        (Api::Responses, golden!("anthropic/answer-full.responses.json"), "completed"),
    ] {
        let (out, read) = read(api, "application/json", &[answer.as_bytes()]);
        assert_eq!(out, answer.as_bytes());
        assert_eq!((counts(&read), read.complete), (COUNTS, true), "{api:?}");
        assert_eq!(read.finish_reason.as_deref(), Some(reason));
        assert!(read.text.characters() > 40, "{}", read.text.characters());
    }
}

#[test]
fn a_cut_stream_ends_in_an_error_of_its_api() {
    for (api, stream, error) in [
        (Api::Messages, golden!("anthropic/stream-full.sse"), "event: error\ndata: {\"type\":\"error\""),
        (
            Api::Responses,
            golden!("anthropic/stream-full.responses.sse"),
            "event: error\ndata: {\"type\":\"error\",\"code\"",
        ),
    ] {
        let half = &stream.as_bytes()[..stream.rfind("event:").unwrap()];
        let (out, read) = read(api, "text/event-stream", &[half, b""]);
        let out = String::from_utf8_lossy(&out);
        let added = out.strip_prefix(std::str::from_utf8(half).unwrap()).unwrap();
        assert!(added.starts_with(error) && added.ends_with("\n\n"), "{added}");
        assert!(!read.complete);
    }
}

#[test]
fn a_last_event_too_long_to_be_read_is_still_the_last() {
    let start = "event: response.completed\ndata: {\"type\":\"response.completed\",\"x\":\"";
    let long = "x".repeat(2 << 20);
    let (out, read) = read(Api::Responses, "text/event-stream", &[start.as_bytes(), long.as_bytes(), b"\"}\n\n"]);
    assert_eq!(out.len(), start.len() + long.len() + 4);
    assert!(read.complete);
}

#[test]
fn on_a_path_of_data_nothing_else_passes() {
    let filter = Filter { drop_usage: false, data_only: true };
    let stream = ": hello\n\nevent: x\ndata: {\"choices\":[]}\nid: 7\n\nretry: 5\n\ndata: {}\n\ndata: [DONE]\n\n";
    let clean = "data: {\"choices\":[]}\n\ndata: {}\n\ndata: [DONE]\n\n";
    for cut in 0..=stream.len() {
        let (one, two) = stream.as_bytes().split_at(cut);
        let (out, read) = run(Reader::new(Api::Chat, "text/event-stream", filter), &[one, two]);
        assert_eq!(String::from_utf8(out).unwrap(), clean, "cut at {cut}");
        assert!(read.complete);
    }
}
