//! `weir explain` as a shell sees it: words, JSON, exit statuses.

#![allow(clippy::unwrap_used, reason = "a test that cannot run a process has failed")]

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

const POLICY: &str = r#"
identity: {sources: [{jwt: {user: email, groups: groups, service_principal: azp, issuer: i, audiences: [a], jwks_file: /dev/null}}], groups_of: {ann: [static]}}
limit_conflict: CONFLICT
endpoints:
- name: chat
  config: {served_entities: [{name: a, external_model: {provider: openai, name: m, task: llm/v1/chat, openai_config: {openai_api_key: "{{env/KEY}}"}},
    price: {input_per_million_usd: 1, output_per_million_usd: 2}}]}
  models: ["gpt-*"]
  permissions: [{group_name: staff, permission_level: CAN_QUERY}]
  ai_gateway:
    rate_limits:
    - {key: endpoint, calls: 6000, renewal_period: minute}
    - {key: user, calls: 60, tokens: 9000, renewal_period: minute, name: everybody}
    - {key: user, principal: ann, calls: 600, renewal_period: minute}
    - {key: user_group, principal: staff, calls: 100, renewal_period: minute}
    - {key: user_group, principal: static, cost_usd: 2.5, renewal_period: day, mode: shadow}
    - {key: user_group, principal: interns, calls: 5, renewal_period: minute}
"#;

fn explain(conflict: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["explain", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A usage error reads nothing.
    let _ = child.stdin.take().unwrap().write_all(POLICY.replace("CONFLICT", conflict).as_bytes());
    child.wait_with_output().unwrap()
}

fn words(conflict: &str, arguments: &[&str]) -> String {
    let output = explain(conflict, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn in_words() {
    let ann = ["--user", "ann", "--groups", "staff", "--endpoint", "gpt-4o"];
    assert_eq!(
        words("strictest", &ann),
        "user ann on endpoint chat\n\
         groups: staff, static\n\
         limit_conflict: strictest, accounting: after_response, enforcement: enforce\n\
         applies, in the order in which a caller who does not pause meets them:\n\
         \x20 100 calls per minute: `user_group staff per minute` (rate_limits[3]), shared with others\n\
         \x20 600 calls per minute: `user ann per minute` (rate_limits[2])\n\
         \x20 6000 calls per minute: `endpoint per minute` (rate_limits[0]), shared with others\n\
         \x20 9000 tokens per minute: `everybody` (rate_limits[1])\n\
         \x20 2.5 cost_usd per day: `user_group static per day` (rate_limits[4]), shared with others, shadow: refuses nobody\n\
         overridden:\n\
         \x20 calls of `everybody` (rate_limits[1]), by `user ann per minute` (rate_limits[2])\n\
         about others: user_group interns per minute\n"
    );
    let databricks = words("databricks", &ann);
    let overridden =
        "calls of `user_group staff per minute` (rate_limits[3]), by `user ann per minute` (rate_limits[2])";
    assert!(databricks.contains(overridden), "{databricks}");
    let two = words("databricks", &["--user", "bob", "--groups", "interns,staff", "--endpoint", "chat"]);
    let note = "5 calls per minute: `user_group interns per minute` (rate_limits[5]), shared with others, stops only when all \
                groups are exceeded";
    assert!(two.contains(note), "{two}");
    let nobody = words("strictest", &["--endpoint", "chat"]);
    assert!(nobody.starts_with("an anonymous caller on endpoint chat\ngroups: none\n"), "{nobody}");
    assert!(nobody.contains("no permission on this endpoint: refused (403) before any limit\n"), "{nobody}");
}

#[test]
fn as_json() {
    let text = words("strictest", &["--service-principal", "job", "--endpoint", "chat", "--json"]);
    let explained: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&explained["caller"], &explained["permitted"]), (&json!("service principal job"), &json!(false)));
    assert_eq!(
        explained["applies"],
        json!([{
            "rate_limit": 0, "limit": "endpoint per minute", "unit": "calls", "maximum": 6000.0, "renewal_period": "minute",
            "mode": "enforce", "shared": true, "stops_only_with_other_groups": false,
        }])
    );
    assert_eq!(explained["overridden"], json!([]));
}

#[test]
fn exit_statuses() {
    let unknown = explain("strictest", &["--endpoint", "nothing"]);
    assert_eq!(unknown.status.code(), Some(2));
    let error = String::from_utf8(unknown.stderr).unwrap();
    assert!(error.ends_with("error: no endpoint `nothing` in the policy, expected one of chat\n"), "{error}");
    assert_eq!(explain("loosest", &["--endpoint", "chat"]).status.code(), Some(1));
    assert_eq!(explain("strictest", &[]).status.code(), Some(2));
    let both = ["--endpoint", "chat", "--user", "a", "--service-principal", "b"];
    assert_eq!(explain("strictest", &both).status.code(), Some(2));
}
