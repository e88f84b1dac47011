//! The map of byte strings that all workers of one Envoy share.

/// The version of a shared value, as `proxy_get_shared_data` gives it. Never 0 for a value that exists.
pub type Cas = u32;

/// A compare-and-swap that lost: somebody else stored in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CasMismatch;

/// The map that all workers of one Envoy share. One operation is one `load` and one `store`.
pub trait SharedData {
    /// A shared value and its version; `None` where the key does not exist.
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)>;
    /// What this worker stored there last, and the version that it may still have: only for a store, which finds out. `None`: load.
    fn guess(&self, _key: &str) -> Option<(Vec<u8>, Cas)> {
        None
    }
    /// Stores `value` if the version still is `cas`.
    fn store(&self, key: &str, value: &[u8], cas: Cas) -> Result<(), CasMismatch>;
    /// Stores `value` if the key does not exist: of several that create it at once, one does.
    fn create(&self, key: &str, value: &[u8]) -> Result<(), CasMismatch>;
}
