//! Counters in shared data: what applies goes in, a verdict comes out, and only what is admitted is charged. One round is
//! a load (or a guess of what it would show) and a compare-and-swap of each key that holds something. Must never admit on a value that somebody else has
//! changed meanwhile, and never try without a bound.

use std::cell::Cell;

use super::{
    Admission, Charge, Contended, Tokens, Unit,
    compile::{Held, Place},
    packed::{Packed, Room},
    slots::{self, Changed},
    standing,
};
use crate::shared::{Cas, SharedData};

/// How often a compare-and-swap is tried. Who loses one lost it to somebody who got through, within the few microseconds
/// between load and store: eight workers on one counter never took more than four tries, and Istio's local rate limit
/// stops at 20 as well.
pub const MAX_TRIES: usize = 20;

/// An endpoint's value: its own counters are at most 100 (20 limits of 5 units), the rest is room for those of configurations
/// before, until nothing of them counts.
pub const ENDPOINT_ROOM: Room = Room { most: 32_768, sizes: &[] };

/// The two keys of one exchange, and the moment.
pub(super) struct Ledger<'a, D> {
    pub data: &'a D,
    pub now_ms: u64,
    pub endpoint_key: &'a str,
    /// `None` for a caller without counters of his own.
    pub slot_key: Option<&'a str>,
    /// What was stored in the slots so far.
    pub changed: Cell<Changed>,
}

/// One key's counters, and the version they were loaded at; `None`: there is no such key yet.
struct Loaded {
    packed: Packed,
    cas: Option<Cas>,
    /// How many counters there were.
    held: usize,
    /// What this worker stored last: a store may find that somebody else has stored since.
    is_guess: bool,
}

/// What becomes of one counter in a round.
type Write<'w> = &'w dyn Fn(&mut Packed, &Held);

