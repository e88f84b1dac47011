//! The VM's environment: the variables that secrets name.

use std::{cell::RefCell, collections::HashSet};

/// How the VM's environment variables are looked up.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// What a secret without a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingSecrets {
    /// In the filter.
    Error,
    /// Where no request is served: the secret is empty then.
    Warn,
}

/// Where secrets come from, and which variables were asked for.
pub(super) struct Variables<'a> {
    environment: &'a Environment<'a>,
    pub missing: MissingSecrets,
    named: RefCell<Named>,
}

#[derive(Default)]
struct Named {
    ordered: Vec<String>,
    seen: HashSet<String>,
}

impl<'a> Variables<'a> {
    pub fn new(environment: &'a Environment<'a>, missing: MissingSecrets) -> Self {
        Self { environment, missing, named: RefCell::default() }
    }

    /// Every variable that a reference has named, in order, each once.
    pub fn into_variables(self) -> Vec<String> {
        self.named.into_inner().ordered
    }

    pub fn resolve(&self, variable: String) -> Option<String> {
        let value = (self.environment)(&variable).filter(|value| !value.is_empty());
        let mut named = self.named.borrow_mut();
        if named.seen.insert(variable.clone()) {
            named.ordered.push(variable);
        }
        value
    }
}
