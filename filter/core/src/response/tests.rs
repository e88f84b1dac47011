mod apis;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const USAGE: &str = r#"{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}"#;

fn reported() -> Reported {
    Reported { input: Some(7), output: Some(5), cached_input: Some(3), cache_write_input: None, reasoning: Some(2) }
}

/// (what the client must get with the usage chunk dropped, the whole stream)
fn stream(line_end: &str) -> (String, String) {
    let events = [
        r#"data: {"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
        r#"data: {"choices":[{"index":0,"delta":{"content":"h\u00e9 é"}}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]}}]}"#,
        ": a comment",
        r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    ];
    let event = |text: &str| format!("{text}{line_end}{line_end}");
    let before: String = events.iter().map(|text| event(text)).collect();
    let usage = event(&format!("data: {{\"choices\":[],\"usage\":{USAGE}}}"));
    let done = event("data: [DONE]");
    (format!("{before}{done}"), format!("{before}{usage}{done}"))
}

fn run(mut reader: Reader, pieces: &[&[u8]]) -> (Vec<u8>, Read) {
    let mut out = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        match reader.push(piece.to_vec(), i + 1 == pieces.len()) {
            Piece::Same => out.extend_from_slice(piece),
            Piece::Replaced(bytes) => out.extend(bytes),
        }
    }
    (out, reader.finish())
}

fn sse(drop_usage: bool) -> Reader {
    Reader::new(Api::Chat, "text/event-stream; charset=utf-8", Filter { drop_usage, data_only: false })
}

#[test]
fn a_stream_cut_at_every_byte_reads_the_same() {
    for line_end in ["\n", "\r\n"] {
        let (without_usage, whole) = stream(line_end);
        let bytes = whole.as_bytes();
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            for drop_usage in [false, true] {
                let (out, read) = run(sse(drop_usage), &[first, second]);
                let expected = if drop_usage { &without_usage } else { &whole };
                let out = String::from_utf8(out).unwrap();
                assert_eq!(&out, expected, "cut at {cut}");
                assert_eq!(read.usage, Some(reported()), "cut at {cut}");
                assert_eq!((read.text.characters(), read.complete), (6, true), "cut at {cut}");
                assert_eq!(read.finish_reason.as_deref(), Some("stop"));
            }
        }
        let singles: Vec<&[u8]> = bytes.chunks(1).chain([&b""[..]]).collect();
        assert_eq!(run(sse(false), &singles), (bytes.to_vec(), run(sse(false), &[bytes]).1));
        assert_eq!(run(sse(true), &singles).1.usage, Some(reported()));
    }
}

#[test]
fn whole_events_pass_without_a_copy() {
    let mut reader = sse(true);
    let event = br#"data: {"choices":[{"delta":{"content":"a"}}]}"#;
    let event = [&event[..], b"\n\n"].concat();
    assert_eq!(reader.push(event.clone(), false), Piece::Same);
    assert_eq!(reader.push(event[..9].to_vec(), false), Piece::Replaced(Vec::new()));
    assert_eq!(reader.push(event[9..].to_vec(), false), Piece::Replaced(event.clone()));
    assert_eq!(reader.push(event, false), Piece::Same);
}

#[test]
fn a_stream_without_its_end_ends_in_an_error() {
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    for drop_usage in [false, true] {
        let half = "data: {\"cho";
        for (sent, expected) in [(event, event.to_owned()), (half, format!("{half}\n\n")), ("", String::new())] {
            for pieces in [&[sent.as_bytes()][..], &[sent.as_bytes(), b""]] {
                let (out, read) = run(sse(drop_usage), pieces);
                let out = String::from_utf8(out).unwrap();
                let error = out.strip_prefix(&expected).unwrap_or_else(|| panic!("{out}"));
                assert!(error.starts_with("data: {\"error\":{") && error.ends_with("}}\n\n"), "{error}");
                assert!(!out.contains("[DONE]") && !read.complete);
            }
        }
    }
    let own = "data: {\"error\":{\"message\":\"overloaded\"}}\n\n";
    let (out, read) = run(sse(true), &[own.as_bytes(), b""]);
    assert_eq!((out, read.complete), (own.as_bytes().to_vec(), false));
}

#[test]
fn what_is_no_event_passes() {
    let garbage = b"\xff\xfe data: {\n\ndata: {]\n\ndata:\n\n\n\n\ndata: [DONE]\n\n";
    for drop_usage in [false, true] {
        let (out, read) = run(sse(drop_usage), &[garbage, b""]);
        assert_eq!(out, garbage);
        assert!(read.complete && read.usage.is_none());
    }
}

#[test]
fn an_endless_event_is_not_kept() {
    let mut reader = Sse::new(Api::Chat, Filter { drop_usage: true, data_only: false });
    let megabyte = vec![b'x'; 1 << 20];
    let mut passed = 0;
    for _ in 0..8 {
        match reader.push(megabyte.clone(), false) {
            Piece::Same => passed += megabyte.len(),
            Piece::Replaced(bytes) => passed += bytes.len(),
        }
    }
    assert!(passed >= 7 << 20);
    reader.push(b"\n\ndata: [DONE]\n\n".to_vec(), true);
    assert!(reader.finish().complete);
}

#[test]
fn json_cut_at_every_byte_reads_the_same() {
    let text = format!(
        r#"{{"id":"x","choices":[{{"message":{{"role":"assistant","content":"hé","refusal":null}},"finish_reason":"length"}},{{"text":"abc"}}],"usage":{USAGE},"new":[1]}}"#
    );
    let bytes = text.as_bytes();
    for cut in 0..=bytes.len() {
        let (out, read) =
            run(Reader::new(Api::Chat, "application/json", Filter::default()), &[&bytes[..cut], &bytes[cut..]]);
        assert_eq!(out, bytes);
        assert_eq!((read.usage, read.text.characters(), read.complete), (Some(reported()), 5, true), "cut at {cut}");
        assert_eq!(read.finish_reason.as_deref(), Some("length"));
    }
}

#[test]
fn json_that_is_none_passes() {
    let odd_usage = r#"{"usage":{"prompt_tokens":-1,"completion_tokens":"x"}}"#;
    for text in ["", "{", "[]", "null", "<html>", odd_usage, r#"{"usage":7}"#] {
        let (out, read) = run(Reader::new(Api::Chat, "application/json", Filter::default()), &[text.as_bytes()]);
        assert_eq!(out, text.as_bytes());
        assert!(read.usage.is_none_or(|usage| usage == Reported::default()), "{text}");
    }
}

/// Text that is no Unicode is not counted, and does not spoil the usage.
#[test]
fn bytes_that_are_no_text_are_no_matter() {
    let (before, after) = (&br#"{"choices":[{"message":{"content":"a"#[..], format!(r#""}}}}],"usage":{USAGE}}}"#));
    let answer = [before, b"\xff\xfe", after.as_bytes()].concat();
    let (out, read) = run(Reader::new(Api::Chat, "application/json", Filter::default()), &[&answer]);
    assert_eq!((out, read.usage, read.text.characters()), (answer, Some(reported()), 0));
}

#[test]
fn usage_at_the_end_of_a_huge_answer_is_found() {
    let mut json = Json::new(Api::Chat);
    json.push(br#"{"data":["#.to_vec(), false);
    for _ in 0..100 {
        json.push(vec![b'1'; 100_000], false);
        assert!(json.kept.len() <= (8 << 20) + 100_000);
    }
    json.push(format!(r#"],"usage":{USAGE}}}"#).into_bytes(), true);
    let read = json.finish();
    assert_eq!((read.usage, read.complete), (Some(reported()), true));
}