impl<D: SharedData> Ledger<'_, D> {
    /// Both keys are checked first. Then the caller's slot is charged, and the endpoint's value after it: what has to be
    /// rolled back is the caller's own, where nobody else can be refused for it.
    pub fn admit(&self, mut counters: Vec<Held>) -> Admission {
        let mut may_guess = true;
        for _ in 0..MAX_TRIES {
            let slot = self.look(Place::Caller, &mut counters, may_guess);
            let endpoint = self.look(Place::Endpoint, &mut counters, may_guess);
            may_guess = false;
            if let Some(refusal) = standing::refusal(&counters, self.now_ms) {
                // Nothing is stored that would make sure of a guess.
                if [&slot, &endpoint].into_iter().flatten().any(|loaded| loaded.is_guess) {
                    continue;
                }
                self.mend(Place::Caller, slot);
                self.mend(Place::Endpoint, endpoint);
                return Admission::Refused(refusal);
            }
            if self.charge(Place::Caller, slot, &counters).is_ok() {
                return self.admit_at_endpoint(endpoint, counters);
            }
        }
        Admission::Contended
    }

    /// The slot is charged; `counters` have the windows from before.
    fn admit_at_endpoint(&self, mut endpoint: Option<Loaded>, mut counters: Vec<Held>) -> Admission {
        for _ in 0..MAX_TRIES {
            if self.charge(Place::Endpoint, endpoint, &counters).is_ok() {
                return Admission::Admitted(self.charged(counters));
            }
            endpoint = self.look(Place::Endpoint, &mut counters, false);
            if let Some(refusal) = standing::refusal(&counters, self.now_ms) {
                self.roll_back(&counters);
                return Admission::Refused(refusal);
            }
        }
        self.roll_back(&counters);
        Admission::Contended
    }

    /// Adds what an answer used to the period that holds this moment, or puts it in the place of what was reserved. The
    /// caller's counters first; a key that runs out of tries does not keep the other one from being charged.
    pub fn settle(&self, counters: &[Held], used: Tokens, reserved: bool) -> Result<(), Contended> {
        let actual = |held: &Held| used.amount(held.counter.unit, held.counter.cached_input_weight);
        let concerned = |held: &Held| held.counter.unit != Unit::Calls && actual(held) != held.charged;
        let write = |packed: &mut Packed, held: &Held| {
            let Held { counter, charged, window, .. } = held;
            // What reserved nothing wrote nothing: there may be no window of its admission.
            if reserved && *charged > 0 {
                packed.true_up(counter.tag, counter.period, window.start_ms, *charged, actual(held));
            } else {
                packed.charge(counter.tag, counter.period, self.now_ms, actual(held));
            }
        };
        let at_caller = self.rounds(Place::Caller, counters, &concerned, &write);
        let at_endpoint = self.rounds(Place::Endpoint, counters, &concerned, &write);
        at_caller.and(at_endpoint)
    }

    /// Takes what was charged back from the caller's slot. Where even that runs out of tries, his own counters stay too
    /// high until the period has passed: he may be refused early, but never is one admitted too many.
    fn roll_back(&self, counters: &[Held]) {
        let write = |packed: &mut Packed, held: &Held| {
            let Held { counter, charged, window, .. } = held;
            let start_ms = window.at(self.now_ms, counter.period).start_ms;
            packed.true_up(counter.tag, counter.period, start_ms, *charged, 0);
        };
        let _ = self.rounds(Place::Caller, counters, &|held| held.charged > 0, &write);
    }

    /// Loads a key, if some counter lies there, and brings its windows into `counters`. Guesses it at most where the charge will
    /// store it.
    fn look(&self, place: Place, counters: &mut [Held], may_guess: bool) -> Option<Loaded> {
        if !counters.iter().any(|held| held.counter.place == place) {
            return None;
        }
        let may_guess = may_guess && concerns(place, counters, &|held| held.charged > 0);
        let loaded = self.load(place, may_guess)?;
        for held in counters.iter_mut().filter(|held| held.counter.place == place) {
            held.window = loaded.packed.window(held.counter.tag);
        }
        Some(loaded)
    }

    /// Brings the windows of all into `counters`.
    pub fn look_at_all(&self, counters: &mut [Held]) {
        self.look(Place::Caller, counters, false);
        self.look(Place::Endpoint, counters, false);
    }

    /// One try to charge a key as loaded.
    fn charge(&self, place: Place, loaded: Option<Loaded>, counters: &[Held]) -> Result<(), Contended> {
        let concerned = |held: &Held| held.charged > 0;
        let (Some(loaded), true) = (loaded, concerns(place, counters, &concerned)) else { return Ok(()) };
        self.write(place, loaded, counters, &concerned, &|packed, held| {
            packed.charge(held.counter.tag, held.counter.period, self.now_ms, held.charged);
        })
    }

    /// Loads, writes and stores a key, again until it is stored; nothing where no counter of it is concerned.
    fn rounds(
        &self,
        place: Place,
        counters: &[Held],
        concerned: &dyn Fn(&Held) -> bool,
        write: Write<'_>,
    ) -> Result<(), Contended> {
        if !concerns(place, counters, concerned) {
            return Ok(());
        }
        for tried in 0..MAX_TRIES {
            let loaded = self.load(place, tried == 0).ok_or(Contended)?;
            if self.write(place, loaded, counters, concerned, write).is_ok() {
                return Ok(());
            }
        }
        Err(Contended)
    }

    fn write(
        &self,
        place: Place,
        mut loaded: Loaded,
        counters: &[Held],
        concerned: &dyn Fn(&Held) -> bool,
        write: Write<'_>,
    ) -> Result<(), Contended> {
        for held in counters.iter().filter(|held| is_written(held, place) && concerned(held)) {
            write(&mut loaded.packed, held);
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

    /// `None` only where there is no such key in this exchange.
    fn load(&self, place: Place, may_guess: bool) -> Option<Loaded> {
        let key = self.key(place)?;
        let guess = if may_guess { self.data.guess(key) } else { None };
        let is_guess = guess.is_some();
        Some(match guess.or_else(|| self.data.load(key)) {
            Some((bytes, cas)) => {
                let packed = Packed::read(&bytes, self.now_ms);
                Loaded { held: packed.len(), packed, cas: Some(cas), is_guess }
            }
            None => Loaded { packed: Packed::default(), cas: None, held: 0, is_guess },
        })
    }

    fn store(&self, place: Place, loaded: Loaded) -> Result<(), Contended> {
        let key = self.key(place).ok_or(Contended)?;
        let Loaded { mut packed, cas, held, .. } = loaded;
        let room = match place {
            Place::Caller => slots::SLOT_ROOM,
            Place::Endpoint => ENDPOINT_ROOM,
        };
        let bytes = packed.write(self.now_ms, room);
        let stored = match cas {
            Some(cas) => self.data.store(key, &bytes, cas),
            None => self.data.create(key, &bytes),
        };
        stored.map_err(|_| Contended)?;
        if place == Place::Caller {
            let Changed { held: before, evicted: gone } = self.changed.get();
            let more = i64::try_from(packed.len()).unwrap_or(0).saturating_sub(i64::try_from(held).unwrap_or(0));
            self.changed
                .set(Changed { held: before.saturating_add(more), evicted: gone.saturating_add(packed.evicted()) });
        }
        Ok(())
    }

    fn key(&self, place: Place) -> Option<&str> {
        match place {
            Place::Caller => self.slot_key,
            Place::Endpoint => Some(self.endpoint_key),
        }
    }

    fn charged(&self, mut counters: Vec<Held>) -> Charge {
        let would_limit = standing::would_refuse(&counters, self.now_ms);
        for Held { counter, charged, window, .. } in &mut counters {
            *window = window.charged(self.now_ms, counter.period, *charged);
        }
        let (requests, tokens) = standing::headers(&counters, self.now_ms);
        Charge { counters, slot_key: None, requests, tokens, would_limit, reserved: false, shared: false }
    }
}

/// A counter that repeats an earlier one is charged there.
fn is_written(held: &Held, place: Place) -> bool {
    held.counter.place == place && !held.counter.repeats
}

fn concerns(place: Place, counters: &[Held], concerned: &dyn Fn(&Held) -> bool) -> bool {
    counters.iter().any(|held| is_written(held, place) && concerned(held))
}
