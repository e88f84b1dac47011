//! Istio's control plane without Kubernetes (`tests/istio/pilot`), its configuration a folder of manifests, and for an Envoy the
//! bootstrap by which it is a gateway of that mesh.
//!
//! The Envoy is not Istio's build, so what only that has is turned off: the metadata exchange filter, the ALPN filter, and
//! Istio's own metrics (which a mesh configuration has to ask for). There is no agent, so no certificates and no fetched wasm.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Call, Client};
use crate::envoy::Launch;
use crate::process::{Folder, Process, dist, free_port};
use crate::scripts;

pub struct Istiod {
    /// Plain-text discovery.
    port: u16,
    folder: Folder,
    process: Process,
}

impl Istiod {
    /// `None` where it cannot be had, which the script has said.
    pub async fn start() -> Option<Self> {
        let binary = Some(scripts::output("setup-istiod.sh", &[])).filter(|binary| !binary.is_empty())?;
        let folder = Folder::new("istiod");
        fs::create_dir(folder.join("config")).expect("a folder");
        fs::write(folder.join("mesh.yaml"), "accessLogFile: \"\"\n").expect("a file");
        fs::write(folder.join("networks.yaml"), "networks: {}\n").expect("a file");
        let [port, http, monitoring] = [free_port(), free_port(), free_port()];
        let mut command = Command::new(binary);
        command.current_dir(folder.path()).env_clear().envs([
            ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
            ("PILOT_ENABLE_ALPN_FILTER", "false"),
            ("ENABLE_CA_SERVER", "false"),
            ("PILOT_CERT_PROVIDER", "none"),
            ("INJECT_ENABLED", "false"),
            ("PILOT_DEBOUNCE_AFTER", "50ms"),
        ]);
        command.args(["--config", "config", "--mesh", "mesh.yaml", "--networks", "networks.yaml"]);
        for (option, port) in [("--grpc", port), ("--http", http), ("--monitoring", monitoring)] {
            command.args([option, &format!("127.0.0.1:{port}")]);
        }
        let mut process = Process::start("istiod", &mut command, folder.join("istiod.log"));
        let client = Client::new(&format!("http://127.0.0.1:{http}"));
        let ready = async || client.try_send(&Call::get("/ready")).await.is_ok_and(|answer| answer.status == 200);
        process.wait_until(Duration::from_secs(60), ready).await;
        Some(Self { port, folder, process })
    }

    /// Puts the manifests of a policy in place, and gives the bootstrap of a gateway that is fed by them.
    pub fn gateway(&self, launch: &Launch<'_>, port: u16, admin_port: u16, arguments: &[&str]) -> String {
        self.apply(&rendered(launch, port, arguments));
        self.bootstrap(admin_port).to_string()
    }

    /// Replaces all manifests.
    pub fn apply(&self, manifests: &str) {
        let next = self.folder.join("next.yaml");
        fs::write(&next, manifests).expect("the folder can be written");
        fs::rename(&next, self.folder.join("config/weir.yaml")).expect("a file can be replaced");
    }

    /// As istio-agent writes it for a pod of the gateway's Deployment, without what needs the agent.
    fn bootstrap(&self, admin_port: u16) -> Value {
        let ads = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
        let at = |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
        json!({
            "node": {
                "id": "router~127.0.0.1~weir-0.weir~weir.svc.cluster.local",
                "cluster": "weir.weir",
                "metadata": {
                    "NAME": "weir-0",
                    "NAMESPACE": "weir",
                    "CLUSTER_ID": "Kubernetes",
                    "ISTIO_VERSION": "1.31.0",
                    "LABELS": {"istio": "weir"},
                    "INSTANCE_IPS": "127.0.0.1",
                },
            },
            "admin": {"address": at(admin_port)},
            "dynamic_resources": {
                "lds_config": ads,
                "cds_config": ads,
                "ads_config": {
                    "api_type": "GRPC",
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
                },
            },
            "static_resources": {"clusters": [{
                "name": "xds-grpc",
                "type": "STATIC",
                "connect_timeout": "1s",
                "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}},
                }},
                "load_assignment": {"cluster_name": "xds-grpc", "endpoints": [
                    {"lb_endpoints": [{"endpoint": {"address": at(self.port)}}]},
                ]},
            }]},
        })
    }

    pub fn tail(&self) -> String {
        self.process.tail(40)
    }
}

/// What `weir render istio` makes of a policy.
fn rendered(launch: &Launch<'_>, port: u16, arguments: &[&str]) -> String {
    let mut command = Command::new(dist("weir"));
    command.args(["render", "istio"]).arg(launch.policy).args(["--port", &port.to_string()]);
    command.arg("--wasm").arg(dist("weir.wasm")).args(arguments);
    command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
    let output = command.output().expect("dist/weir can be run");
    assert!(output.status.success(), "weir render istio: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("manifests in UTF-8")
}
