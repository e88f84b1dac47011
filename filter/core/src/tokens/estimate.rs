//! How many o200k_base tokens a text has, about: one pass over its bytes by a small state machine, whose states are visited
//! so often; each visit is worth a part of a token. The worth of each state is fitted (`weights.rs`). Any bytes in, a number
//! out; nothing is decoded, and pieces may be cut anywhere.

use super::weights::WEIGHTS;

/// The states: what the last byte was, and where in a run it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Before a text's first byte.
    Begin,
    /// ASCII words: the first letter, in either case, those behind it, and from the tenth on; capitals behind capitals.
    Small1,
    Capital1,
    Letter2,
    Letter3,
    Letter4,
    Letter5,
    Letter6,
    Letter7,
    Letter8,
    Letter9,
    LetterMore,
    Capitals,
    /// Digits by their place in a group of three.
    Digit1,
    Digit2,
    Digit3,
    Sign1,
    SignMore,
    Space1,
    SpaceMore,
    Newline1,
    NewlineMore,
    /// Latin with accents.
    Accented,
    /// Cyrillic words, letter by letter.
    Cyrillic1,
    Cyrillic2,
    Cyrillic3,
    Cyrillic4,
    Cyrillic5,
    Cyrillic6,
    CyrillicMore,
    /// Greek, Hebrew, Arabic and the like: a word's first letter, and those behind it.
    Two1,
    TwoMore,
    /// Scripts of India and South East Asia (`E0`), as above; `E1`, which has Vietnamese; signs (`E2`, `EE`, `EF`).
    Indic1,
    IndicMore,
    Three1,
    ThreeMore,
    Symbol,
    /// `E3`, before it is known what it is.
    East,
    EastSign,
    Kana,
    Han,
    Hangul,
    Four,
    /// The bytes behind the first one, by what the character belongs to.
    InAccented,
    InCyrillic1,
    InCyrillic2,
    InCyrillic3,
    InCyrillic4,
    InCyrillic5,
    InCyrillic6,
    InCyrillicMore,
    InTwo,
    InIndic,
    InThree,
    InOther,
    /// A byte that belongs to no character.
    Stray,
}

pub const STATES: usize = State::Stray as usize + 1;

/// Rows of the machine: 64 is the next power of two, so that a row's place is a shift.
static NEXT: [[u8; 64]; 256] = transitions();

/// A text is walked in so many parts at once, since each step waits for the one before it.
const LANES: usize = 4;

/// A shorter part does not pay.
const SHORTEST_LANE: usize = 48;

#[derive(Clone, Debug)]
pub struct Estimator {
    state: u8,
    /// A tally for each lane, so that a byte need not wait for the one before it to be added.
    visits: [[u32; 64]; LANES],
}

impl Default for Estimator {
    fn default() -> Self {
        Self { state: BEGIN, visits: [[0; 64]; LANES] }
    }
}

const BEGIN: u8 = State::Begin as u8;

#[inline]
fn count(visits: &mut [u32; 64], state: u8) {
    let visits = &mut visits[(state & 63) as usize];
    *visits = visits.wrapping_add(1);
}

#[inline]
fn step(state: u8, byte: u8) -> u8 {
    NEXT[byte as usize][(state & 63) as usize] & 63
}

impl Estimator {
    pub fn push(&mut self, text: &[u8]) {
        // Digits come in groups of three: a lane of whole groups begins one wherever another ends.
        let lane = text.len() / LANES / 3 * 3;
        let walked = if lane < SHORTEST_LANE { 0 } else { self.walk_lanes(text, lane) };
        let [first, second, ..] = &mut self.visits;
        let mut state = self.state;
        let (pairs, rest) = text.get(walked..).unwrap_or_default().as_chunks::<2>();
        for [even, odd] in pairs {
            state = step(state, *even);
            count(first, state);
            state = step(state, *odd);
            count(second, state);
        }
        for byte in rest {
            state = step(state, *byte);
            count(first, state);
        }
        self.state = state;
    }

