//! Amazon Bedrock's Converse and ConverseStream as a provider's API. The model stands in the path, the answer has neither an
//! id nor a model's name of its own.

mod answer;
mod request;
mod stream;

pub use answer::{failure, read as answer};
pub use request::write as request;
pub use stream::Reader;
