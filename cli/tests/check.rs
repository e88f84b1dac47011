//! `weir check` as a shell sees it: exit statuses, and what goes to which stream.

#![allow(clippy::unwrap_used, reason = "a test that cannot run a process has failed")]

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

fn check(path: &str, input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["check", path])
        .env_clear()
        .env("WEIR_SECRET_DEMO_PRIMARY", "one")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn the_demos_policy_is_right() {
    let output = check(concat!(env!("CARGO_MANIFEST_DIR"), "/../envoy/policy.yaml"), "");
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(out.starts_with("ok: 1 endpoint, 2 served entities, 3 limits (config_hash "), "{out}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.starts_with("warning: ") && err.contains("WEIR_SECRET_DEMO_BACKUP"), "{err}");
}

#[test]
fn wrong_policies() {
    for (input, expected) in [
        (
            "endpoint: 1\nscope: []",
            "error: scope: found a list, expected an object\n\
             error: endpoints: found nothing, expected a list of endpoints\n\
             error: endpoint: found an unknown key, expected a known one: did you mean `endpoints`?\n",
        ),
        ("a: 1\na: 2", "error: -: neither YAML nor JSON: duplicate entry with key \"a\"\n"),
        (
            "a: [",
            "error: -: neither YAML nor JSON: did not find expected node content at line 2 column 1, while parsing a flow node\n",
        ),
    ] {
        let output = check("-", input);
        assert_eq!(output.status.code(), Some(1), "{input}");
        let err = String::from_utf8(output.stderr).unwrap();
        let errors: String =
            err.lines().filter(|line| line.starts_with("error")).map(|line| format!("{line}\n")).collect();
        assert_eq!(errors, expected, "{input}");
        assert!(output.stdout.is_empty(), "{input}");
    }
}

#[test]
fn nothing_to_judge() {
    let output = check("/nowhere/policy.yaml", "");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("error: /nowhere/policy.yaml: cannot be read: "));
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).arg("check").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// The demo in containers differs from the one beside them in where things are, and its second policy in who counts.
#[test]
fn the_containers_policies_are_the_demos() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../envoy/");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}{name}")).unwrap();
    let value = |text: &str| serde_yaml_ng::from_str::<serde_json::Value>(text).unwrap();
    let moved =
        read("policy.yaml").replace("127.0.0.1:9902", "collector:9902").replace("127.0.0.1:9911", "primary:9911");
    let mut demo = value(&moved.replace("127.0.0.1:9912", "backup:9912"));
    demo["logging"]["token"] = "{{secrets/demo/records}}".into();
    assert_eq!(value(&read("compose/policy.yaml")), demo);
    let mut shared = value(&read("compose/policy-ratelimit.yaml"));
    assert!(shared["limits_store"]["rls"]["url"].is_string());
    shared.as_object_mut().unwrap().remove("limits_store");
    assert_eq!(shared, demo);
    for name in ["compose/policy.yaml", "compose/policy-ratelimit.yaml"] {
        assert!(check(&format!("{folder}{name}"), "").status.success(), "{name}");
    }
}

/// Two models that fall back to each other, one's cluster being the operator's.
const TWO: &str = r#"
identity: {anonymous: allow}
unmatched: pass
unmatched_cluster: rest
endpoints:
- name: chat
  config:
    served_entities:
    - {name: a, cluster: one, external_model: {provider: openai, name: m, task: llm/v1/chat, openai_config: {openai_api_key_plaintext: k}}}
    - {name: b, cluster: two, external_model: {provider: openai, name: m, task: llm/v1/chat, openai_config: {openai_api_key_plaintext: k}}}
    - {name: c, cluster: two, external_model: {provider: openai, name: m, task: llm/v1/chat, openai_config: {openai_api_key_plaintext: k}}}
    traffic_config: {routes: [{served_entity_name: a, traffic_percentage: 100}, {served_entity_name: b, traffic_percentage: 0}, {served_entity_name: c, traffic_percentage: 0}]}
  ai_gateway: {fallback_config: {enabled: true}}
"#;

#[test]
fn what_an_envoy_must_have_and_lacks() {
    let policy = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(policy.path(), TWO).unwrap();
    for (more, status, printed, said) in [
        (
            &["--envoy-version", "1.40"][..],
            0,
            &["envoy.clusters.composite", "envoy.filters.http.wasm", "your own: one, two, rest"][..],
            &[][..],
        ),
        (
            &["--envoy-version", "1.36.2"],
            0,
            &["envoy.clusters.aggregate", "envoy.retry_priorities.previous_priorities"],
            &["one and two", "share a cluster"],
        ),
        (&["--envoy-version", "1.38", "--unpaused"], 0, &["envoy.filters.http.buffer"], &["unpaused: "]),
        (&["--envoy-version", "1.35.3"], 2, &[], &["1.35.3", "too old", "1.36, 1.37"]),
        (&["--envoy-version", "1.41"], 2, &[], &["newer than any"]),
        (&["--unpaused"], 2, &[], &["--envoy-version"]),
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_weir")).arg("check").arg(policy.path()).args(more).output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(status), "{more:?}: {err}");
        for part in printed {
            assert!(out.contains(part), "{more:?}: {part} in {out}");
        }
        for part in said {
            assert!(err.contains(part), "{more:?}: {part} in {err}");
        }
        assert!(!said.is_empty() || !err.contains("endpoint `chat`"), "{more:?}: {err}");
    }
}
