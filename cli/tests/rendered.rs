//! Every configuration that `weir render envoy` makes is one that each supported Envoy takes, and the examples in
//! `envoy/rendered` are what it makes today (`WEIR_RENDER=1 cargo test -p weir-cli --test rendered` makes them anew).

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its own functions")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// With their patch numbers, as scripts/lib.sh has them.
const VERSIONS: [&str; 5] = ["1.36.2", "1.37.0", "1.38.2", "1.39.0", "1.40.0"];

/// The least that is a filter of Weir's.
const FILTER: &str = r#"(module
    (@custom "weir.version" "VERSION")
    (memory (export "memory") 2)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 65536))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1)))"#;

const ENDPOINT: &str = r#"
endpoints:
- name: chat
  config:
    served_entities:
    - {name: a, external_model: {provider: openai, name: m, task: llm/v1/chat, openai_config: {openai_api_key_plaintext: k}}}
    - {name: b, external_model: {provider: anthropic, name: m, task: llm/v1/chat, anthropic_config: {anthropic_api_key_plaintext: k, anthropic_api_base: "http://127.0.0.1:9"}}}
    - {name: c, cluster: own, external_model: {provider: openai, name: m, task: llm/v1/chat, openai_config: {openai_api_key_plaintext: k}}}
    traffic_config: {routes: [{served_entity_name: a, traffic_percentage: 50}, {served_entity_name: b, traffic_percentage: 50}, {served_entity_name: c, traffic_percentage: 0}]}
  ai_gateway: {fallback_config: {enabled: true}, rate_limits: [{key: user, calls: 5, renewal_period: minute}]}
"#;

/// What else a policy may have that Envoy hears of.
const MORE: [&str; 4] = [
    "identity: {anonymous: allow}\nmax_request_bytes: 1000\n",
    "identity: {sources: [{jwt: {user: email, issuer: https://idp.example.com, audiences: [weir], jwks_file: jwks.json}}]}\nscope: {hosts: [a.example.com, b.example.com]}\n",
    "identity: {anonymous: allow}\nunmatched: pass\nunmatched_cluster: own\nlogging: {url: https://collector.example.com/v1/records}\n",
    "identity: {anonymous: allow}\nlimits_store: {rls: {url: http://127.0.0.1:9, domain: weir}}\n",
];

const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "1",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

const OWN: &str = "[{name: own, type: STATIC, load_assignment: {cluster_name: own}}]";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Run in the repository, as its documents say.
fn rendered(policy: &Path, more: &[&str]) -> String {
    let mut weir = Command::new(env!("CARGO_BIN_EXE_weir"));
    weir.current_dir(root()).args(["render", "envoy"]).arg(policy).args(more);
    let output = weir.output().unwrap();
    assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn examples_are_what_is_rendered_today() {
    let policy = Path::new("envoy/policy.yaml");
    let modes = VERSIONS.map(|version| (version.rsplit_once('.').unwrap().0, &[][..]));
    let unpaused: [&str; 1] = ["--unpaused"];
    for (version, more) in modes.into_iter().chain([("1.40", &unpaused[..])]) {
        let folder = root().join("envoy/rendered").join(if more.is_empty() {
            version.to_owned()
        } else {
            format!("{version}-unpaused")
        });
        let file = folder.join("envoy.yaml");
        // Not of this machine, where `weir.wasm` may not have been built.
        let today = rendered(policy, &[&["--envoy-version", version], more].concat());
        if std::env::var_os("WEIR_RENDER").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&file, &today).unwrap();
        }
        let found = fs::read_to_string(&file).unwrap_or_default();
        assert!(found == today, "{}: is not what is rendered today: WEIR_RENDER=1 makes it anew", file.display());
    }
}

#[test]
fn every_envoy_takes_every_rendered_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let wasm = file("weir.wasm", &wat::parse_str(FILTER.replace("VERSION", env!("CARGO_PKG_VERSION"))).unwrap());
    let (wasm, own) = (wasm.to_str().unwrap(), file("own.yaml", OWN.as_bytes()));
    file("jwks.json", JWKS.as_bytes());
    let written =
        MORE.iter().enumerate().map(|(at, more)| file(&format!("{at}.yaml"), format!("{more}{ENDPOINT}").as_bytes()));
    let policies: Vec<PathBuf> = written.chain([PathBuf::from("envoy/policy.yaml")]).collect();
    for version in VERSIONS {
        let Some(envoy) = envoy(version) else {
            eprintln!("SKIPPED: no Envoy {version} in ~/.cache/weir/envoy/{version}/envoy");
            continue;
        };
        for policy in &policies {
            for mode in [&[][..], &["--unpaused"]] {
                let places = ["--envoy-version", version, "--wasm", wasm, "--clusters", own.to_str().unwrap()];
                let config = file("envoy.yaml", rendered(policy, &[&places, mode].concat()).as_bytes());
                let output = Command::new(&envoy)
                    .args(["--mode", "validate", "-c"])
                    .arg(&config)
                    .current_dir("/")
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "Envoy {version}, {}, {mode:?}: {said}", policy.display());
                let deprecated = said.lines().find(|line| line.contains("deprecated") || line.contains("Deprecated"));
                assert_eq!(deprecated, None, "Envoy {version}, {}, {mode:?}", policy.display());
            }
        }
    }
}

fn envoy(version: &str) -> Option<PathBuf> {
    let path = Path::new(&std::env::var_os("HOME")?).join(".cache/weir/envoy").join(version).join("envoy");
    path.is_file().then_some(path)
}
