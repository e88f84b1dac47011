#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::json;

use super::*;

fn put_together(api: Api, events: &[Value]) -> Value {
    let stream: String =
        events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>() + "data: [DONE]\n\n";
    let whole = cut(api, &stream, stream.len());
    for at in (0..stream.len()).step_by(7) {
        assert_eq!(cut(api, &stream, at), whole, "cut at {at}");
    }
    whole
}

fn cut(api: Api, stream: &str, at: usize) -> Value {
    let mut aggregate = Aggregate::new(api, 1 << 20);
    let (one, two) = stream.as_bytes().split_at(at);
    aggregate.push(one, false);
    aggregate.push(two, true);
    match aggregate.finish() {
        Aggregated::Answer(answer) => serde_json::from_slice(&answer).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn chunks_become_a_chat_completion() {
    let chunk = |choices: Value| json!({"id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": choices, "usage": null});
    let call = |index: u32, more: Value| {
        let mut call = json!({"index": index});
        call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([{"index": 1, "delta": {"tool_calls": [call]}, "finish_reason": null}])
    };
    let found = put_together(
        Api::Chat,
        &[
            chunk(
                json!([{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": null, "finish_reason": null}]),
            ),
            chunk(
                json!([{"index": 0, "delta": {"content": "Hé"}, "logprobs": {"content": [{"token": "Hé", "bytes": [1]}]}}]),
            ),
            chunk(
                json!([{"index": 0, "delta": {"content": "llo"}, "logprobs": {"content": [{"token": "llo", "bytes": [2]}]}}]),
            ),
            chunk(call(0, json!({"id": "t-1", "type": "function", "function": {"name": "look", "arguments": ""}}))),
            chunk(call(
                0,
                json!({"id": "t-1", "type": "function", "function": {"name": "look", "arguments": "{\"a\":"}}),
            )),
            chunk(call(1, json!({"id": "t-2", "type": "function", "function": {"name": "go", "arguments": "{}"}}))),
            chunk(call(0, json!({"function": {"arguments": "1}"}}))),
            chunk(json!([{"index": 1, "delta": {}, "finish_reason": "tool_calls"}])),
            chunk(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}])),
            json!({"id": "c-1", "object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 3}}),
        ],
    );
    let expected = json!({
        "id": "c-1", "object": "chat.completion", "created": 7, "model": "m", "usage": {"prompt_tokens": 3},
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Héllo"},
             "logprobs": {"content": [{"token": "Hé", "bytes": [1]}, {"token": "llo", "bytes": [2]}]}},
            {"index": 1, "finish_reason": "tool_calls", "message": {"tool_calls": [
                {"id": "t-1", "type": "function", "function": {"name": "look", "arguments": "{\"a\":1}"}},
                {"id": "t-2", "type": "function", "function": {"name": "go", "arguments": "{}"}},
            ]}},
        ],
    });
    assert_eq!(found, expected);
}

#[test]
fn chunks_become_a_completion_and_an_error_stays() {
    let chunk = |text: &str| json!({"object": "text_completion", "choices": [{"index": 0, "text": text}]});
    let error = json!({"error": {"message": "cut off"}});
    let found = put_together(Api::Completions, &[chunk("a"), chunk("b"), error]);
    let expected =
        json!({"object": "text_completion", "choices": [{"index": 0, "text": "ab"}], "error": {"message": "cut off"}});
    assert_eq!(found, expected);
}

#[test]
fn events_become_a_message() {
    let start =
        |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u32| json!({"type": "content_block_stop", "index": index});
    let found = put_together(
        Api::Messages,
        &[
            json!({"type": "message_start", "message": {"id": "m-1", "type": "message", "role": "assistant", "content": [],
                "stop_reason": null, "usage": {"input_tokens": 9, "output_tokens": 1}}}),
            json!({"type": "ping"}),
            start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
            delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
            delta(0, json!({"type": "signature_delta", "signature": "abc"})),
            stop(0),
            start(1, json!({"type": "text", "text": ""})),
            delta(1, json!({"type": "text_delta", "text": "De"})),
            delta(1, json!({"type": "text_delta", "text": "ep."})),
            delta(1, json!({"type": "citations_delta", "citation": {"cited_text": "x"}})),
            stop(1),
            start(2, json!({"type": "tool_use", "id": "t", "name": "look", "input": {}})),
            delta(2, json!({"type": "input_json_delta", "partial_json": "{\"a\""})),
            delta(2, json!({"type": "input_json_delta", "partial_json": ": [1]}"})),
            stop(2),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 8}}),
            json!({"type": "message_stop"}),
        ],
    );
    let expected = json!({"id": "m-1", "type": "message", "role": "assistant", "stop_reason": "tool_use",
    "usage": {"input_tokens": 9, "output_tokens": 8}, "content": [
        {"type": "thinking", "thinking": "hm", "signature": "abc"},
        {"type": "text", "text": "Deep.", "citations": [{"cited_text": "x"}]},
        {"type": "tool_use", "id": "t", "name": "look", "input": {"a": [1]}},
    ]});
    assert_eq!(found, expected);
}

#[test]
fn events_become_a_response_whole_or_cut_off() {
    let events = [
        json!({"type": "response.created", "response": {"id": "r-1", "object": "response", "output": []}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "content": []}}),
        json!({"type": "response.content_part.added", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": ""}}),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "De"}),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "ep"}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "function_call", "arguments": ""}}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"}),
    ];
    let cut = json!({"id": "r-1", "object": "response", "output": [
        {"type": "message", "content": [{"type": "output_text", "text": "Deep"}]}, {"type": "function_call", "arguments": "{}"}]});
    assert_eq!(put_together(Api::Responses, &events), cut);
    let whole = json!({"id": "r-1", "status": "completed", "output": [{"type": "message"}]});
    let end = json!({"type": "response.completed", "response": whole});
    assert_eq!(put_together(Api::Responses, &[&events[..], &[end]].concat()), whole);
    let error = json!({"type": "error", "message": "m"});
    assert_eq!(put_together(Api::Responses, &[&events[..1], &[error]].concat())["error"], json!({"message": "m"}));
}

#[test]
fn it_is_bounded() {
    for (api, event) in [
        (Api::Chat, json!({"choices": [{"index": 0, "delta": {"content": "0123456789"}}]})),
        (Api::Chat, json!({"choices": [{"index": 0, "logprobs": {"content": [0, 0, 0, 0]}}]})),
        (
            Api::Messages,
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "0123456789"}}),
        ),
        (
            Api::Responses,
            json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "0123456789"}),
        ),
    ] {
        let event = format!("data: {event}\n\n");
        let mut aggregate = Aggregate::new(api, 1_000);
        for _ in 0..200 {
            aggregate.push(event.as_bytes(), false);
            assert!(aggregate.document.weight <= 1_100, "{api:?}");
        }
        assert!(aggregate.is_lost, "{api:?}");
        assert_eq!(aggregate.finish(), Aggregated::TooLarge);
    }
    let mut endless = Aggregate::new(Api::Chat, 1_000);
    endless.push(&vec![b'x'; 2 << 20], false);
    assert_eq!(endless.finish(), Aggregated::TooLarge);
    assert_eq!(Aggregate::new(Api::Chat, 1_000).finish(), Aggregated::Nothing);
    let mut strange = Aggregate::new(Api::Messages, 1_000);
    strange.push(
        b"data: {\"type\":\"content_block_delta\",\"index\":99999999999,\"delta\":[1]}\n\ndata: 7\n\n: x\n\n",
        true,
    );
    assert_eq!(strange.finish(), Aggregated::Nothing);
}
