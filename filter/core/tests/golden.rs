//! Golden files: what each caller's API becomes in each provider's words, and what of each provider's comes back. A file
//! `golden/<api>/<kind>-<case>.<ext>` is what somebody sends; beside it, with the other side's name before the extension,
//! stands what Weir makes of it. `UPDATE_GOLDEN=1 cargo test -p weir-core --test golden` writes those anew.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may panic, also in its own functions")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use weir_core::translate::{Memo, Pair, Target, client::Client, embeddings::Embedder, json::Json, provider::Wire};

/// 2026-11-22T00:00:00Z.
const NOW: u64 = 1_795_305_600;

const TARGET: Target<'static> = Target { model: "the-model", is_openai: false, is_anthropic: true };

fn folder(api: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(api)
}

/// The inputs of one kind, by case: files whose name has one dot.
fn cases(api: &str, kind: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder(api)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(&format!("{kind}-")) && name.matches('.').count() == 1
    });
    paths.sort();
    let full = paths.iter().any(|path| path.file_stem().unwrap() == &*format!("{kind}-full"));
    assert!(full || kind == "error", "{api} has no full {kind}");
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Compares with the snapshot beside `input`, or writes it.
fn check(input: &Path, other: &str, found: &str) {
    let extension = input.extension().unwrap().to_str().unwrap();
    // Callers are streamed server-sent events alone.
    let extension = if extension == "frames" { "sse" } else { extension };
    let snapshot = input.with_extension(format!("{other}.{extension}"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&snapshot, found).unwrap();
        return;
    }
    let expected = fs::read_to_string(&snapshot).unwrap_or_default();
    assert_eq!(found, expected, "{} (UPDATE_GOLDEN=1 writes it anew)", snapshot.display());
}

fn pretty(json: &[u8]) -> String {
    let json = Json::parse(json).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(json)));
    serde_json::to_string_pretty(&json).unwrap() + "\n"
}

/// Pairs whose bytes pass have no golden files.
fn pairs() -> Vec<(Client, Wire, Pair)> {
    let all = Client::ALL.into_iter().flat_map(|client| Wire::ALL.into_iter().map(move |wire| (client, wire)));
    let translated = all.filter(|(client, wire)| client.own_wire() != Some(*wire));
    translated.map(|(client, wire)| (client, wire, Pair::new(client, wire))).collect()
}

#[test]
fn requests() {
    for (client, wire, pair) in pairs() {
        for (path, body) in cases(client.name(), "request") {
            let found = match pair.request(&body, &TARGET, NOW) {
                Ok(sent) => pretty(&sent.body),
                Err(why) => pretty(&pair.refusal(&why)),
            };
            check(&path, wire.name(), &found);
        }
    }
}

#[test]
fn answers() {
    for (client, wire, pair) in pairs() {
        for (path, body) in cases(wire.name(), "answer") {
            check(&path, client.name(), &pretty(&pair.answer(&body, &memo(client))));
        }
    }
}

#[test]
fn errors() {
    for (client, wire, pair) in pairs() {
        for (path, body) in cases(wire.name(), "error") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let status = name.split('-').nth(1).unwrap().parse().unwrap();
            check(&path, client.name(), &pretty(&pair.error(status, &body)));
        }
    }
}

#[test]
fn streams_are_the_same_wherever_they_are_cut() {
    for (client, wire, pair) in pairs() {
        for (path, body) in cases(wire.name(), "stream") {
            let memo = memo(client);
            let body = if wire == Wire::Bedrock { frames(&body) } else { body };
            let whole = streamed(pair, &memo, &[&body]);
            check(&path, client.name(), &whole);
            for cut in 0..=body.len() {
                let (one, two) = body.split_at(cut);
                assert_eq!(streamed(pair, &memo, &[one, two]), whole, "{} cut at {cut}", path.display());
            }
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            assert_eq!(streamed(pair, &memo, &bytes), whole, "{} byte by byte", path.display());
        }
    }
}

/// Bedrock's binary messages: a line is the event's type (an exception's with `!`) and the payload.
fn frames(text: &[u8]) -> Vec<u8> {
    let lines = std::str::from_utf8(text).unwrap().lines();
    lines.flat_map(|line| frame(line.split_once(' ').unwrap())).collect()
}

fn frame((name, payload): (&str, &str)) -> Vec<u8> {
    let (key, name, kind) = match name.strip_prefix('!') {
        Some(name) => (":exception-type", name, "exception"),
        None => (":event-type", name, "event"),
    };
    let mut headers = Vec::new();
    for (key, value) in [(key, name), (":content-type", "application/json"), (":message-type", kind)] {
        headers.push(key.len() as u8);
        headers.extend([key.as_bytes(), &[7], &(value.len() as u16).to_be_bytes(), value.as_bytes()].concat());
    }
    let total = (headers.len() + payload.len() + 16) as u32;
    let mut frame = [total.to_be_bytes(), (headers.len() as u32).to_be_bytes()].concat();
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend([&headers, payload.as_bytes()].concat());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn streamed(pair: Pair, memo: &Memo, pieces: &[&[u8]]) -> String {
    let mut stream = pair.stream(memo.clone()).unwrap();
    let mut out = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        out.extend(stream.push(piece, at + 1 == pieces.len()));
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn embeddings() {
    for embedder in Embedder::ALL {
        let pair = Pair::Embeddings(embedder);
        let asked = |case: &str| {
            let body = fs::read(folder("embeddings").join(format!("request-{case}.json"))).unwrap();
            pair.request(&body, &TARGET, NOW).unwrap().memo
        };
        for (path, body) in cases("embeddings", "request") {
            let found = match pair.request(&body, &TARGET, NOW) {
                Ok(sent) => pretty(&sent.body),
                Err(why) => pretty(&pair.refusal(&why)),
            };
            check(&path, embedder.name(), &found);
        }
        for (path, body) in cases(embedder.name(), "answer") {
            check(&path, "float", &pretty(&pair.answer(&body, &asked("plain"))));
            check(&path, "base64", &pretty(&pair.answer(&body, &asked("base64"))));
        }
        for (path, body) in cases(embedder.name(), "error") {
            check(&path, "embeddings", &pretty(&pair.error(429, &body)));
        }
        assert!(pair.stream(Memo::default()).is_none());
    }
}

/// What is kept of a request: that of the API's full one, whoever answers; and of the answer's headers.
fn memo(client: Client) -> Memo {
    let full = fs::read(folder(client.name()).join("request-full.json")).unwrap();
    let sent = Pair::new(client, Wire::OpenAi).request(&full, &TARGET, NOW).unwrap();
    Memo { id: "the-request".to_owned(), ..sent.memo }
}