    /// Walks [`LANES`] parts of a text at once, each as if a text began there, and then puts right what began otherwise: two
    /// walks of one text soon meet.
    fn walk_lanes(&mut self, text: &[u8], lane: usize) -> usize {
        let part = |index: usize| text.get(index * lane..(index + 1) * lane).unwrap_or_default();
        let lanes = [part(0), part(1), part(2), part(3)];
        let [mut a, mut b, mut c, mut d] = [self.state, BEGIN, BEGIN, BEGIN];
        let [first, second, third, fourth] = &mut self.visits;
        for (((in_a, in_b), in_c), in_d) in lanes[0].iter().zip(lanes[1]).zip(lanes[2]).zip(lanes[3]) {
            a = step(a, *in_a);
            count(first, a);
            b = step(b, *in_b);
            count(second, b);
            c = step(c, *in_c);
            count(third, c);
            d = step(d, *in_d);
            count(fourth, d);
        }
        let mut state = a;
        for (lane, end) in lanes.into_iter().skip(1).zip([b, c, d]) {
            state = self.put_right(lane, state, end);
        }
        self.state = state;
        LANES * lane
    }

    /// A lane was walked from the beginning of a text to `end`; it ought to have been from `state` on. Where that ends.
    fn put_right(&mut self, lane: &[u8], mut state: u8, end: u8) -> u8 {
        let mut walked = BEGIN;
        let [visits, ..] = &mut self.visits;
        for byte in lane {
            if walked == state {
                return end;
            }
            (walked, state) = (step(walked, *byte), step(state, *byte));
            let tally = &mut visits[(walked & 63) as usize];
            *tally = tally.wrapping_sub(1);
            count(visits, state);
        }
        state
    }

    /// The next byte begins another text.
    pub fn end_text(&mut self) {
        self.state = BEGIN;
    }

    /// How often each state was visited.
    pub fn visits(&self) -> [u64; STATES] {
        // A single tally may have been put right to less than nothing; the sum is none the worse.
        let mut sums = [0u32; STATES];
        for tally in &self.visits {
            for (sum, visits) in sums.iter_mut().zip(tally) {
                *sum = sum.wrapping_add(*visits);
            }
        }
        sums.map(u64::from)
    }

    /// Tokens, about: at least one of 16 bytes, since no text that people write has fewer.
    pub fn tokens(&self) -> f64 {
        let visits = self.visits();
        let bytes: u64 = visits.iter().sum();
        let tokens: f64 = visits.iter().zip(WEIGHTS).map(|(visits, weight)| *visits as f64 * f64::from(weight)).sum();
        tokens.max(bytes as f64 / 16.0)
    }
}

const fn transitions() -> [[u8; 64]; 256] {
    let mut table = [[State::Stray as u8; 64]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut state = 0;
        while state < STATES {
            table[byte][state] = next(state as u8, byte as u8) as u8;
            state += 1;
        }
        byte += 1;
    }
    table
}

const fn next(state: u8, byte: u8) -> State {
    match byte {
        b'a'..=b'z' => small(state),
        b'A'..=b'Z' => match is(state, State::Capital1) || is(state, State::Capitals) {
            true => State::Capitals,
            false => State::Capital1,
        },
        b'0'..=b'9' => match state {
            _ if is(state, State::Digit1) => State::Digit2,
            _ if is(state, State::Digit2) => State::Digit3,
            _ => State::Digit1,
        },
        b'\n' | b'\r' => {
            either(is(state, State::Newline1) || is(state, State::NewlineMore), State::NewlineMore, State::Newline1)
        }
        b' ' | b'\t' | 0x0b | 0x0c => {
            let more = state >= State::Space1 as u8 && state <= State::NewlineMore as u8;
            either(more, State::SpaceMore, State::Space1)
        }
        0..0x80 => either(is(state, State::Sign1) || is(state, State::SignMore), State::SignMore, State::Sign1),
        0x80..0xc0 => continuation(state, byte),
        0xc2..=0xc6 => State::Accented,
        0xd0 | 0xd1 => cyrillic(state),
        0xc7..=0xdf => either(is(state, State::InTwo), State::TwoMore, State::Two1),
        0xe0 => either(is(state, State::InIndic), State::IndicMore, State::Indic1),
        0xe1 => either(is(state, State::InThree), State::ThreeMore, State::Three1),
        0xe2 | 0xee | 0xef => State::Symbol,
        0xe3 => State::East,
        0xe4..=0xe9 => State::Han,
        0xea..=0xed => State::Hangul,
        0xf0..=0xf4 => State::Four,
        _ => State::Stray,
    }
}

