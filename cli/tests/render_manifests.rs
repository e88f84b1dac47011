//! `weir render istio` and `envoy-gateway`: what is kept in `envoy/` is what they print today, and bad input is told before
//! anything is printed.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its own functions")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn weir(arguments: &[&str], folder: &Path) -> Output {
    let secrets = [("WEIR_SECRET_DEMO_PRIMARY", "sk-held-back"), ("WEIR_SECRET_DEMO_BACKUP", "sk-held-back")];
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.arg("render").args(arguments).current_dir(folder).envs(secrets).output().unwrap()
}

/// `weir render istio envoy/policy.yaml > envoy/istio/weir.yaml` makes them anew.
#[test]
fn the_manifests_of_the_demo_are_up_to_date() {
    for target in ["istio", "envoy-gateway"] {
        let rendered = weir(&[target, "envoy/policy.yaml"], &root());
        assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
        let kept = fs::read_to_string(root().join("envoy").join(target).join("weir.yaml")).unwrap();
        let printed = String::from_utf8(rendered.stdout).unwrap();
        assert!(printed == kept, "`weir render {target} envoy/policy.yaml > envoy/{target}/weir.yaml` changes it");
        assert!(!printed.contains("sk-held-back"));
    }
}

#[test]
fn bad_input_is_told_and_nothing_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let policy = fs::read_to_string(root().join("envoy/policy.yaml")).unwrap();
    let jwt = "  - jwt: {user: email, issuer: https://idp, audiences: [weir], jwks_file: absent.json}\n\nlogging:";
    fs::write(folder.path().join("good.yaml"), &policy).unwrap();
    fs::write(folder.path().join("jwt.yaml"), policy.replace("\nlogging:", jwt)).unwrap();
    fs::write(folder.path().join("wrong.yaml"), policy.replace("traffic_percentage: 90", "traffic_percentage: 80"))
        .unwrap();
    let rows: [(&[&str], i32, &str); 8] = [
        (&["istio", "wrong.yaml"], 1, "sum to 90, expected exactly 100"),
        (&["envoy-gateway", "wrong.yaml"], 1, "sum to 90, expected exactly 100"),
        (&["istio", "jwt.yaml"], 2, "absent.json"),
        (&["envoy-gateway", "jwt.yaml"], 2, "absent.json"),
        (&["istio", "good.yaml", "--istio-version", "1.20"], 2, "1.29, 1.30, 1.31"),
        (&["istio", "good.yaml", "--wasm", "dist/weir.wasm"], 2, "absolute path"),
        (&["istio", "good.yaml", "--wasm", "https://example.com/weir.wasm"], 2, "--wasm-sha256"),
        (&["envoy-gateway", "good.yaml", "--wasm", "weir.wasm"], 2, "absolute path"),
    ];
    for (arguments, status, message) in rows {
        let output = weir(arguments, folder.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains(message), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    let keys = weir(&["istio", "jwt.yaml", "--jwks-uri", "https://idp/keys"], folder.path());
    assert!(String::from_utf8(keys.stdout).unwrap().contains("jwksUri: https://idp/keys"));
}
