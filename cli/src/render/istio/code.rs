//! Where the gateway's pods get the filter from: a file in them, or an address from which Istio's agent fetches it. The agent
//! sees what comes by extension discovery alone, so there, and only there, an address may stand.

use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// A path in the pods.
    File(String),
    /// `oci://`, `https://` or `http://`.
    Fetched(String),
}

/// Of `--wasm`.
pub fn parse(text: &str) -> Result<Code, String> {
    let is_address = ["oci://", "https://", "http://"].iter().any(|scheme| text.starts_with(scheme));
    match text {
        _ if is_address => Ok(Code::Fetched(text.to_owned())),
        _ if text.starts_with('/') => Ok(Code::File(text.to_owned())),
        _ => {
            Err("expected an absolute path in the gateway's pods, or an oci://, https:// or http:// address".to_owned())
        }
    }
}

/// Of `--wasm-sha256`.
pub fn sha256(text: &str) -> Result<String, String> {
    let is_hash = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_hash { Ok(text.to_ascii_lowercase()) } else { Err("expected 64 hex digits".to_owned()) }
}

impl Code {
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// What Envoy loads as a file, or what the agent makes into one.
    pub fn path(&self) -> &str {
        match self {
            Self::File(path) | Self::Fetched(path) => path,
        }
    }

    /// What Envoy's `vm_config` says.
    pub fn source(&self, sha256: Option<&str>) -> Value {
        match self {
            Self::File(path) => json!({"local": {"filename": path}}),
            // As istiod writes it for a WasmPlugin. The agent makes a file of it before Envoy sees it: `_` and `nil` are its words
            // for a cluster and a hash that are none.
            Self::Fetched(uri) => json!({"remote": {
                "http_uri": {"uri": uri, "timeout": "30s", "cluster": "_"},
                "sha256": sha256.unwrap_or("nil"),
            }}),
        }
    }

    /// Whether the other options fit.
    pub fn check(&self, sha256: Option<&str>, image: Option<&str>) -> Result<(), String> {
        match self {
            Self::Fetched(uri) if !uri.starts_with("oci://") && sha256.is_none() => {
                Err(format!("--wasm {uri}: expected --wasm-sha256 with it: what an address serves can change"))
            }
            Self::Fetched(uri) if image.is_some() => Err(format!("--wasm {uri}: expected a path with --wasm-image")),
            Self::File(path) if sha256.is_some() => {
                Err(format!("--wasm {path}: expected an address with --wasm-sha256: Envoy loads a file as it is"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits() {
        let hash = "0a".repeat(32);
        for (wasm, sha256, image, fits) in [
            ("/etc/weir/weir.wasm", None, None, true),
            ("/etc/weir/weir.wasm", None, Some("weir:1"), true),
            ("/etc/weir/weir.wasm", Some(hash.as_str()), None, false),
            ("oci://registry.example/weir:1", None, None, true),
            ("oci://registry.example/weir:1", None, Some("weir:1"), false),
            ("https://example.com/weir.wasm", None, None, false),
            ("https://example.com/weir.wasm", Some(hash.as_str()), None, true),
        ] {
            assert_eq!(parse(wasm).unwrap().check(sha256, image).is_ok(), fits, "{wasm} {sha256:?} {image:?}");
        }
        assert!(parse("dist/weir.wasm").is_err());
        assert_eq!(sha256(&"0A".repeat(32)), Ok(hash));
        assert!(sha256("0a").is_err());
    }
}
