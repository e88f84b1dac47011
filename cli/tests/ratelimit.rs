//! `weir render ratelimit` as a shell sees it: an engine's configuration, warnings, exit statuses. That the engines take it is seen
//! end to end.

#![allow(clippy::unwrap_used, reason = "a test that cannot run a process has failed")]

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

const POLICY: &str = r#"
identity: {anonymous: allow}
limits_store: STORE
accounting: reserve
endpoints:
- name: chat
  config: {served_entities: [{name: a, external_model: {provider: openai, name: m, task: llm/v1/chat, openai_config: {openai_api_key: "{{env/KEY}}"}},
    price: {input_per_million_usd: 1, output_per_million_usd: 2}}]}
  ai_gateway:
    rate_limits:
    - {key: user, calls: 60, tokens: 500, renewal_period: minute}
    - {key: user, principal: ann, calls: 600, renewal_period: minute}
    - {key: user_group, principal: interns, cost_usd: 2.5, renewal_period: month, mode: shadow}
"#;

fn render(engine: &str, store: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["render", "ratelimit", engine, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(POLICY.replace("STORE", store).as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn yaml(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_yaml_ng::from_slice(&output.stdout).unwrap()
}

const RLS: &str = "{rls: {url: 'http://127.0.0.1:8081', domain: prod}}";

/// Follows `key=value` or `key` from descriptor to descriptor.
fn limit(mut node: &Value, path: &[(&str, Option<&str>)]) -> Value {
    for (key, value) in path {
        let descriptors = node["descriptors"].as_array().unwrap();
        node = descriptors.iter().find(|d| d["key"] == *key && d["value"].as_str() == *value).unwrap();
    }
    serde_json::json!([node["rate_limit"]["requests_per_unit"], node["rate_limit"]["unit"], node["shadow_mode"]])
}

#[test]
fn envoyproxy_nests_by_entry() {
    let config = yaml(&render("envoyproxy", RLS));
    assert_eq!(config["domain"], "prod");
    let of = |whose: &[(&'static str, Option<&'static str>)], unit, period| {
        let ends = [("unit", Some(unit)), ("period", Some(period))];
        let path: Vec<_> = [("endpoint", Some("chat"))].iter().chain(whose).chain(&ends).copied().collect();
        limit(&config, &path).to_string()
    };
    let user = ("key", Some("user"));
    for (whose, unit, expected) in [
        (("principal", None), "calls", r#"[60,"minute",false]"#),
        (("anonymous", None), "tokens", r#"[500,"minute",false]"#),
        (("principal", Some("ann")), "calls", r#"[600,"minute",false]"#),
        // The engine does not come back from her branch to everybody's.
        (("principal", Some("ann")), "tokens", r#"[500,"minute",false]"#),
    ] {
        assert_eq!(of(&[user, whose], unit, "minute"), expected, "{whose:?} {unit}");
    }
    let interns = [("key", Some("user_group")), ("principal", Some("interns"))];
    assert_eq!(of(&interns, "cost_micro_usd", "month"), r#"[2500000,"month",true]"#);
}

#[test]
fn limitador_is_a_list_and_warns_of_what_it_cannot() {
    let output = render("limitador", RLS);
    let limits = yaml(&output);
    let limits: Vec<_> = limits
        .as_array()
        .unwrap()
        .iter()
        .map(|limit| {
            assert_eq!(limit["namespace"], "prod");
            (limit["name"].as_str().unwrap(), limit["max_value"].as_u64().unwrap(), limit["seconds"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(limits[0], ("chat: user per minute calls", 60, 60));
    assert_eq!(limits[2], ("chat: user ann per minute calls", 600, 60));
    assert!(limits[3].1 > u64::from(u32::MAX), "a shadow is never over: {limits:?}");
    let warnings = String::from_utf8(output.stderr).unwrap();
    for what in ["warning: accounting: reserve: ", "warning: mode: shadow: "] {
        assert!(warnings.contains(what), "{warnings}");
    }
}

#[test]
fn without_an_engine_there_is_nothing_to_configure() {
    for (engine, store, status, said) in [
        ("envoyproxy", "local", 1, "limits_store: found `local`, expected `rls`"),
        ("envoyproxy", "{rls: {}}", 1, "limits_store.rls: found neither `url` nor `cluster`"),
        ("gubernator", RLS, 2, "possible values: envoyproxy, limitador"),
    ] {
        let output = render(engine, store);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
        assert!(output.stdout.is_empty());
    }
}
