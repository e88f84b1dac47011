//! Counters in shared data: what applies goes in, a verdict comes out, and only what is admitted is charged. One round is
//! a load and a compare-and-swap of each key that holds something. Must never admit on a value that somebody else has
//! changed meanwhile, and never try without a bound.

use super::{
    Admission, Charge, Contended, Tokens, Unit,
    compile::{Counter, Held, Place},
    packed::Packed,
    slots, standing,
};
use crate::host::{Cas, SharedData};

/// How often a compare-and-swap is tried. Who loses one lost it to somebody who got through, within the few microseconds
/// between load and store: eight workers on one counter never took more than four tries, and Istio's local rate limit
/// stops at 20 as well.
pub const MAX_TRIES: usize = 20;

/// How many counters an endpoint's value holds at most (32 KiB): its own are at most 80 (20 limits of 4 units), the rest
/// is room for those of configurations before, until nothing of them counts.
pub const ENDPOINT_CAPACITY: usize = 1_024;

/// The two keys of one exchange, and the moment.
pub(super) struct Ledger<'a, D> {
    pub data: &'a D,
    pub now_ms: u64,
    pub endpoint_key: &'a str,
    /// `None` for a caller without counters of his own.
    pub slot_key: Option<&'a str>,
}

/// One key's counters, and the version they were loaded at.
struct Loaded {
    packed: Packed,
    cas: Cas,
}

