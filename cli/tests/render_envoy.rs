//! What `weir render envoy` prints, in real Envoys: that they accept it, serve it, and let no client choose a cluster.
//! A version whose binary is not in `~/.cache/weir/envoy/<version>/envoy` is skipped, and says so.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its own functions")]

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

const POLICY: &str = r#"
scope: {hosts: [ai.example.com]}
unmatched_cluster: rest
identity:
  sources:
  - jwt: {user: email, issuer: https://idp.example.com, audiences: [weir], jwks_file: keys/jwks.json}
logging: {url: http://127.0.0.1:1/v1/records, token: "{{secrets/weir/records}}"}
endpoints:
- name: chat
  config:
    served_entities:
    - name: public
      external_model: {provider: openai, name: m, task: llm/v1/chat, openai_config: {openai_api_key: "{{secrets/openai/key}}"}}
    - name: inside
      external_model:
        {provider: openai, name: m, task: llm/v1/chat, openai_config: {openai_api_key: "{{secrets/openai/key}}", openai_api_base: "http://inside.internal:8000/v1"}}
    - name: own
      cluster: own
      external_model: {provider: openai, name: m, task: llm/v1/chat, openai_config: {openai_api_key: "{{secrets/openai/key}}"}}
    traffic_config:
      routes:
      - {served_entity_name: public, traffic_percentage: 90}
      - {served_entity_name: inside, traffic_percentage: 10}
      - {served_entity_name: own, traffic_percentage: 0}
  ai_gateway: {fallback_config: {enabled: true}}
"#;

/// The public key of RFC 7517, appendix A.1.
const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "1",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

/// The least that is a filter: it lets everything pass, so what is seen is Envoy's own doing.
const FILTER: &str = r#"(module
    (@custom "weir.version" "VERSION")
    (memory (export "memory") 2)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 65536))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1)))"#;

const SECRET: &str = "sk-held-back";
/// How long an Envoy may take to start; it takes a tenth of a second.
const START: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(10);

#[test]
fn envoy_1_36_serves_what_is_rendered() {
    serves("1.36.2");
}

#[test]
fn envoy_1_37_serves_what_is_rendered() {
    serves("1.37.0");
}

#[test]
fn envoy_1_40_serves_what_is_rendered() {
    serves("1.40.0");
}

