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
