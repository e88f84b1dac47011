//! Shared data for tests: loses the next stores on demand, and runs a competitor between a load and its store.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use crate::host::{Cas, CasMismatch, SharedData};

/// Runs right before a store of this key is compared.
pub type Competitor = Rc<dyn Fn(&FakeSharedData, &str)>;

#[derive(Default)]
pub struct FakeSharedData {
    values: RefCell<BTreeMap<String, (Vec<u8>, Cas)>>,
    last_cas: Cell<Cas>,
    /// How many of the next stores lose, of keys that start with the text.
    lose: RefCell<(usize, &'static str)>,
    competitor: RefCell<Option<Competitor>>,
    loads: Cell<usize>,
    stores: Cell<usize>,
}

impl FakeSharedData {
    /// The next `stores` of keys that start with `prefix` find that somebody else has stored.
    pub fn lose(&self, stores: usize, prefix: &'static str) {
        *self.lose.borrow_mut() = (stores, prefix);
    }

    pub fn compete(&self, competitor: impl Fn(&FakeSharedData, &str) + 'static) {
        *self.competitor.borrow_mut() = Some(Rc::new(competitor));
    }

    /// All values, without their versions.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        self.values.borrow().iter().map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }

    /// Nothing where there is no such key.
    pub fn contents_of(&self, key: &str) -> Vec<u8> {
        self.values.borrow().get(key).map(|(value, _)| value.clone()).unwrap_or_default()
    }

    /// Overwrites one.
    pub fn put(&self, key: &str, value: &[u8]) {
        self.last_cas.set(self.last_cas.get() + 1);
        self.values.borrow_mut().insert(key.to_string(), (value.to_vec(), self.last_cas.get()));
    }

    /// Loads and stores since the last call.
    pub fn traffic(&self) -> (usize, usize) {
        (self.loads.take(), self.stores.take())
    }
}

impl SharedData for FakeSharedData {
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        self.loads.set(self.loads.get() + 1);
        self.values.borrow().get(key).cloned()
    }

    fn store(&self, key: &str, value: &[u8], cas: Cas) -> Result<(), CasMismatch> {
        self.stores.set(self.stores.get() + 1);
        let competitor = self.competitor.borrow().clone();
        if let Some(competitor) = competitor {
            competitor(self, key);
        }
        {
            let mut lose = self.lose.borrow_mut();
            if lose.0 > 0 && key.starts_with(lose.1) {
                lose.0 -= 1;
                return Err(CasMismatch);
            }
        }
        // As Envoy's: where there is no such key, the version does not matter. 0 stands for a creation's, which loses.
        if self.values.borrow().get(key).is_some_and(|(_, current)| *current != cas) {
            return Err(CasMismatch);
        }
        self.put(key, value);
        Ok(())
    }

    fn create(&self, key: &str, value: &[u8]) -> Result<(), CasMismatch> {
        self.store(key, value, 0)
    }
}
