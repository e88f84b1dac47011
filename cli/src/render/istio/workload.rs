//! The gateway itself: a Deployment that Istio's injector makes a proxy of, with the providers' keys in its environment and
//! nowhere else, and the Service by which callers find it.

use serde_json::{Map, Value, json};
use weir_core::config::Config;

use super::{Args, resource, selector};
use crate::render::manifest;

pub fn manifests(args: &Args, config: &Config) -> Vec<Value> {
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": args.name, "namespace": args.namespace},
    });
    vec![account, service(args), deployment(args, config)]
}

fn service(args: &Args) -> Value {
    resource(
        args,
        ("v1", "Service", &args.name),
        json!({
            "type": "ClusterIP",
            "selector": selector(args),
            "ports": [{"name": "http", "port": args.port, "targetPort": args.port}],
        }),
    )
}

fn deployment(args: &Args, config: &Config) -> Value {
    let mut pod = json!({
        "serviceAccountName": args.name,
        // As Istio's own gateway chart: ports below 1024 without root.
        "securityContext": {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]},
        "containers": [container(args, config)],
    });
    if let Some(image) = &args.wasm_image {
        pod["volumes"] = json!([{"name": "weir", "image": {"reference": image}}]);
    }
    let labels = json!({"istio": args.name, "sidecar.istio.io/inject": "true"});
    resource(
        args,
        ("apps/v1", "Deployment", &args.name),
        json!({
            "selector": {"matchLabels": selector(args)},
            "template": {
                "metadata": {"labels": labels, "annotations": {"inject.istio.io/templates": "gateway"}},
                "spec": pod,
            },
        }),
    )
}

/// `auto` is the injector's to fill in.
fn container(args: &Args, config: &Config) -> Value {
    let mut container = Map::from_iter([
        ("name".to_owned(), "istio-proxy".into()),
        ("image".to_owned(), "auto".into()),
        ("env".to_owned(), manifest::environment(config, &args.secret)),
        (
            "securityContext".to_owned(),
            json!({
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
                "runAsNonRoot": true,
            }),
        ),
    ]);
    if args.wasm_image.is_some() {
        let folder = args.wasm.path().rsplit_once('/').map_or("/", |(folder, _)| folder);
        container.insert("volumeMounts".to_owned(), json!([{"name": "weir", "mountPath": folder, "readOnly": true}]));
    }
    container.into()
}
