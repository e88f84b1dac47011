//! A token as all workers share it: one value of the shared data for each grant, with who is fetching and how that went. One
//! worker at a time fetches, by compare-and-swap; a claim whose worker has died runs out.

use crate::shared::SharedData;

/// Times are milliseconds since the Unix epoch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// When somebody began to fetch; 0: nobody is at it.
    pub claimed_at: u64,
    /// Not again before.
    pub not_before: u64,
    /// In a row, up to now.
    pub failures: u32,
    pub renew_at: u64,
    pub expires_at: u64,
    /// Empty: there is none yet.
    pub token: String,
}

/// A fetch that has said nothing by then has died: a callout's own timeout is 10 s.
const CLAIM_MS: u64 = 15_000;
/// Waits after failures: doubled from the first to the last, each shortened by up to half at random.
const FIRST_BACKOFF_MS: u64 = 1_000;
const LAST_BACKOFF_MS: u64 = 60_000;
/// Of a token's life, in percent: then it is renewed.
const RENEWAL_PERCENT: u64 = 80;
/// Others store too: a fetch's outcome that loses this often is lost, and fetched again.
const MAX_TRIES: u32 = 20;

/// Creates the key where it is absent: at configure.
pub fn create_key(data: &impl SharedData, grant: &super::Grant) {
    // Another worker may have been first.
    data.create(&grant.shared_key(), Entry::default().write().as_bytes()).ok();
}

impl Entry {
    fn read(value: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(value).ok()?.split(' ');
        let mut next = || words.next()?.parse().ok();
        let (claimed_at, not_before, failures, renew_at, expires_at) = (next()?, next()?, next()?, next()?, next()?);
        let token = words.next()?.to_owned();
        let failures = u32::try_from(failures).unwrap_or(u32::MAX);
        Some(Self { claimed_at, not_before, failures, renew_at, expires_at, token })
    }

    fn write(&self) -> String {
        let Self { claimed_at, not_before, failures, renew_at, expires_at, token } = self;
        format!("{claimed_at} {not_before} {failures} {renew_at} {expires_at} {token}")
    }

    /// What all workers know.
    pub fn load(data: &impl SharedData, key: &str) -> Self {
        data.load(key).and_then(|(value, _)| Self::read(&value)).unwrap_or_default()
    }

    /// Whether this worker is the one to fetch now.
    pub fn claim(data: &impl SharedData, key: &str, now: u64) -> bool {
        let Some((value, cas)) = data.load(key) else { return false };
        let mut entry = Self::read(&value).unwrap_or_default();
        // A clock that stepped back must not make a claim last.
        let is_claimed = entry.claimed_at <= now && now.saturating_sub(entry.claimed_at) < CLAIM_MS;
        let is_early = now < entry.not_before && entry.not_before.saturating_sub(now) <= LAST_BACKOFF_MS;
        if is_claimed || is_early || now < entry.renew_at {
            return false;
        }
        entry.claimed_at = now;
        data.store(key, entry.write().as_bytes(), cas).is_ok()
    }

    /// A token that lives so long.
    pub fn succeed(data: &impl SharedData, key: &str, now: u64, token: &str, seconds: u64) {
        let life = seconds.saturating_mul(1000);
        change(data, key, |_| Self {
            renew_at: now.saturating_add(life.saturating_mul(RENEWAL_PERCENT) / 100),
            expires_at: now.saturating_add(life),
            token: token.to_owned(),
            ..Self::default()
        });
    }

    /// None: the old token stays as long as it lives. How long it will be until the next try, in milliseconds.
    pub fn fail(data: &impl SharedData, key: &str, now: u64, random: u64) -> u64 {
        let mut wait = 0;
        change(data, key, |before| {
            let longest = FIRST_BACKOFF_MS.saturating_mul(1 << before.failures.min(10)).min(LAST_BACKOFF_MS);
            wait = longest.saturating_sub(random % (longest / 2));
            Self {
                claimed_at: 0,
                not_before: now.saturating_add(wait),
                failures: before.failures.saturating_add(1),
                ..before
            }
        });
        wait
    }
}

fn change(data: &impl SharedData, key: &str, mut change: impl FnMut(Entry) -> Entry) {
    for _ in 0..MAX_TRIES {
        let Some((value, cas)) = data.load(key) else { return };
        let entry = change(Entry::read(&value).unwrap_or_default());
        if data.store(key, entry.write().as_bytes(), cas).is_ok() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::host::fake::FakeHost;

    /// 2026-11-22T00:00:00Z.
    const NOW: u64 = 1_795_305_600_000;

    #[test]
    fn one_worker_fetches_and_its_claim_runs_out() {
        let data = FakeHost::default();
        assert!(!Entry::claim(&data, "k", NOW), "the key is made at configure");
        data.create("k", Entry::default().write().as_bytes()).unwrap();
        assert!(Entry::claim(&data, "k", NOW));
        assert!(!Entry::claim(&data, "k", NOW + 14_999));
        assert!(Entry::claim(&data, "k", NOW + 15_000), "the first one died");
        assert!(Entry::claim(&data, "k", NOW - 99_000), "the clock stepped back");
        data.failing_stores.set(1);
        assert!(!Entry::claim(&data, "k", NOW + 99_000), "lost the race");
        data.data.borrow_mut().insert("k".into(), (b"\xff".to_vec(), 1));
        assert!(Entry::claim(&data, "k", NOW));
    }

    #[test]
    fn a_token_is_renewed_at_80_percent_of_its_life() {
        let data = FakeHost::default();
        data.create("k", b"").unwrap();
        Entry::succeed(&data, "k", NOW, "t", 10);
        let entry = Entry { renew_at: NOW + 8_000, expires_at: NOW + 10_000, token: "t".into(), ..Entry::default() };
        assert_eq!(Entry::load(&data, "k"), entry);
        assert!(!Entry::claim(&data, "k", NOW + 7_999));
        assert!(Entry::claim(&data, "k", NOW + 8_000));
    }

    #[test]
    fn failures_wait_longer_each_and_keep_the_token() {
        let data = FakeHost::default();
        data.create("k", b"").unwrap();
        Entry::succeed(&data, "k", NOW, "t", 1);
        let now = NOW + 800;
        let waits: Vec<u64> = (0..12).map(|_| Entry::fail(&data, "k", now, 0)).collect();
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000, 60_000, 60_000]);
        assert_eq!(Entry::fail(&data, "k", now, 29_999), 30_001, "shortened by up to half");
        let entry = Entry::load(&data, "k");
        assert_eq!((entry.token.as_str(), entry.failures, entry.not_before), ("t", 13, now + 30_001));
        assert!(!Entry::claim(&data, "k", now + 30_000));
        assert!(Entry::claim(&data, "k", now + 30_001));
        Entry::succeed(&data, "k", now, "u", 1);
        assert_eq!(Entry::load(&data, "k").failures, 0);
    }
}
