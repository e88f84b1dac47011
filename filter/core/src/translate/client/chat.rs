//! OpenAI's chat completions as a caller's API.

mod answer;
mod request;
mod stream;

pub use answer::{error, write as answer};
pub use request::read as request;
pub use stream::Writer;
