//! Google's generateContent as a provider's API: Vertex AI's, and the public Gemini API's.

mod answer;
mod request;
mod stream;

pub use answer::{failure, read as answer};
pub use request::write as request;
pub use stream::Reader;

/// Before a signature of Google's in the neutral types: Anthropic's are nothing that Google could read, nor the other way round.
pub const SIGNED: &str = "google:";

/// Before the ids that Weir makes for calls to which Google gave none, as others make them too: Google gets none of these.
const OWN_ID: &str = "call_";
