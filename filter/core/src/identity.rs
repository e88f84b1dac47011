//! Who calls: headers, certificates and claims in, a [`Caller`] out. The first source for which the request carries
//! evidence gives all of user, groups and principal; evidence that is present and invalid is a refusal, never a reason to
//! ask the next source.

mod credential;
mod peer;

use crate::{
    caller::Caller,
    config::{Identity, Source},
    headers::Headers,
    host::Host,
};
use credential::Credential;

/// Why nobody is known: a sentence for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unauthenticated(pub &'static str);

/// Asks the sources in order. Every credential in the headers that some source reads must be valid, whoever is first.
pub fn resolve(identity: &Identity, headers: &Headers, host: &impl Host) -> Result<Caller, Unauthenticated> {
    let mut credential = Credential::read(identity, headers, host)?;
    for source in &identity.sources {
        let found = match source {
            Source::ApiKeys(_) => credential.take_key(),
            Source::Jwt(_) => credential.take_token(),
            Source::Mtls { attribute } => peer::certificate(attribute, host),
            Source::Workload { trust_domain } => peer::workload(trust_domain, host),
            Source::Header { user, groups, trusted_from } => {
                peer::vouched(headers, user, groups.as_deref(), trusted_from, host)?
            }
        };
        if let Some(mut caller) = found {
            add_static_groups(identity, &mut caller);
            return Ok(caller);
        }
    }
    if identity.allow_anonymous {
        return Ok(Caller::ANONYMOUS);
    }
    Err(Unauthenticated("the request does not say who calls: send an API key or a token that this gateway knows"))
}

fn add_static_groups(identity: &Identity, caller: &mut Caller) {
    for group in identity.groups_of.get(caller.name()).into_iter().flatten() {
        if !caller.groups.contains(group) {
            caller.groups.push(group.clone());
        }
    }
}

#[cfg(test)]
mod tests;
