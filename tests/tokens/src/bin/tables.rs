//! Makes the static tables of `filter/core/src/tokens/o200k`: the official rank file in, the tables out.
//!
//! Usage: tables RANKFILE FOLDER

use std::{collections::HashMap, fs, path::Path};

use regex_syntax::hir::{Class, HirKind};
use weir_core::tokens::{hash, tables::MAX_PIECE};
use weir_tokens::{perfect_hash, pool, ranks::Ranks};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [ranks, folder] = arguments.as_slice() else { panic!("usage: tables RANKFILE FOLDER") };
    let ranks = Ranks::read(Path::new(ranks));
    let write = |name: &str, bytes: Vec<u8>| {
        println!("{:8} {name}", bytes.len());
        fs::write(Path::new(folder).join(name), bytes).expect("the folder can be written to");
    };
    write("classes.bin", classes());
    let byte = |byte: u8| ranks.rank_of[&vec![byte]];
    write("bytes.bin", (0..=255).flat_map(|at| byte(at).to_le_bytes()).collect());
    let ascii = (0..128u8).flat_map(|left| (0..128u8).map(move |right| vec![left, right]));
    write(
        "ascii_pairs.bin",
        ascii.flat_map(|pair| ranks.rank_of.get(&pair).copied().unwrap_or(u32::MAX).to_le_bytes()).collect(),
    );
    let pairs = ranks.pairs();
    let (pilots, slots) = pair_table(&pairs);
    write("pair_pilots.bin", pilots);
    write("pair_slots.bin", slots);
    let (pilots, slots, pool) = piece_table(&ranks);
    write("piece_pilots.bin", pilots);
    write("piece_slots.bin", slots);
    write("pool.bin", pool);
    write("characters.bin", characters(&ranks, &pairs));
}

/// Seven bytes a slot, and one more so that the last one can be read as eight.
fn pair_table(pairs: &[(u32, u32, u32)]) -> (Vec<u8>, Vec<u8>) {
    let hashes: Vec<u64> = pairs.iter().map(|(left, right, _)| hash::of_pair(hash::pair_key(*left, *right))).collect();
    let table = perfect_hash::build(&hashes);
    // What stands in an empty slot is no pair: its tokens are beyond the last one.
    let mut slots: Vec<u8> = vec![0xff; table.slots * 7 + 1];
    for ((left, right, token), slot) in pairs.iter().zip(&table.slot_of) {
        let value = hash::pair_key(*left, *right) << hash::TOKEN_BITS | u64::from(*token);
        slots[slot * 7..slot * 7 + 7].copy_from_slice(&value.to_le_bytes()[..7]);
    }
    (table.pilot_bytes(), slots)
}

/// Tokens that can be a whole piece of text: characters, 2 to [`MAX_PIECE`] bytes of them.
fn piece_table(ranks: &Ranks) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let is_piece = |token: &&[u8]| (2..=MAX_PIECE).contains(&token.len()) && std::str::from_utf8(token).is_ok();
    let tokens: Vec<&[u8]> = ranks.tokens.iter().map(Vec::as_slice).filter(is_piece).collect();
    let mut pool = pool::build(&tokens);
    let offsets = pool::offsets(&pool, &tokens);
    assert!(pool.len() < 1 << 20, "the pool has {} bytes: a slot has 20 bits for an offset", pool.len());
    pool.extend([0; MAX_PIECE]);
    let hashes: Vec<u64> = tokens
        .iter()
        .map(|token| {
            let mut padded = [0; MAX_PIECE];
            padded[..token.len()].copy_from_slice(token);
            let (low, high) = padded.split_at(8);
            let number = |half: &[u8]| u64::from_le_bytes(half.try_into().unwrap());
            hash::of_piece(number(low), number(high), token.len())
        })
        .collect();
    let table = perfect_hash::build(&hashes);
    // Length 1, which no piece in the table has.
    let mut slots = vec![0u32; table.slots];
    for (((token, hash), offset), slot) in tokens.iter().zip(&hashes).zip(offsets).zip(&table.slot_of) {
        slots[*slot] = hash::piece_slot(offset, token.len(), *hash);
    }
    (table.pilot_bytes(), slots.iter().flat_map(|slot| slot.to_le_bytes()).collect(), pool)
}