const LETTERS: [State; 10] = [
    State::Small1,
    State::Letter2,
    State::Letter3,
    State::Letter4,
    State::Letter5,
    State::Letter6,
    State::Letter7,
    State::Letter8,
    State::Letter9,
    State::LetterMore,
];

const CYRILLIC: [(State, State); 7] = [
    (State::Cyrillic1, State::InCyrillic1),
    (State::Cyrillic2, State::InCyrillic2),
    (State::Cyrillic3, State::InCyrillic3),
    (State::Cyrillic4, State::InCyrillic4),
    (State::Cyrillic5, State::InCyrillic5),
    (State::Cyrillic6, State::InCyrillic6),
    (State::CyrillicMore, State::InCyrillicMore),
];

/// A letter's place in its word: behind a capital the second, behind an accented one some third.
const fn small(state: u8) -> State {
    if is(state, State::Capital1) || is(state, State::Capitals) {
        return State::Letter2;
    } else if is(state, State::InAccented) {
        return State::Letter3;
    } else if is(state, State::InThree) {
        return State::Letter4;
    }
    let mut place = 0;
    while place < LETTERS.len() {
        if is(state, LETTERS[place]) {
            return LETTERS[if place + 1 < LETTERS.len() { place + 1 } else { place }];
        }
        place += 1;
    }
    State::Small1
}

const fn cyrillic(state: u8) -> State {
    let mut place = 0;
    while place < CYRILLIC.len() {
        if is(state, CYRILLIC[place].1) {
            return CYRILLIC[if place + 1 < CYRILLIC.len() { place + 1 } else { place }].0;
        }
        place += 1;
    }
    State::Cyrillic1
}

const fn continuation(state: u8, byte: u8) -> State {
    let mut place = 0;
    while place < CYRILLIC.len() {
        if is(state, CYRILLIC[place].0) {
            return CYRILLIC[place].1;
        }
        place += 1;
    }
    match state {
        _ if is(state, State::Accented) || is(state, State::InAccented) => State::InAccented,
        _ if is(state, State::Two1) || is(state, State::TwoMore) || is(state, State::InTwo) => State::InTwo,
        _ if is(state, State::Indic1) || is(state, State::IndicMore) || is(state, State::InIndic) => State::InIndic,
        _ if is(state, State::Three1) || is(state, State::ThreeMore) || is(state, State::InThree) => State::InThree,
        _ if is(state, State::East) => match byte {
            0x81..=0x83 => State::Kana,
            0x80 => State::EastSign,
            _ => State::Han,
        },
        _ if state >= State::Symbol as u8 && state <= State::InOther as u8 => State::InOther,
        _ => State::Stray,
    }
}

const fn is(state: u8, other: State) -> bool {
    state == other as u8
}

const fn either(condition: bool, yes: State, no: State) -> State {
    if condition { yes } else { no }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// However a text is cut, and so whether it is walked in lanes or byte by byte, each state is visited as often.
    #[test]
    fn lanes_see_what_one_walk_sees() {
        let mixed = "fn Ünïcode() { 12345678 } 人工智能 Привет  \n\n--- ";
        let texts = [mixed.repeat(50), "7".repeat(2000), " ".repeat(2000), "a".repeat(2000), "я".repeat(1000)];
        for text in texts {
            for start in 0..9 {
                let bytes = &text.as_bytes()[start..];
                let (mut whole, mut single) = (Estimator::default(), Estimator::default());
                whole.push(bytes);
                bytes.iter().for_each(|byte| single.push(&[*byte]));
                assert_eq!(whole.visits(), single.visits(), "{:?} from {start}", text.chars().next());
                assert_eq!(whole.state, single.state);
            }
        }
    }
}
