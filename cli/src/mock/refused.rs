//! Why the mock answers no request.

use hyper::StatusCode;

/// A refusal before it has its provider's shape.
pub type Refused = (StatusCode, String);
