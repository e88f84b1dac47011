//! Arithmetic on numbers of thousands of bits, as far as RSA needs it: bytes in, bytes out. It is not constant in time: whoever
//! could measure it sees one signature an hour, begun by a clock.

use std::cmp::Ordering;

/// Digits to base 2^32, the lowest first.
#[derive(Clone, PartialEq, Eq)]
pub struct Number(Vec<u32>);

impl Number {
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let word = |chunk: &[u8]| chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let mut digits: Vec<u32> = bytes.rchunks(4).map(word).collect();
        while digits.last() == Some(&0) {
            digits.pop();
        }
        Self(digits)
    }

    /// The last `size` bytes, the highest first.
    pub fn to_bytes(&self, size: usize) -> Vec<u8> {
        let lowest = self.0.iter().flat_map(|digit| digit.to_le_bytes()).chain(std::iter::repeat(0));
        let mut bytes: Vec<u8> = lowest.take(size).collect();
        bytes.reverse();
        bytes
    }

    pub fn bits(&self) -> usize {
        let top = self.0.last().map_or(0, |digit| digit.leading_zeros() as usize);
        self.0.len().saturating_mul(32).saturating_sub(top)
    }

    pub fn times(&self, other: &Self) -> Self {
        let mut product = vec![0; self.0.len().saturating_add(other.0.len())];
        for (at, digit) in other.0.iter().enumerate() {
            add_scaled(product.get_mut(at..).unwrap_or_default(), &self.0, *digit);
        }
        Self(product)
    }

    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = self.0.clone();
        sum.resize(self.0.len().max(other.0.len()).saturating_add(1), 0);
        add_scaled(&mut sum, &other.0, 1);
        Self(sum)
    }

    /// From the highest.
    fn each_bit(&self) -> impl Iterator<Item = bool> + use<'_> {
        self.0.iter().rev().flat_map(|digit| (0..32).rev().map(move |at| digit >> at & 1 == 1))
    }
}

/// Arithmetic modulo an odd number, in Montgomery's form.
pub struct Modulus {
    digits: Vec<u32>,
    /// -1 / the lowest digit, modulo 2^32.
    inverse: u32,
}

impl Modulus {
    /// `None`: it is even, or 1.
    pub fn new(modulus: &Number) -> Option<Self> {
        let mut digits = modulus.0.clone();
        while digits.last() == Some(&0) {
            digits.pop();
        }
        let lowest = *digits.first().filter(|lowest| *lowest % 2 == 1 && modulus.bits() > 1)?;
        // Newton: each step doubles the bits that are right, from 5 on.
        let inverse = (0..3).fold(lowest.wrapping_mul(3) ^ 2, |inverse, _| {
            inverse.wrapping_mul(2_u32.wrapping_sub(lowest.wrapping_mul(inverse)))
        });
        Some(Self { digits, inverse: inverse.wrapping_neg() })
    }

    pub fn reduce(&self, number: &Number) -> Number {
        let mut rest = vec![0; self.digits.len()];
        for bit in number.each_bit() {
            self.double(&mut rest, bit);
        }
        Number(rest)
    }

    /// `a` - `b`, both below the modulus.
    pub fn difference(&self, a: &Number, b: &Number) -> Number {
        let mut rest = a.0.clone();
        if subtract(&mut rest, &b.0) {
            add_scaled(&mut rest, &self.digits, 1);
        }
        Number(rest)
    }

    pub fn product(&self, a: &Number, b: &Number) -> Number {
        // The product of two is too small by the form's factor.
        Number(self.multiply(&self.multiply(&a.0, &b.0), &self.factor_squared()))
    }

    /// `base`, which is below the modulus, to the power of `exponent`.
    pub fn power(&self, base: &Number, exponent: &Number) -> Number {
        let base = self.multiply(&base.0, &self.factor_squared());
        let mut one = vec![0; self.digits.len()];
        if let Some(lowest) = one.first_mut() {
            *lowest = 1;
        }
        let mut power = self.multiply(&one, &self.factor_squared());
        for bit in exponent.each_bit() {
            power = self.multiply(&power, &power);
            if bit {
                power = self.multiply(&power, &base);
            }
        }
        Number(self.multiply(&power, &one))
    }

    /// The square of 2^32 to the number of digits.
    fn factor_squared(&self) -> Vec<u32> {
        let mut factor = vec![0; self.digits.len()];
        self.double(&mut factor, true);
        for _ in 0..self.digits.len().saturating_mul(64) {
            self.double(&mut factor, false);
        }
        factor
    }

