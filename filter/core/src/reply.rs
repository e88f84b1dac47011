//! Every answer that Weir gives itself: status, headers, JSON in the shape of the caller's API.

use std::borrow::Cow;

use crate::host::Value;

/// A whole local answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(Cow<'static, str>, Value)>,
    pub body: Vec<u8>,
}