/// Characters below 0x10000 that merge to one token of their own before any byte of theirs merges with a neighbour's:
/// 512 numbers of blocks, two bytes each (0: no such character), then blocks of 128 tokens of three bytes (0: none).
fn characters(ranks: &Ranks, pairs: &[(u32, u32, u32)]) -> Vec<u8> {
    let mut before: HashMap<u32, u32> = HashMap::new(); // least rank of a pair with it, behind the end of a character
    let mut behind: HashMap<u32, u32> = HashMap::new(); // and in front of a character's beginning
    let least = |of: &mut HashMap<u32, u32>, token: u32, rank: u32| {
        let known = of.entry(token).or_insert(rank);
        *known = rank.min(*known);
    };
    for (left, right, rank) in pairs {
        if matches!(ranks.tokens[*left as usize].last(), Some(0x80..=0xbf)) {
            least(&mut before, *right, *rank);
        }
        if matches!(ranks.tokens[*right as usize].first(), Some(0xc0..)) {
            least(&mut behind, *left, *rank);
        }
    }
    let alone = |character: char| -> Option<u32> {
        let mut buffer = [0; 4];
        let bytes = character.encode_utf8(&mut buffer).as_bytes();
        let token = *ranks.rank_of.get(bytes)?;
        let mut starts: Vec<usize> = (0..=bytes.len()).collect();
        // Each merge within must come before any that the outer parts could make with a neighbour.
        while starts.len() > 2 {
            let rank = |from: usize, to: usize| ranks.rank_of.get(&bytes[starts[from]..starts[to]]);
            let (next, at) = (0..starts.len() - 2).filter_map(|at| Some((*rank(at, at + 2)?, at))).min()?;
            let last = starts.len() - 1;
            let outer = before.get(rank(0, 1)?).into_iter().chain(behind.get(rank(last - 1, last)?));
            if outer.into_iter().any(|rank| *rank <= next) {
                return None;
            }
            starts.remove(at + 1);
        }
        Some(token)
    };
    let mut index = vec![0u16; 512];
    let mut blocks = Vec::new();
    for block in 1..512u32 {
        let tokens: Vec<u32> =
            (0..128).map(|at| char::from_u32(block * 128 + at).and_then(alone).unwrap_or(0)).collect();
        if tokens.iter().any(|token| *token != 0) {
            blocks.extend(tokens.iter().flat_map(|token| token.to_le_bytes().into_iter().take(3)));
            index[block as usize] = (blocks.len() / (128 * 3)) as u16;
        }
    }
    index.iter().flat_map(|block| block.to_le_bytes()).chain(blocks).collect()
}

/// Numbers of blocks of 128 code points, then the blocks that differ, a class a byte.
fn classes() -> Vec<u8> {
    let mut of = vec![0u8; 0x11_0000];
    let groups = [
        (1, r"[\p{Lu}\p{Lt}]"),
        (2, r"\p{Ll}"),
        (3, r"[\p{Lm}\p{Lo}]"),
        (4, r"\p{N}"),
        (5, r"\s"),
        (6, r"[\r\n]"),
        (7, r"\p{M}"),
    ];
    for (class, pattern) in groups {
        let hir = regex_syntax::parse(pattern).expect("a class");
        let HirKind::Class(Class::Unicode(ranges)) = hir.kind() else { panic!("{pattern} is no class") };
        for range in ranges.iter() {
            of[range.start() as usize..=range.end() as usize].fill(class);
        }
    }
    let mut index = Vec::new();
    let mut blocks: Vec<&[u8]> = Vec::new();
    for block in of.chunks(128) {
        let at = blocks.iter().position(|known| *known == block).unwrap_or_else(|| {
            blocks.push(block);
            blocks.len() - 1
        });
        index.push(u8::try_from(at).expect("fewer than 257 blocks"));
    }
    index.into_iter().chain(blocks.concat()).collect()
}
