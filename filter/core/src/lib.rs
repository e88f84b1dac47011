//! Weir's logic, without I/O: what an LLM request meets between the door and the usage record.
//!
//! [`exchange`] is one request in the gateway role, [`attempt`] one attempt of it in the upstream role; each is a state
//! machine fed with an [`host::Input`], answering with [`host::Effect`]s and a [`host::Verdict`]. They alone know the
//! order of the stages:
//!
//! [`paths`] → [`identity`] → [`policy`] → [`request`] → [`limits`] → [`plan`] → [`provider`] → [`response`] → [`usage`] →
//! [`record`] → [`export`]
//!
//! Each stage is a function from types to types. Time, randomness, headers, bodies and shared data come in through
//! [`host::Host`]; nothing here calls an operating system or a proxy.

pub mod api;
pub mod attempt;
pub mod base64;
pub mod caller;
pub mod config;
mod cursor;
mod decimal;
pub mod delivery;
pub mod exchange;
pub mod export;
pub mod gateway;
pub mod headers;
pub mod host;
pub mod id;
pub mod identity;
mod key;
pub mod limits;
pub mod lint;
pub mod metrics;
pub mod oauth;
pub mod paths;
pub mod plan;
pub mod policy;
pub mod post;
pub mod provider;
pub mod record;
pub mod reply;
pub mod request;
pub mod response;
pub mod restore;
pub mod secret;
pub mod shared;
pub mod sigv4;
pub mod time;
pub mod tokens;
pub mod translate;
pub mod unpaused;
pub mod upstream;
pub mod usage;
mod wire;
