//! OpenAI's chat completions as a provider's API: OpenAI's own, Azure's, and every compatible server's.

mod answer;
mod request;
mod stream;

pub use answer::{failure, read as answer};
pub use request::write as request;
pub use stream::Reader;
