//! Who calls: what identity finds, and what permissions, limits and records go by.

/// Who calls, from one source; static groups added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub principal: Principal,
    pub groups: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    User(String),
    ServicePrincipal(String),
    Anonymous,
}

impl Caller {
    pub const ANONYMOUS: Self = Self { principal: Principal::Anonymous, groups: Vec::new() };

    /// The name for records and messages.
    pub fn name(&self) -> &str {
        match &self.principal {
            Principal::User(name) | Principal::ServicePrincipal(name) => name,
            Principal::Anonymous => "anonymous",
        }
    }
}
