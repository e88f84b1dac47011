//! A perfect hash in the manner of PTHash: hashes in, a pilot for each bucket and a slot for each hash out.

use weir_core::tokens::hash::{bucket, slot};

pub struct PerfectHash {
    pub pilots: Vec<u16>,
    /// The slot of each hash, in the order that they were given.
    pub slot_of: Vec<usize>,
    pub slots: usize,
}

impl PerfectHash {
    pub fn pilot_bytes(&self) -> Vec<u8> {
        self.pilots.iter().flat_map(|pilot| pilot.to_le_bytes()).collect()
    }
}

/// Keys for each bucket, on average: fewer make pilots easier to find, and more of them.
const PER_BUCKET: f64 = 5.0;
/// Slots filled.
const LOAD: f64 = 0.98;

/// Large buckets first, while there is room. All `hashes` must differ.
pub fn build(hashes: &[u64]) -> PerfectHash {
    let buckets = (hashes.len() as f64 / PER_BUCKET) as usize;
    let slots = (hashes.len() as f64 / LOAD) as usize;
    let mut members = vec![Vec::new(); buckets];
    for (index, hash) in hashes.iter().enumerate() {
        members[bucket(*hash, buckets)].push(index);
    }
    let mut order: Vec<usize> = (0..buckets).collect();
    order.sort_by_key(|bucket| std::cmp::Reverse(members[*bucket].len()));
    let mut pilots = vec![0u16; buckets];
    let mut taken = vec![false; slots];
    let mut slot_of = vec![0; hashes.len()];
    for bucket in order {
        let places = |pilot: u16| -> Option<Vec<usize>> {
            let mut places: Vec<usize> =
                members[bucket].iter().map(|index| slot(hashes[*index], pilot, slots)).collect();
            let free = places.iter().all(|place| !taken[*place]);
            let found = places.clone();
            places.sort_unstable();
            places.dedup();
            (free && places.len() == found.len()).then_some(found)
        };
        let (pilot, places) = (0..=u16::MAX).find_map(|pilot| Some((pilot, places(pilot)?))).unwrap_or_else(|| {
            panic!("no pilot fits a bucket of {}: change LOAD or PER_BUCKET", members[bucket].len())
        });
        pilots[bucket] = pilot;
        for (index, place) in members[bucket].iter().zip(places) {
            taken[place] = true;
            slot_of[*index] = place;
        }
    }
    PerfectHash { pilots, slot_of, slots }
}
