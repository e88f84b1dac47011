//! RS256 (RFC 7518): a private key as a PEM file in, signatures by PKCS #1 v1.5 (RFC 8017) with SHA-256 out. 18 KB of
//! the wasm with all that it needs, where libraries are 77 to 215 (docs/decisions/0013-fetched-tokens.md).

use std::fmt;

use sha2::{Digest, Sha256};

use super::number::{Modulus, Number};
use crate::base64;

/// As a key's file has them. Never shown.
pub struct PrivateKey {
    modulus: Number,
    public_exponent: Number,
    primes: [Number; 2],
    /// The private exponent modulo each prime minus 1.
    exponents: [Number; 2],
    /// 1 / the second prime, modulo the first.
    coefficient: Number,
    /// In bytes.
    size: usize,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// In bits. Smaller ones are weak; larger ones would hold a worker up.
const SIZES: std::ops::RangeInclusive<usize> = 2048..=4096;

/// What stands before a SHA-256 to say that it is one (RFC 8017, section 9.2).
const SHA256: &[u8] = &[0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];

impl PrivateKey {
    /// Of a PEM file, in PKCS #8 (as Google's are) or PKCS #1. `None`: it holds no RSA key of a size that is taken.
    pub fn from_pem(pem: &str) -> Option<Self> {
        let (_, rest) = pem.split_once("-----BEGIN ")?;
        let (label, rest) = rest.split_once("-----")?;
        let (body, _) = rest.split_once("-----END ")?;
        let der = base64::decode(body)?;
        match label {
            "PRIVATE KEY" => {
                let mut info = element(&mut &*der, SEQUENCE)?;
                element(&mut info, INTEGER)?;
                element(&mut info, SEQUENCE)?;
                Self::from_der(element(&mut info, OCTETS)?)
            }
            "RSA PRIVATE KEY" => Self::from_der(&der),
            _ => None,
        }
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        let mut key = element(&mut &*der, SEQUENCE)?;
        let mut next = || Some(Number::from_bytes(element(&mut key, INTEGER)?));
        let (_version, modulus, public_exponent, _exponent) = (next()?, next()?, next()?, next()?);
        let (primes, exponents) = ([next()?, next()?], [next()?, next()?]);
        let coefficient = next()?;
        let size = modulus.bits().div_ceil(8);
        let key = Self { modulus, public_exponent, primes, exponents, coefficient, size };
        // A key whose numbers do not belong together would sign nothing: better known at once.
        SIZES.contains(&key.modulus.bits()).then_some(key).filter(|key| key.sign(b"").is_some())
    }

    /// What tells it from every other key, and is no secret: its modulus.
    pub fn public(&self) -> Vec<u8> {
        self.modulus.to_bytes(self.size)
    }

    /// The signature. `None`: the key's numbers do not belong together.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let hash = Sha256::digest(message);
        let padding = self.size.checked_sub(SHA256.len().checked_add(hash.len())?.checked_add(3)?)?;
        let padded = [&[0, 1], &*vec![0xff; padding], &[0], SHA256, &*hash].concat();
        let padded = Number::from_bytes(&padded);
        let signature = self.decrypt(&padded)?;
        // A wrong one would give the primes away.
        let modulus = Modulus::new(&self.modulus)?;
        let undone = modulus.power(&modulus.reduce(&signature), &self.public_exponent);
        let same = undone.to_bytes(self.size) == padded.to_bytes(self.size);
        same.then(|| signature.to_bytes(self.size))
    }

    /// By the Chinese remainder theorem (RFC 8017, section 5.1.2): a quarter of the work.
    fn decrypt(&self, message: &Number) -> Option<Number> {
        let ([first, second], [first_exponent, second_exponent]) = (&self.primes, &self.exponents);
        let (p, q) = (Modulus::new(first)?, Modulus::new(second)?);
        let (a, b) = (p.power(&p.reduce(message), first_exponent), q.power(&q.reduce(message), second_exponent));
        let times = p.product(&p.difference(&a, &p.reduce(&b)), &p.reduce(&self.coefficient));
        Some(times.times(second).plus(&b))
    }
}

const INTEGER: u8 = 2;
const OCTETS: u8 = 4;
const SEQUENCE: u8 = 0x30;

/// The content of the next element of a DER document, which must have this tag.
fn element<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first.checked_sub(0x80) {
        None => (usize::from(*first), rest),
        // A key of 4,096 bits is a few thousand bytes long.
        Some(size @ 1..=3) => {
            let (length, rest) = rest.split_at_checked(size.into())?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        Some(_) => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *der = rest;
    (*found == tag).then_some(content)
}

#[cfg(test)]
mod tests;
