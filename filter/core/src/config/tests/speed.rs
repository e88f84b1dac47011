//! How long a big policy takes: nothing in it may be quadratic.
#![cfg(not(target_arch = "wasm32"))]

use std::time::{Duration, Instant};

use super::*;

const ENDPOINTS: usize = 10_000;

/// `cargo test --release -p weir-core speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods)]
fn many_endpoints() {
    let mut policy = good();
    let big = policy["endpoints"][0].clone();
    policy["endpoints"] = (0..ENDPOINTS)
        .map(|n| {
            let mut endpoint = big.clone();
            endpoint["name"] = json!(format!("chat-{n}"));
            endpoint["models"] = json!([format!("gpt-{n}"), format!("gpt-{n}-*")]);
            endpoint
        })
        .collect();
    policy["identity"]["sources"][0]["api_keys"] =
        (0..ENDPOINTS).map(|n| json!({"sha256": format!("{n:064x}"), "user": format!("u{n}")})).collect();
    let json = policy.to_string();
    let start = Instant::now();
    let compiled = Config::from_slice(json.as_bytes(), &environment, MissingSecrets::Error).unwrap();
    let compile = start.elapsed();
    let start = Instant::now();
    for n in 0..ENDPOINTS {
        assert!(compiled.config.endpoint_for_model(&format!("gpt-{n}-x")).is_some());
    }
    let lookup = start.elapsed() / ENDPOINTS as u32;
    println!("{ENDPOINTS} endpoints, {} KB: {compile:?}, {lookup:?} for a name by prefix", json.len() >> 10);
    assert!(compile < Duration::from_secs(1), "{compile:?}");

    let broken = json.replace("\"minute\"", "\"week\"");
    let start = Instant::now();
    let invalid = Config::from_slice(broken.as_bytes(), &environment, MissingSecrets::Error).unwrap_err();
    println!("{} problems: {:?}", invalid.problems.len(), start.elapsed());
    assert_eq!(invalid.problems.len(), ENDPOINTS);
}
