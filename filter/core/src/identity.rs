//! Who calls: headers, certificates and claims in, a [`Caller`] out.

use crate::config::Principal;

/// Who calls, from one source; static groups added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub principal: Principal,
    pub groups: Vec<String>,
}
