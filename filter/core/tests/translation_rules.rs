//! docs/translation.md against the code: each row of its tables is tried. `carried` changes what the provider gets, `dropped`
//! does not, `refused` is an error.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may panic, also in its own functions")]

use serde_json::{Value, json};
use weir_core::translate::{Pair, Target, client::Client, provider::Wire};

const PAGE: &str = include_str!("../../../docs/translation.md");

/// (the heading of a table, who sends, whether its rows are parts, who gets: a column each)
const TABLES: &[(&str, Client, bool, &[Wire])] = &[
    ("### A chat completion's fields", Client::Chat, false, &[Wire::Anthropic]),
    ("### Parts of a chat completion's user message", Client::Chat, true, &[Wire::Anthropic]),
    ("### Fields of Anthropic's messages", Client::Messages, false, &[Wire::OpenAi]),
    ("### Parts of Anthropic's user message", Client::Messages, true, &[Wire::OpenAi]),
    ("### Fields of OpenAI's responses", Client::Responses, false, &[Wire::Anthropic, Wire::OpenAi]),
];

/// The cells of a table's rows.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let (_, behind) = PAGE.split_once(&format!("{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let table = behind.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    table.skip(2).map(cells).collect()
}

fn base(client: Client) -> Value {
    match client {
        Client::Responses => json!({"input": "Hello"}),
        _ => json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]}),
    }
}

/// The row's example in a request.
fn with(client: Client, is_part: bool, example: &str) -> Value {
    let mut request = base(client);
    if is_part {
        let part: Value = serde_json::from_str(example).unwrap_or_else(|e| panic!("{example}: {e}"));
        request["messages"][0]["content"].as_array_mut().unwrap().push(part);
        return request;
    }
    let members: Value = serde_json::from_str(&format!("{{{example}}}")).unwrap_or_else(|e| panic!("{example}: {e}"));
    request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    request
}

#[test]
fn every_row_is_what_the_code_does() {
    for (heading, client, is_part, wires) in TABLES {
        let rows = rows(heading);
        assert!(rows.len() > 4, "{heading}: {rows:?}");
        for row in rows {
            let example = row[0].trim_matches('`');
            for (wire, cell) in wires.iter().zip(&row[1..]) {
                let sent = |request: &Value| {
                    let target = Target { model: "m", is_openai: false };
                    let body = request.to_string();
                    Pair::new(*client, *wire).request(body.as_bytes(), &target, 0).map(|sent| sent.body)
                };
                let plain = sent(&base(*client)).unwrap();
                let word = cell.split([',', ';', ':', ' ']).next().unwrap();
                let found = match sent(&with(*client, *is_part, example)) {
                    Err(_) => "refused",
                    Ok(body) if body == plain => "dropped",
                    Ok(_) => "carried",
                };
                assert_eq!(found, word, "{heading}, {example}, at {wire:?}");
            }
        }
    }
}
