//! Which pairs there are, and what a stream makes of odd events. Whole translations are golden files.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn wire_of(api: Api, provider: &Provider) -> Option<&'static str> {
    way(api, provider).map(|way| match way {
        Way::Same => "same",
        Way::Translated(pair) => pair.wire.name(),
    })
}

/// The first table of docs/translation.md.
#[test]
fn who_answers_what() {
    let azure = Provider::Azure { deployment: "d".into(), api_version: "v".into() };
    let model = Provider::Model { entity_name: "m".into(), entity_version: None };
    let openai = Provider::OpenAi { organization: None };
    let providers = [&openai, &azure, &Provider::Databricks, &Provider::Custom, &model, &Provider::Anthropic];
    let (same, chat, anthropic) = (Some("same"), Some("openai"), Some("anthropic"));
    for (api, expected) in [
        (Api::Chat, [same, same, same, same, same, anthropic]),
        (Api::Responses, [same, same, chat, chat, chat, anthropic]),
        (Api::Messages, [chat, chat, chat, chat, chat, same]),
        (Api::CountTokens, [None, None, None, None, None, same]),
        (Api::Completions, [same, same, same, same, same, None]),
        (Api::Embeddings, [same, same, same, same, same, None]),
        (Api::Predict, [None, None, None, None, same, None]),
    ] {
        assert_eq!(providers.map(|provider| wire_of(api, provider)), expected, "{api:?}");
    }
}

fn streamed(client: Client, wire: Wire, stream: &str) -> String {
    let out = Pair::new(client, wire).stream(Memo::default()).push(stream.as_bytes(), true);
    String::from_utf8(out).unwrap()
}

#[test]
fn what_cannot_be_read_ends_a_stream() {
    for client in Client::ALL {
        for wire in Wire::ALL {
            let out = streamed(client, wire, "data: {\"broken\n\ndata: [DONE]\n\n");
            assert!(out.contains("cannot be read") && !out.contains("[DONE]"), "{client:?} {wire:?}: {out}");
            let out = streamed(client, wire, "");
            assert!(out.contains("before the answer was complete"), "{client:?} {wire:?}: {out}");
        }
    }
}

#[test]
fn nothing_follows_the_end() {
    let after = "data: [DONE]\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"late\"}}]}\n\n";
    let out = streamed(Client::Messages, Wire::OpenAi, after);
    assert!(out.contains("message_stop") && !out.contains("late"), "{out}");
}

/// Calls that are written in turns, as no model does and any server may.
#[test]
fn interleaved_calls_keep_their_arguments() {
    let call = |index: u64, more: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":{index},{more}}}]}}}}]}}\n\n"
        )
    };
    let stream: String = [
        call(0, r#""id":"a","function":{"name":"f","arguments":"{"}"#),
        call(1, r#""id":"b","function":{"name":"g","arguments":"{"}"#),
        call(0, r#""function":{"arguments":"}"}"#),
        call(1, r#""function":{"arguments":" }"}"#),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let out = streamed(Client::Messages, Wire::OpenAi, &stream);
    let pieces = [
        r#""index":0,"delta":{"type":"input_json_delta","partial_json":"}"#,
        r#""index":1,"delta":{"type":"input_json_delta","partial_json":" }"#,
    ];
    assert!(pieces.iter().all(|piece| out.contains(piece)), "{out}");
    let out = streamed(Client::Responses, Wire::OpenAi, &stream);
    assert!(out.contains(r#""arguments":"{}","name":"f""#) && out.contains(r#""arguments":"{ }","name":"g""#), "{out}");
}

/// An error in a 200, and what is no answer at all.
#[test]
fn answers_that_are_none() {
    for client in Client::ALL {
        for body in ["", "[]", "not json", "{\"error\":{\"message\":\"m\"}}"] {
            let out = Pair::new(client, Wire::OpenAi).answer(body.as_bytes(), &Memo::default());
            let out = String::from_utf8(out).unwrap();
            assert!(out.contains("\"error\":{"), "{client:?}: {out}");
        }
    }
}
