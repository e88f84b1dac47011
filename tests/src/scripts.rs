//! Programs beside the tests: the set-up scripts, and the Python clients under `tests/clients/`, each of which prints one JSON value.

use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::process::{Process, root};

/// What a script of `scripts/` prints on its last line. It may take minutes when it has to fetch something: another test that wants
/// the same waits, and finds it there.
pub fn output(script: &str, arguments: &[&str]) -> String {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // A script that failed has failed its test; the next one may try again.
    let _waited = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let path = root().join("scripts").join(script);
    let output = std::process::Command::new(&path).args(arguments).stderr(Stdio::inherit()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {}: {error}", path.display()));
    assert!(output.status.success(), "{} failed; see above", path.display());
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs `tests/clients/<script>` with a base URL and a key; what it prints, as JSON. Panics with its traceback when it fails.
pub async fn client(script: &str, base: &str, key: &str, folder: &std::path::Path) -> Value {
    let python = std::env::var("WEIR_E2E_PYTHON").unwrap_or_else(|_| output("setup-python.sh", &[]));
    python_json(&python, &format!("clients/{script}"), &[base, key], folder, LONGEST).await
}

/// What readers that are not ours find in a collector's tables (`tests/tables/read.py`, with its further arguments).
pub async fn tables(out: &std::path::Path, folder: &std::path::Path, more: &[&str]) -> Value {
    let out = out.display().to_string();
    python_json(&tables_python(), "tables/read.py", &[&[out.as_str()], more].concat(), folder, LONGEST * 10).await
}

/// What such a reader saw who read again and again until `stop` was there (`tests/tables/watch.py`).
pub async fn watch(table: &std::path::Path, stop: &std::path::Path, folder: &std::path::Path) -> Value {
    let (table, stop) = (table.display().to_string(), stop.display().to_string());
    python_json(&tables_python(), "tables/watch.py", &[&table, &stop], folder, LONGEST * 60).await
}

fn tables_python() -> String {
    let requirements = root().join("tests/tables/requirements.txt");
    let install = || output("setup-python.sh", &[&requirements.display().to_string()]);
    std::env::var("WEIR_E2E_TABLES_PYTHON").unwrap_or_else(|_| install())
}

/// A page's document once its scripts have run for some seconds of virtual time, by a headless Chromium.
pub async fn page(url: &str, folder: &std::path::Path) -> String {
    page_with(None, url, folder).await
}

/// The same with one more of Chromium's options.
pub async fn page_with(option: Option<&str>, url: &str, folder: &std::path::Path) -> String {
    let chromium = std::env::var("WEIR_E2E_CHROMIUM").unwrap_or_else(|_| output("setup-chromium.sh", &[]));
    let mut command = std::process::Command::new(chromium);
    // As root it has no sandbox; the page is ours.
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,1500"]);
    command.arg(format!("--user-data-dir={}", folder.join("chromium").display()));
    command.args(option);
    command.args(["--virtual-time-budget=4000", "--dump-dom", url]);
    let log = folder.join("chromium.log");
    let mut process = Process::start("chromium", &mut command, log);
    ended(&mut process, LONGEST).await;
    process.log()
}

/// Within so long a program ends that is not told to go on.
const LONGEST: Duration = Duration::from_secs(60);

async fn ended(process: &mut Process, bound: Duration) -> bool {
    let ended = async {
        while process.is_running() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(bound, ended).await.is_ok()
}

async fn python_json(
    python: &str,
    script: &str,
    arguments: &[&str],
    folder: &std::path::Path,
    bound: Duration,
) -> Value {
    let log = folder.join(format!("{}.log", script.replace('/', "-")));
    let mut command = std::process::Command::new(python);
    command.arg(root().join("tests").join(script)).args(arguments);
    // No credential or proxy of the machine's may reach the client.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", folder);
    let mut process = Process::start(script, &mut command, log);
    let in_time = ended(&mut process, bound).await;
    let said = process.log();
    let answer = said.lines().last().and_then(|line| serde_json::from_str(line).ok());
    answer.filter(|_| in_time).unwrap_or_else(|| panic!("{script} gave no JSON (in time: {in_time})\n{said}"))
}
