//! Istio's control plane without Kubernetes (`tests/istio/pilot`), its configuration a folder of manifests, and for an Envoy the
//! bootstrap by which it is a gateway of that mesh.
//!
//! The Envoy is not Istio's build, so what only that has is turned off: the metadata exchange filter, the ALPN filter, and
//! Istio's own metrics (which a mesh configuration has to ask for). There is no agent, so no certificates and no fetched wasm.

use std::fs;
use std::process::Command;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::envoy::{Launch, version};
use crate::process::{Folder, Process, dist, free_port};
use crate::scripts;

/// How the filter comes into the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Both roles as patches, from a file.
    File,
    /// Both as patches, from a registry: what Istio's agent does with that is done here.
    Fetched,
    /// The gateway role as a WasmPlugin, from a file.
    Plugin,
}

/// One control plane, for one gateway.
pub struct Istiod {
    binary: String,
    /// Plain-text discovery.
    port: u16,
    folder: Folder,
    process: Mutex<Option<Process>>,
}

impl Istiod {
    /// `None` where it cannot be had, which the script has said, or this Envoy is none of Istio's.
    pub fn new() -> Option<Self> {
        if version().starts_with("1.36") {
            println!("SKIPPED: manifests are for Istio 1.29 to 1.31, whose Envoys are 1.37 to 1.39");
            return None;
        }
        let binary = Some(scripts::output("setup-istiod.sh", &[])).filter(|binary| !binary.is_empty())?;
        Some(Self { binary, port: free_port(), folder: Folder::new("istiod"), process: Mutex::new(None) })
    }

    /// Starts on the manifests of a policy, and gives the bootstrap of a gateway that is fed by them.
    pub fn gateway(&self, launch: &Launch<'_>, port: u16, admin_port: u16, form: Form) -> String {
        let config = self.folder.join("config");
        fs::create_dir(&config).expect("a folder");
        let file = dist("weir.wasm").display().to_string();
        let manifests = match form {
            Form::File => rendered(launch, port, &["--wasm", &file]),
            Form::Fetched => as_the_agent(&rendered(launch, port, &["--wasm", "oci://registry.example/weir:1"])),
            Form::Plugin => translated(&rendered(launch, port, &["--wasm", &file, "--wasm-plugin"])),
        };
        fs::write(config.join("weir.yaml"), manifests).expect("the manifests can be written");
        *self.process.lock().expect("one thread") = Some(self.start());
        self.bootstrap(admin_port).to_string()
    }

    fn start(&self) -> Process {
        fs::write(self.folder.join("mesh.yaml"), "accessLogFile: \"\"\n").expect("a file");
        fs::write(self.folder.join("networks.yaml"), "networks: {}\n").expect("a file");
        let mut command = Command::new(&self.binary);
        command.current_dir(self.folder.path()).env_clear().envs([
            ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
            ("PILOT_ENABLE_ALPN_FILTER", "false"),
            ("ENABLE_CA_SERVER", "false"),
            ("PILOT_CERT_PROVIDER", "none"),
            ("INJECT_ENABLED", "false"),
        ]);
        command.args(["--config", "config", "--mesh", "mesh.yaml", "--networks", "networks.yaml"]);
        for (option, port) in [("--grpc", self.port), ("--http", free_port()), ("--monitoring", free_port())] {
            command.args([option, &format!("127.0.0.1:{port}")]);
        }
        Process::start("istiod", &mut command, self.folder.join("istiod.log"))
    }

    /// As istio-agent writes it for a pod of the gateway's Deployment, without what needs the agent.
    fn bootstrap(&self, admin_port: u16) -> Value {
        let ads = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
        let at = |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
        json!({
            "node": {
                // Not the loopback's address, which is a provider's here: istiod would take the pod for it.
                "id": "router~10.0.0.1~weir-0.weir~weir.svc.cluster.local",
                "cluster": "weir.weir",
                "metadata": {
                    "NAME": "weir-0",
                    "NAMESPACE": "weir",
                    "CLUSTER_ID": "Kubernetes",
                    "ISTIO_VERSION": "1.31.0",
                    "LABELS": {"istio": "weir"},
                    "INSTANCE_IPS": "10.0.0.1",
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
        self.process.lock().expect("one thread").as_ref().map(|process| process.tail(40)).unwrap_or_default()
    }
}

/// What `weir render istio` makes of a policy.
fn rendered(launch: &Launch<'_>, port: u16, options: &[&str]) -> String {
    let mut command = Command::new(dist("weir"));
    command.args(["render", "istio"]).arg(launch.policy).args(["--port", &port.to_string()]).args(options);
    command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
    let output = command.output().expect("dist/weir can be run");
    assert!(output.status.success(), "weir render istio: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("manifests in UTF-8")
}

/// With Kubernetes istiod 1.31 makes a TrafficExtension of each WasmPlugin, and with a folder it does not.
fn translated(manifests: &str) -> String {
    changed(manifests, |document| {
        if document["kind"] == "WasmPlugin" {
            let mut wasm = document["spec"].take();
            let selector = wasm["selector"].take();
            wasm.as_object_mut().expect("a spec").remove("selector");
            let name =
                format!("{}~istio-translated-wasmplugin", document["metadata"]["name"].as_str().expect("a name"));
            document["kind"] = "TrafficExtension".into();
            document["metadata"]["name"] = name.into();
            document["spec"] = json!({"selector": selector, "wasm": wasm});
        }
    })
}

/// The agent fetches what comes by discovery, and Envoy gets a file.
fn as_the_agent(manifests: &str) -> String {
    changed(manifests, |document| {
        for patch in document["spec"]["configPatches"].as_array_mut().into_iter().flatten() {
            if patch["applyTo"] == "EXTENSION_CONFIG" {
                let code = patch.pointer_mut("/patch/value/typed_config/config/vm_config/code").expect("an extension");
                assert_eq!(code["remote"]["http_uri"]["uri"], "oci://registry.example/weir:1");
                *code = json!({"local": {"filename": dist("weir.wasm")}});
            }
        }
    })
}

fn changed(manifests: &str, change: impl Fn(&mut Value)) -> String {
    let mut documents = Vec::new();
    for text in manifests.split("\n---\n").skip(1) {
        let mut document: Value = serde_yaml_ng::from_str(text).expect("a manifest");
        change(&mut document);
        documents.push(document.to_string());
    }
    documents.join("\n---\n")
}
