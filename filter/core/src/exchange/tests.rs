//! Whole exchanges over a fake host: what the providers receive, what the client gets, what is recorded. `drive` plays
//! Envoy, the client and the providers; each other file is one theme.

mod answers;
mod attempts;
mod cost;
mod door;
pub mod drive;
mod fallback;
mod limits;
mod limits_more;
mod oauth;
mod orders;
mod otlp;
mod payload;
mod places;
pub mod policies;
mod record;
mod refusals;
mod route;
mod shared_limits;
mod signed;
mod translation;
mod unpaused;