    /// Montgomery's product: `a` x `b` / 2^32 to the number of digits.
    fn multiply(&self, a: &[u32], b: &[u32]) -> Vec<u32> {
        let size = self.digits.len();
        let mut sum = vec![0_u32; size.saturating_add(2)];
        let digits = b.iter().copied().chain(std::iter::repeat(0)).take(size);
        for digit in digits {
            add_scaled(&mut sum, a, digit);
            let lowest = sum.first().copied().unwrap_or_default();
            add_scaled(&mut sum, &self.digits, lowest.wrapping_mul(self.inverse));
            // The lowest digit is 0 now.
            sum.rotate_left(1);
        }
        let over = sum.get(size).is_some_and(|digit| *digit > 0);
        sum.truncate(size);
        self.below(&mut sum, over);
        sum
    }

    fn double(&self, number: &mut [u32], bit: bool) {
        let mut carry = u32::from(bit);
        for digit in number.iter_mut() {
            let out = *digit >> 31;
            *digit = *digit << 1 | carry;
            carry = out;
        }
        self.below(number, carry > 0);
    }

    /// `over`: the number has one more bit above its digits.
    fn below(&self, number: &mut [u32], over: bool) {
        if over || number.iter().rev().cmp(self.digits.iter().rev()) != Ordering::Less {
            subtract(number, &self.digits);
        }
    }
}

/// `sum` += `number` x `factor`; what is carried out of it is lost.
fn add_scaled(sum: &mut [u32], number: &[u32], factor: u32) {
    let mut carry = 0_u64;
    let mut digits = number.iter();
    for digit in sum {
        let product = match digits.next() {
            Some(other) => u64::from(*other).wrapping_mul(factor.into()),
            None if carry == 0 => return,
            None => 0,
        };
        // At most 2^64 - 1: (2^32 - 1)^2 + 2 (2^32 - 1).
        let total = product.wrapping_add((*digit).into()).wrapping_add(carry);
        (*digit, carry) = (total as u32, total >> 32);
    }
}

/// `rest` -= `number`, of at most as many digits: whether that is below 0, and so 2^32 to the number of digits too large.
fn subtract(rest: &mut [u32], number: &[u32]) -> bool {
    let mut borrow = false;
    for (digit, other) in rest.iter_mut().zip(number.iter().copied().chain(std::iter::repeat(0))) {
        let (first, one) = digit.overflowing_sub(other);
        let (second, two) = first.overflowing_sub(borrow.into());
        (*digit, borrow) = (second, one || two);
    }
    borrow
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn number(value: u128) -> Number {
        Number::from_bytes(&value.to_be_bytes())
    }

    fn value(number: &Number) -> u128 {
        u128::from_be_bytes(number.to_bytes(16).try_into().unwrap())
    }

    /// Against the arithmetic of the machine.
    #[test]
    fn small_ones() {
        for modulus in [3, 0xffff_ffff, 0x1_0000_0001, 0xffff_ffff_ffff_ffff, 0xfedc_ba98_7654_3211_u128] {
            let m = Modulus::new(&number(modulus)).unwrap();
            for (a, b) in [(0, 0), (1, 2), (modulus - 1, modulus - 1), (0x1234_5678_9abc_def0, 0xffff_ffff)] {
                let (a, b) = (a % modulus, b % modulus);
                assert_eq!(value(&m.product(&number(a), &number(b))), a * b % modulus, "{a} x {b} mod {modulus}");
                assert_eq!(value(&m.reduce(&number(a * b))), a * b % modulus);
                let (short_a, short_b) = (m.reduce(&number(a)), m.reduce(&number(b)));
                assert_eq!(value(&m.difference(&short_a, &short_b)), (a + modulus - b) % modulus);
                assert_eq!(value(&number(a).times(&number(b))), a * b);
                assert_eq!(value(&number(a).plus(&number(b))), a + b);
                let power = (0..b % 100).fold(1 % modulus, |power, _| power * a % modulus);
                assert_eq!(value(&m.power(&number(a), &number(b % 100))), power, "{a}^({b} % 100) mod {modulus}");
            }
        }
        for even in [0, 1, 2, 0x1_0000_0000] {
            assert!(Modulus::new(&number(even)).is_none());
        }
    }

    #[test]
    fn bytes() {
        let number = Number::from_bytes(&[0, 0, 1, 2, 3, 4, 5]);
        assert_eq!((number.bits(), number.to_bytes(6)), (33, vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(Number::from_bytes(&[]).bits(), 0);
    }
}
