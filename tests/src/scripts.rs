//! Programs beside the tests: the set-up scripts, and the Python clients under `tests/clients/`, each of which prints one JSON value.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::process::{Process, root};

/// What a script of `scripts/` prints on its last line. It may take minutes when it has to fetch something.
pub fn output(script: &str, arguments: &[&str]) -> String {
    let path = root().join("scripts").join(script);
    let output = std::process::Command::new(&path).args(arguments).stderr(Stdio::inherit()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {}: {error}", path.display()));
    assert!(output.status.success(), "{} failed; see above", path.display());
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs `tests/clients/<script>` with a base URL and a key; what it prints, as JSON. Panics with its traceback when it fails.
pub async fn client(script: &str, base: &str, key: &str, folder: &std::path::Path) -> Value {
    let python = std::env::var("WEIR_E2E_PYTHON").unwrap_or_else(|_| output("setup-python.sh", &[]));
    let log = folder.join(format!("{script}.log"));
    let mut command = std::process::Command::new(python);
    command.arg(root().join("tests/clients").join(script)).args([base, key]);
    // No credential or proxy of the machine's may reach the client.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", folder);
    let mut process = Process::start(script, &mut command, log);
    let ended = async {
        while process.is_running() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let in_time = timeout(Duration::from_secs(60), ended).await.is_ok();
    let said = process.log();
    let answer = said.lines().last().and_then(|line| serde_json::from_str(line).ok());
    answer.filter(|_| in_time).unwrap_or_else(|| panic!("{script} gave no JSON (in time: {in_time})\n{said}"))
}
