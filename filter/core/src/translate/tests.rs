//! Which pairs there are, and what a stream makes of odd events. Whole translations are golden files.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::{
    api::Api,
    config::{BedrockMaker, Provider},
};

fn wire_of(api: Api, provider: &Provider) -> Option<&'static str> {
    provider.way(api).map(|way| match way {
        Way::Same => "same",
        Way::Translated(pair) => pair.name(),
    })
}

/// The first table of docs/translation.md.
#[test]
fn who_answers_what() {
    let azure = Provider::Azure { deployment: "d".into(), api_version: "v".into() };
    let model = Provider::Model { entity_name: "m".into(), entity_version: None };
    let openai = Provider::OpenAi { organization: None };
    let vertex = Provider::Vertex { project: "p".into(), region: "r".into() };
    let alike = [&Provider::Databricks, &Provider::Custom, &model];
    let providers = [&openai, &azure, alike[0], alike[1], alike[2], &Provider::Anthropic, &vertex, &Provider::Gemini];
    let (same, chat, anthropic, google) = (Some("same"), Some("openai"), Some("anthropic"), Some("google"));
    let (vertex, gemini) = (Some("vertex-embed"), Some("gemini-embed"));
    let bedrock = |maker| Provider::Bedrock { maker, model_path: "/model/m".into() };
    let makers = [BedrockMaker::Amazon, BedrockMaker::Anthropic, BedrockMaker::Cohere, BedrockMaker::Other];
    let [amazon, claude, command, other] = makers.map(bedrock);
    let more = [&amazon, &claude, &command, &other, &Provider::Cohere, &Provider::Ai21];
    let (converse, cohere) = (Some("bedrock"), Some("cohere"));
    let embed = [Some("bedrock-titan-embed"), None, Some("bedrock-cohere-embed"), None, Some("cohere-embed"), None];
    for (api, expected) in [
        (Api::Chat, [converse, converse, converse, converse, cohere, same]),
        (Api::Responses, [converse, converse, converse, converse, cohere, chat]),
        (Api::Messages, [converse, converse, converse, converse, cohere, chat]),
        (Api::CountTokens, [None; 6]),
        (Api::Completions, [None; 6]),
        (Api::Embeddings, embed),
        (Api::Predict, [None; 6]),
    ] {
        assert_eq!(more.map(|provider| wire_of(api, provider)), expected, "{api:?}");
    }
    for (api, expected) in [
        (Api::Chat, [same, same, same, same, same, anthropic, google, google]),
        (Api::Responses, [same, same, chat, chat, chat, anthropic, google, google]),
        (Api::Messages, [chat, chat, chat, chat, chat, same, google, google]),
        (Api::CountTokens, [None, None, None, None, None, same, None, None]),
        (Api::Completions, [same, same, same, same, same, None, None, None]),
        (Api::Embeddings, [same, same, same, same, same, None, vertex, gemini]),
        (Api::Predict, [None, None, None, None, same, None, None, None]),
    ] {
        assert_eq!(providers.map(|provider| wire_of(api, provider)), expected, "{api:?}");
    }
}

fn streamed(client: Client, wire: Wire, stream: &str) -> String {
    let out = Pair::new(client, wire).stream(Memo::default()).unwrap().push(stream.as_bytes(), true);
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
