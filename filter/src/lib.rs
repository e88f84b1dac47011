//! The proxy-wasm shell around `weir-core`: callbacks in, effects out. It decides nothing.

mod apply;
mod host;
mod root;
mod stream;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(root::Root::default()));
}}
