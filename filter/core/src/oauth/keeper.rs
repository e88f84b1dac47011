//! Keeps the tokens of a configuration in one worker: on every tick it says what to POST, and hears what came of it. While all
//! tokens are fresh it asks the host for nothing but the time.

use std::rc::Rc;

use super::{Grant, Held, given, shared::Entry};
use crate::{
    config::{Config, Credential, Secret},
    gateway::Gateway,
    host::Host,
    post::Post,
};

/// How often [`Keeper::tick`] wants to be called: a worker that does not fetch itself has the new token so soon.
pub const TICK_MS: u64 = 100;
/// Of a token server's answer no more is read: tokens with many claims have some 8 KB.
pub const MAX_ANSWER: usize = 64 << 10;

/// See the module.
#[derive(Debug)]
pub struct Keeper {
    gateway: Rc<Gateway>,
    /// Of each grant, in the order of [`grants`].
    states: Vec<State>,
}

#[derive(Debug)]
struct State {
    key: String,
    is_failing: bool,
}

/// A POST for the grant with this number.
#[derive(Debug)]
pub struct Fetch {
    pub grant: usize,
    pub post: Post,
}

/// All that must be fetched, in the order of the policy.
pub fn grants(config: &Config) -> impl Iterator<Item = &Grant> {
    let entities = config.endpoints.iter().flat_map(|endpoint| &endpoint.entities);
    entities.filter_map(|entity| match &entity.credential {
        Credential::Fetched(grant) => Some(&**grant),
        _ => None,
    })
}

impl Keeper {
    /// `None` where nothing must be fetched.
    pub fn new(gateway: Rc<Gateway>) -> Option<Self> {
        let state = |grant: &Grant| State { key: grant.shared_key(), is_failing: false };
        let states: Vec<State> = grants(&gateway.config).map(state).collect();
        (!states.is_empty()).then_some(Self { gateway, states })
    }

    /// What to POST now. Tokens that another worker has fetched are taken over.
    pub fn tick(&mut self, host: &impl Host) -> Vec<Fetch> {
        let now = host.now();
        let mut fetches = Vec::new();
        let grants = grants(&self.gateway.config).zip(&mut self.states).enumerate();
        for (number, (grant, state)) in grants {
            if grant.held.borrow().as_ref().is_some_and(|held| now < held.renew_at) {
                continue;
            }
            let entry = Entry::load(host, &state.key);
            state.is_failing = entry.failures > 0;
            hold(grant, &entry);
            if now / 1_000_000 >= entry.renew_at && Entry::claim(host, &state.key, now / 1_000_000) {
                fetches.extend(grant.post(now).map(|post| Fetch { grant: number, post }));
            }
        }
        fetches
    }

    /// What came of a [`Fetch`]: the answer's status and body, or `None` without an answer. A line for the log where there is
    /// no token.
    pub fn answered(&mut self, grant: usize, status: Option<u16>, body: &[u8], host: &impl Host) -> Option<String> {
        let state = self.states.get_mut(grant)?;
        let grant = grants(&self.gateway.config).nth(grant)?;
        let now = host.now();
        match given(status, body) {
            Ok(given) => {
                Entry::succeed(host, &state.key, now / 1_000_000, &given.token, given.seconds);
                state.is_failing = false;
                hold(grant, &Entry::load(host, &state.key));
                None
            }
            Err(why) => {
                let wait_ms = Entry::fail(host, &state.key, now / 1_000_000, host.random());
                state.is_failing = true;
                let left = match grant.is_ready(now) {
                    true => "the old one is still good",
                    false => "no request can be sent there",
                };
                let Grant { name, .. } = grant;
                Some(format!("no token for {name}: {why}; {left}; next try in {wait_ms} ms"))
            }
        }
    }

    /// Grants whose last fetch failed: for the gauge.
    pub fn failing(&self) -> u64 {
        self.states.iter().filter(|state| state.is_failing).count() as u64
    }
}

fn hold(grant: &Grant, entry: &Entry) {
    if entry.token.is_empty() {
        return;
    }
    *grant.held.borrow_mut() = Some(Held {
        authorization: Secret::new(format!("Bearer {}", entry.token)),
        renew_at: entry.renew_at.saturating_mul(1_000_000),
        expires_at: entry.expires_at.saturating_mul(1_000_000),
    });
}

#[cfg(test)]
mod tests;
