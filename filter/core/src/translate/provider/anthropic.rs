//! Anthropic's messages as a provider's API.

mod answer;
mod request;
mod stream;

pub use answer::{failure, read as answer, usage};
pub use request::{DEFAULT_MAX_TOKENS, write as request};
pub use stream::Reader;
