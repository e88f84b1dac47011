//! The end-to-end harness: a real Envoy with `dist/weir.wasm`, providers and a collector as processes of their own, on free ports.
//!
//! [`Setup`] says what a test needs, [`Rig`] is that, running; dropping it ends every process. A test asks with a [`Call`], and
//! reads what the caller got ([`Answer`], [`Streamed`]), what a provider received ([`Mock`]) and what was recorded
//! ([`Collector`]). When a test fails, the rig prints the end of Envoy's log and where everything lies.
//! It needs `make build`; it fetches Envoy and the Python clients by `scripts/` where the caller has not.

pub mod applying;
pub mod bootstrap;
pub mod client;
pub mod collector;
pub mod disk;
pub mod engine;
pub mod envoy;
pub mod envoy_gateway;
pub mod istiod;
pub mod jwt;
pub mod mock;
pub mod policy;
pub mod process;
pub mod raw;
pub mod receiver;
pub mod rig;
pub mod scripts;
pub mod sdks;
pub mod tables;
pub mod wasm;
pub mod wire;

pub use applying::Applied;
pub use client::{Answer, Call, Client, Streamed, Tally};
pub use collector::Collector;
pub use engine::Engine;
pub use envoy::{Envoy, Reload};
pub use istiod::Istiod;
pub use mock::Mock;
pub use policy::{Endpoint, Policy};
pub use receiver::Receiver;
pub use rig::{Addresses, Rig, Setup};
