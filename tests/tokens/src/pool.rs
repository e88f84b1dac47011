//! A pool of bytes in which every one of some strings stands somewhere: much shorter than all of them in a row, since
//! strings stand within others and begin as others end.

use std::collections::{HashMap, HashSet};

/// The shortest pool that a greedy search finds: the longest overlaps first.
pub fn build(strings: &[&[u8]]) -> Vec<u8> {
    let alone = without_inner(strings);
    let mut next: Vec<Option<(usize, usize)>> = vec![None; alone.len()];
    let mut has_previous = vec![false; alone.len()];
    let mut chain: Vec<usize> = (0..alone.len()).collect();
    let longest = alone.iter().map(|string| string.len()).max().unwrap_or(0);
    for overlap in (1..longest).rev() {
        let mut by_prefix: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (index, string) in alone.iter().enumerate() {
            if !has_previous[index] && string.len() > overlap {
                by_prefix.entry(&string[..overlap]).or_default().push(index);
            }
        }
        for (index, string) in alone.iter().enumerate() {
            if next[index].is_some() || string.len() <= overlap {
                continue;
            }
            let Some(candidates) = by_prefix.get_mut(&string[string.len() - overlap..]) else { continue };
            let own = root(&mut chain, index);
            let Some(at) = candidates.iter().rposition(|other| root(&mut chain, *other) != own) else { continue };
            let other = candidates.remove(at);
            next[index] = Some((other, overlap));
            has_previous[other] = true;
            let other = root(&mut chain, other);
            chain[other] = own;
        }
    }
    let mut pool = Vec::new();
    for first in (0..alone.len()).filter(|index| !has_previous[*index]) {
        pool.extend_from_slice(alone[first]);
        let mut at = first;
        while let Some((index, overlap)) = next[at] {
            pool.extend_from_slice(&alone[index][overlap..]);
            at = index;
        }
    }
    pool
}

/// Where each of the strings stands in the pool.
pub fn offsets(pool: &[u8], strings: &[&[u8]]) -> Vec<usize> {
    let wanted: HashSet<&[u8]> = strings.iter().copied().collect();
    let mut found = HashMap::new();
    let lengths: HashSet<usize> = strings.iter().map(|string| string.len()).collect();
    for length in lengths {
        for (offset, window) in pool.windows(length).enumerate() {
            if wanted.contains(window) {
                found.entry(window).or_insert(offset);
            }
        }
    }
    strings.iter().map(|string| found[string]).collect()
}

/// Strings that stand within no other one.
fn without_inner<'a>(strings: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut sorted = strings.to_vec();
    sorted.sort_by_key(|string| std::cmp::Reverse(string.len()));
    let mut inner: HashSet<&[u8]> = HashSet::new();
    let mut alone = Vec::new();
    for string in sorted {
        if inner.contains(string) {
            continue;
        }
        alone.push(string);
        for start in 0..string.len() {
            for end in start + 1..=string.len() {
                inner.insert(&string[start..end]);
            }
        }
    }
    alone
}

/// The chain that a string belongs to.
fn root(chain: &mut [usize], mut index: usize) -> usize {
    while chain[index] != index {
        chain[index] = chain[chain[index]];
        index = chain[index];
    }
    index
}
