//! The official rank file of o200k_base: bytes in, tokens and the pair that each is made of out.

use std::{collections::HashMap, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

/// SHA-256 of `o200k_base.tiktoken`, which OpenAI's own tiktoken pins.
const O200K_BASE: &str = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d";

pub struct Ranks {
    /// Each token's bytes; empty for a rank that no token has.
    pub tokens: Vec<Vec<u8>>,
    pub rank_of: HashMap<Vec<u8>, u32>,
}

impl Ranks {
    /// Reads the rank file, which must be the official one.
    pub fn read(path: &Path) -> Self {
        let file = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let found: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, O200K_BASE, "{} is not the official rank file: its SHA-256 differs", path.display());
        let rank_of: HashMap<Vec<u8>, u32> = file
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                let line = std::str::from_utf8(line).unwrap();
                let (token, rank) = line.split_once(' ').unwrap();
                (STANDARD.decode(token).unwrap(), rank.parse().unwrap())
            })
            .collect();
        let count = rank_of.values().max().unwrap() + 1;
        let mut tokens = vec![Vec::new(); count as usize];
        for (token, rank) in &rank_of {
            tokens[*rank as usize] = token.clone();
        }
        Self { tokens, rank_of }
    }

    /// Every token of several bytes as (left, right, token): byte pair encoding reaches it by merging these two, and no
    /// other two merge to it.
    pub fn pairs(&self) -> Vec<(u32, u32, u32)> {
        let many = self.tokens.iter().enumerate().filter(|(_, token)| token.len() > 1);
        many.map(|(rank, token)| {
            let parts = self.encode(token, rank as u32);
            assert_eq!(parts.len(), 2, "token {rank} is no pair");
            (parts[0], parts[1], rank as u32)
        })
        .collect()
    }

    /// Byte pair encoding with the ranks below `limit`.
    pub fn encode(&self, bytes: &[u8], limit: u32) -> Vec<u32> {
        let mut starts: Vec<usize> = (0..=bytes.len()).collect();
        loop {
            let merged = |at: usize| self.rank_of.get(&bytes[starts[at]..starts[at + 2]]).copied();
            let best = (0..starts.len().saturating_sub(2)).filter_map(|at| Some((merged(at)?, at))).min();
            match best {
                Some((rank, at)) if rank < limit => starts.remove(at + 1),
                _ => break,
            };
        }
        starts.windows(2).map(|part| self.rank_of[&bytes[part[0]..part[1]]]).collect()
    }
}
