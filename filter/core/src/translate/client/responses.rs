//! OpenAI's responses as a caller's API, without what it keeps: no conversation, no tools of OpenAI's own.

mod answer;
mod request;
mod stream;

pub use answer::{error, write as answer};
pub use request::read as request;
pub use stream::Writer;

/// What stands before a signature of Anthropic's in `encrypted_content`: OpenAI's own is nothing to anybody else.
const SIGNED: &str = "anthropic:";
/// The same before thinking that Anthropic has hidden.
const HIDDEN: &str = "anthropic-redacted:";
