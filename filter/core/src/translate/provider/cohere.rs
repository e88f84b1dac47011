//! Cohere's chat of its second version as a provider's API.

mod answer;
mod request;
mod stream;

pub use answer::{failure, has_failed, read as answer};
pub use request::write as request;
pub use stream::Reader;