fn serves(version: &str) {
    let Some(envoy) = envoy(version) else {
        eprintln!("SKIPPED: no Envoy {version} in ~/.cache/weir/envoy/{version}/envoy");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (upstream, seen) = echo();
    let [listen, admin] = free_addresses();
    let config = render(dir.path(), version, listen, admin, upstream);

    let validated =
        Command::new(&envoy).args(["--mode", "validate", "-c"]).arg(&config).current_dir("/").output().unwrap();
    assert!(validated.status.success(), "{}", String::from_utf8_lossy(&validated.stderr));

    let _running = Running::start(&envoy, &config, dir.path(), admin);
    let outside = [
        "GET /elsewhere?a=b HTTP/1.1\r\nhost: ai.example.com",
        "GET /v1/chat/completions HTTP/1.1\r\nhost: other.example.com",
    ];
    for head in outside {
        let answer = exchange(listen, &format!("{head}\r\nx-weir-cluster: own\r\nX-Weir-Cluster: weir-chat-public"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let request = seen.recv_timeout(ANSWER).unwrap().to_lowercase();
        assert!(request.starts_with(&head[..head.find(" HTTP").unwrap()].to_lowercase()), "{request}");
        assert!(!request.contains("x-weir-cluster"), "{request}");
    }
    // The filter that names a cluster is not there: the client's own choice must lead nowhere.
    for path in ["/v1/chat/completions?a=b", "/serving-endpoints/chat/invocations"] {
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: AI.example.com:8080\r\nx-weir-cluster: own\r\ncontent-length: 0");
        let answer = exchange(listen, &head);
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
    assert!(seen.try_recv().is_err());
    let answer = exchange(listen, "GET /health HTTP/1.1\r\nhost: ai.example.com");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let dump = exchange(admin, "GET /config_dump HTTP/1.1\r\nhost: admin");
    assert!(dump.contains("WEIR_SECRET_OPENAI_KEY") && !dump.contains(SECRET));
}

#[test]
fn exit_statuses() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.yaml");
    fs::write(&policy, POLICY).unwrap();
    let wrong = dir.path().join("wrong.yaml");
    fs::write(&wrong, "endpoints: 5\n").unwrap();
    let clusters = dir.path().join("clusters.yaml");
    fs::write(&clusters, "[{name: weir-records}]").unwrap();
    let file = |path: &Path| path.to_str().unwrap().to_owned();
    let cases: &[(&[&str], i32, &str)] = &[
        (&[&file(&policy)], 0, "`rest`"),
        (&[&file(&policy)], 0, "WEIR_SECRET_OPENAI_KEY"),
        (&[&file(&policy)], 0, &format!("{}`: not found", file(&dir.path().join("keys/jwks.json")))),
        (&[&file(&wrong)], 1, "endpoints"),
        (&[&file(&policy), "--clusters", &file(&clusters)], 2, "weir-records"),
        (&[&file(&policy), "--wasm", &file(&wrong)], 2, "no WebAssembly module"),
        (&[&file(&policy), "--wasm", "nowhere.wasm"], 0, "nowhere.wasm: cannot be read here"),
        (&[&file(&policy), "--only", "routes"], 0, "`rest`"),
        (&[&file(&policy), "--only", "listeners"], 2, "filters, clusters, routes"),
        (&[&file(&policy), "--envoy-version", "1.35.1"], 2, "too old"),
        (&[&file(&policy), "--listen", "nowhere"], 2, "--listen"),
        (&[&file(&policy), "--clusters", &file(&wrong)], 2, "a list of Envoy's cluster objects"),
        (&["/nowhere/policy.yaml"], 2, "/nowhere/policy.yaml"),
        (&[], 2, "POLICY"),
    ];
    for (args, status, message) in cases {
        let output = weir(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*status), "{args:?}: {stderr}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
        assert_eq!(output.stdout.is_empty(), *status != 0, "{args:?}");
    }
}

/// A file is replaced by what standard output would have had, and left alone where there is nothing to put there.
#[test]
fn output_goes_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (policy, wrong, out) = (path("policy.yaml"), path("wrong.yaml"), path("envoy.yaml"));
    fs::write(&policy, POLICY).unwrap();
    fs::write(&wrong, "endpoints: 5\n").unwrap();
    let shown = weir(&[&policy]).stdout;
    assert!(weir(&[&policy, "--output", &out]).stdout.is_empty());
    assert_eq!(fs::read(&out).unwrap(), shown);
    assert_eq!(weir(&[&wrong, "--output", &out]).status.code(), Some(1));
    assert_eq!(fs::read(&out).unwrap(), shown);
    assert_eq!(weir(&[&policy, "--output", &path("nowhere/envoy.yaml")]).status.code(), Some(2));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "nothing else is left");
}

fn weir(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir")).args(["render", "envoy"]).args(args).output().unwrap()
}

fn envoy(version: &str) -> Option<PathBuf> {
    let path = Path::new(&std::env::var_os("HOME")?).join(".cache/weir/envoy").join(version).join("envoy");
    path.is_file().then_some(path)
}

/// Renders the policy into `dir`; `rest` and `own` lead to `upstream`.
fn render(dir: &Path, version: &str, listen: SocketAddr, admin: SocketAddr, upstream: SocketAddr) -> PathBuf {
    let file = |name: &str, content: &[u8]| {
        let path = dir.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let cluster = |name: &str| {
        let address = format!("{{address: {}, port_value: {}}}", upstream.ip(), upstream.port());
        let endpoint = format!("{{endpoint: {{address: {{socket_address: {address}}}}}}}");
        format!(
            "- name: {name}\n  type: STATIC\n  load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{endpoint}]}}]}}\n"
        )
    };
    fs::create_dir(dir.join("keys")).unwrap();
    file("keys/jwks.json", JWKS.as_bytes());
    let policy = file("policy.yaml", POLICY.as_bytes());
    let clusters = file("clusters.yaml", (cluster("rest") + &cluster("own")).as_bytes());
    let wasm = file("filter.wasm", &wat::parse_str(FILTER.replace("VERSION", env!("CARGO_PKG_VERSION"))).unwrap());
    let (listen, admin) = (listen.to_string(), admin.to_string());
    let places = ["--listen", &listen, "--admin", &admin, "--wasm", &wasm, "--clusters", &clusters];
    let output = weir(&[&[&policy, "--envoy-version", version], &places[..]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(!stderr.contains("jwks_file") && !stderr.contains("`rest`") && !stderr.contains("`own`"), "{stderr}");
    PathBuf::from(file("envoy.yaml", &output.stdout))
}

/// An Envoy of ours, ended when dropped.
struct Running(Child);

impl Running {
    fn start(envoy: &Path, config: &Path, dir: &Path, admin: SocketAddr) -> Self {
        let log = fs::File::create(dir.join("envoy.log")).unwrap();
        let child = Command::new(envoy)
            .args(["--use-dynamic-base-id", "--concurrency", "1", "-c"])
            .arg(config)
            // Neither the policy's folder nor that of who rendered it.
            .current_dir("/")
            .env("WEIR_SECRET_OPENAI_KEY", SECRET)
            .env("WEIR_SECRET_WEIR_RECORDS", SECRET)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut running = Self(child);
        let deadline = Instant::now() + START;
        while !is_ready(admin) {
            let ended = running.0.try_wait().unwrap();
            let log = || fs::read_to_string(dir.join("envoy.log")).unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "Envoy is not ready: {ended:?}\n{}", log());
            thread::sleep(Duration::from_millis(50));
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_ready(admin: SocketAddr) -> bool {
    TcpStream::connect(admin).is_ok() && exchange(admin, "GET /ready HTTP/1.1\r\nhost: admin").contains("LIVE")
}

/// Sends a request's head; everything that comes back.
fn exchange(to: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(ANSWER)).unwrap();
    stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// An upstream that answers 200 and hands over each request's head. Its thread ends with the test's process.
fn echo() -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            if sender.send(String::from_utf8_lossy(&head).into_owned()).is_err() {
                break;
            }
        }
    });
    (address, receiver)
}

fn free_addresses() -> [SocketAddr; 2] {
    [(); 2]
        .map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
        .map(|listener| listener.local_addr().unwrap())
}