impl<D: SharedData> Ledger<'_, D> {
    /// Both keys are checked first. Then the caller's slot is charged, and the endpoint's value after it: what has to be
    /// rolled back is the caller's own, where nobody else can be refused for it.
    pub fn admit(&self, mut counters: Vec<Held>) -> Admission {
        for _ in 0..MAX_TRIES {
            let Ok(slot) = self.look(Place::Caller, &mut counters) else { return Admission::Contended };
            let Ok(endpoint) = self.look(Place::Endpoint, &mut counters) else { return Admission::Contended };
            if let Some(refusal) = standing::refusal(&counters, self.now_ms) {
                self.mend(Place::Caller, slot);
                self.mend(Place::Endpoint, endpoint);
                return Admission::Refused(refusal);
            }
            if self.add(Place::Caller, slot, &counters, call).is_ok() {
                return self.admit_at_endpoint(endpoint, counters);
            }
        }
        Admission::Contended
    }

    /// The slot is charged; `counters` have the windows from before.
    fn admit_at_endpoint(&self, mut endpoint: Option<Loaded>, mut counters: Vec<Held>) -> Admission {
        for _ in 0..MAX_TRIES {
            if self.add(Place::Endpoint, endpoint, &counters, call).is_ok() {
                return Admission::Admitted(self.charge(counters));
            }
            endpoint = match self.look(Place::Endpoint, &mut counters) {
                Ok(endpoint) => endpoint,
                Err(Contended) => break,
            };
            if let Some(refusal) = standing::refusal(&counters, self.now_ms) {
                self.roll_back(&counters);
                return Admission::Refused(refusal);
            }
        }
        self.roll_back(&counters);
        Admission::Contended
    }

    /// Adds what an answer used, the caller's counters first. A key that runs out of tries does not keep the other one
    /// from being charged.
    pub fn settle(&self, counters: &[Held], used: Tokens) -> Result<(), Contended> {
        let amount = |counter: &Counter| match counter.unit {
            Unit::Calls => 0,
            Unit::Tokens => used.input.saturating_add(used.output),
            Unit::InputTokens => used.input,
            Unit::OutputTokens => used.output,
        };
        let at_caller = self.settle_at(Place::Caller, counters, amount);
        let at_endpoint = self.settle_at(Place::Endpoint, counters, amount);
        at_caller.and(at_endpoint)
    }

    fn settle_at(&self, place: Place, counters: &[Held], amount: impl Fn(&Counter) -> u64) -> Result<(), Contended> {
        if !charges(place, counters, &amount) {
            return Ok(());
        }
        for _ in 0..MAX_TRIES {
            let loaded = self.load(place)?;
            if self.add(place, Some(loaded), counters, &amount).is_ok() {
                return Ok(());
            }
        }
        Err(Contended)
    }

    /// Takes the call back from the caller's slot. Where even that runs out of tries, his own counters stay one too high
    /// until the period has passed: he may be refused a call early, but never is one admitted too many.
    fn roll_back(&self, counters: &[Held]) {
        if !charges(Place::Caller, counters, call) {
            return;
        }
        for _ in 0..MAX_TRIES {
            let Ok(mut loaded) = self.load(Place::Caller) else { return };
            for Held { counter, window } in counters.iter().filter(|held| held.counter.place == Place::Caller) {
                let start_ms = window.at(self.now_ms, counter.period.millis()).start_ms;
                loaded.packed.give_back(counter.tag, counter.period, start_ms, charged(counter, call));
            }
            if self.store(Place::Caller, loaded).is_ok() {
                return;
            }
        }
    }

    /// Loads a key, if some counter lies there, and brings its windows into `counters`.
    fn look(&self, place: Place, counters: &mut [Held]) -> Result<Option<Loaded>, Contended> {
        if !counters.iter().any(|held| held.counter.place == place) {
            return Ok(None);
        }
        let loaded = self.load(place)?;
        for held in counters.iter_mut().filter(|held| held.counter.place == place) {
            held.window = loaded.packed.window(held.counter.tag);
        }
        Ok(Some(loaded))
    }

    /// Adds to each counter of a key and stores it; stores nothing where nothing is added.
    fn add(
        &self,
        place: Place,
        loaded: Option<Loaded>,
        counters: &[Held],
        amount: impl Fn(&Counter) -> u64,
    ) -> Result<(), Contended> {
        let Some(mut loaded) = loaded.filter(|_| charges(place, counters, &amount)) else { return Ok(()) };
        let capacity = match place {
            Place::Caller => slots::SLOT_CAPACITY,
            Place::Endpoint => ENDPOINT_CAPACITY,
        };
        for Held { counter, .. } in counters.iter().filter(|held| held.counter.place == place) {
            let amount = charged(counter, &amount);
            if amount > 0 {
                loaded.packed.charge(counter.tag, counter.period, self.now_ms, amount, capacity);
            }
        }
        self.store(place, loaded)
    }

    /// A refusal charges nothing and so stores nothing, but windows that began in a far future must not stay there. Best
    /// effort: who loses leaves it to the next one.
    fn mend(&self, place: Place, loaded: Option<Loaded>) {
        if let Some(loaded) = loaded.filter(|loaded| loaded.packed.mended()) {
            let _ = self.store(place, loaded);
        }
    }

    /// A key that does not exist is created at configure, never here, where two creators would wipe each other.
    fn load(&self, place: Place) -> Result<Loaded, Contended> {
        let key = self.key(place).ok_or(Contended)?;
        let (bytes, cas) = self.data.load(key).ok_or(Contended)?;
        Ok(Loaded { packed: Packed::read(&bytes, self.now_ms), cas })
    }

    fn store(&self, place: Place, loaded: Loaded) -> Result<(), Contended> {
        let key = self.key(place).ok_or(Contended)?;
        self.data.store(key, &loaded.packed.write(self.now_ms), loaded.cas).map_err(|_| Contended)
    }

    fn key(&self, place: Place) -> Option<&str> {
        match place {
            Place::Caller => self.slot_key,
            Place::Endpoint => Some(self.endpoint_key),
        }
    }

    fn charge(&self, mut counters: Vec<Held>) -> Charge {
        for Held { counter, window } in &mut counters {
            *window = window.charged(self.now_ms, counter.period.millis(), call(counter));
        }
        let (requests, tokens) = (standing::requests(&counters, self.now_ms), standing::tokens(&counters, self.now_ms));
        Charge { counters, slot_key: self.slot_key.map(str::to_string), requests, tokens }
    }
}

/// What an admission adds.
fn call(counter: &Counter) -> u64 {
    u64::from(counter.unit == Unit::Calls)
}

/// A counter that repeats an earlier one is charged there.
fn charged(counter: &Counter, amount: impl Fn(&Counter) -> u64) -> u64 {
    if counter.repeats { 0 } else { amount(counter) }
}

fn charges(place: Place, counters: &[Held], amount: impl Fn(&Counter) -> u64) -> bool {
    counters.iter().any(|held| held.counter.place == place && charged(&held.counter, &amount) > 0)
}
