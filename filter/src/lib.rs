//! The proxy-wasm shell around `weir-core`: callbacks in, effects out. It decides nothing.

mod apply;
mod host;
mod root;
mod stream;

use proxy_wasm::types::LogLevel;

/// A custom section of the file, by which `weir render` knows whether it is its own.
#[used]
#[cfg_attr(target_arch = "wasm32", unsafe(link_section = "weir.version"))]
static VERSION: [u8; env!("CARGO_PKG_VERSION").len()] = match env!("CARGO_PKG_VERSION").as_bytes().first_chunk() {
    Some(version) => *version,
    None => [0; env!("CARGO_PKG_VERSION").len()],
};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(root::Root::default()));
}}
