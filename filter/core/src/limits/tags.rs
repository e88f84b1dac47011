//! The hashes that find a counter: what a counter is of goes in, 64 bits come out, the same in every worker, after every
//! reload and in every build. Must never depend on a limit's number, position or name: a count outlives those.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::{Limit, LimitKey, Unit, amount::Weight};
use crate::caller::Principal;

/// Whose counters lie in a slot: one hash of the caller's name, made once per admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject(u64);

impl Subject {
    pub fn of(principal: &Principal) -> Self {
        Self(match principal {
            Principal::User(name) => hash(&[b"subject.user", name.as_bytes()]),
            Principal::Anonymous => hash(&[b"subject.anonymous"]),
            Principal::ServicePrincipal(name) => hash(&[b"subject.service_principal", name.as_bytes()]),
        })
    }

    /// A number that decides which slot holds this subject's counters.
    pub fn spread(self) -> u64 {
        self.0
    }

    /// A counter's own tag, from what [`of_counter`] gave for a limit of users. One-to-one in the subject, so that two
    /// users meet in a counter only where their hashes are equal.
    pub fn tag(self, partial: u64) -> u64 {
        partial ^ self.0
    }
}

/// The tag of the counter that holds `unit` of a limit; where each caller has his own, the part of it that all share.
/// `key: user` with and without a principal give the same, so that a user who gets a limit of his own keeps his count.
/// What changes the meaning of a count is in here, where it is not the default: else every count would begin anew.
pub fn of_counter(endpoint: &str, limit: &Limit, unit: Unit) -> u64 {
    let (kind, principal): (&[u8], &str) = match &limit.key {
        LimitKey::Endpoint => (b"endpoint", ""),
        LimitKey::EachUser | LimitKey::User(_) => (b"user", ""),
        LimitKey::ServicePrincipal(name) => (b"service_principal", name),
        LimitKey::UserGroup(name) => (b"user_group", name),
        LimitKey::EachMember(name) => (b"user_group.member", name),
    };
    let (unit_name, period) = (unit.name().as_bytes(), limit.period.millis().to_le_bytes());
    let parts: [&[u8]; 6] = [b"counter", endpoint.as_bytes(), kind, principal.as_bytes(), unit_name, &period];
    match limit.cached_input_weight {
        weight if weight == Weight::FULL || !unit.has_input() => hash(&parts),
        Weight(weight) => {
            let [a, b, c, d, e, f] = parts;
            hash(&[a, b, c, d, e, f, b"cached_input_weight", &weight.to_le_bytes()])
        }
    }
}

/// SipHash-1-3 with fixed keys: workers and reloads must agree, so the keys are no secret. Names chosen to collide cost
/// 2^64 tries against a given victim. Each part is preceded by its length, so that no two lists of parts run together.
/// Bytes only: `Hash` for `str` and `usize` differ between targets and may differ between Rust's versions.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x7765_6972_2e6c_696d, 0x6974_732e_7461_6773);
    for part in parts {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    hasher.finish()
}
