//! Counts texts that come in pieces: exactly as far as a budget of work goes, by an estimate behind that, and the count says
//! which. No input costs more than the budget and the estimator's one pass, and none is an error.

use super::{
    Count, bpe, classes,
    estimate::Estimator,
    pretokenize::{self, ascii},
    tables::{self, MAX_PIECE, Short},
};

/// Bytes that are counted exactly. A long piece costs more than its bytes, see [`cost`].
pub const BUDGET: usize = 128 << 10;

/// A longer piece is cut: that its two parts are counted apart makes the count inexact, by a token or so.
pub const LONGEST_PIECE: usize = 2 << 10;

/// Of text that came in small parts: enough for a piece and what must be seen behind it.
const WINDOW: usize = 2 * LONGEST_PIECE;

/// What the estimator is thought to be off at most, either way: what a sample says beyond that is the sample's own.
const MOST_OFF: f64 = 64.0;

#[derive(Debug, Default)]
pub struct Counter {
    tokens: u64,
    /// How many of them are some text's.
    from_text: u64,
    spent: usize,
    is_inexact: bool,
    /// Stops beyond so many tokens.
    limit: Option<u64>,
    /// Text whose pieces are not known yet.
    window: Vec<u8>,
    /// Sees what is counted too, where it is known that not all will be: how far it is off there, it is behind that.
    sample: Option<Estimator>,
    beyond: Option<Estimator>,
}

impl Counter {
    /// `bytes`: how many are to come, about. It is no bound.
    pub fn expecting(bytes: usize) -> Self {
        Self { sample: (bytes > BUDGET).then(Estimator::default), ..Self::default() }
    }

    /// Counts nothing once it is known that there are more than `limit` tokens.
    pub fn up_to(limit: u64) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }

    /// Whether the limit is passed.
    pub fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| self.tokens > limit)
    }

    /// The next part of a text, cut anywhere.
    pub fn push(&mut self, text: &[u8]) {
        let mut rest = if self.is_over() { &[] } else { text };
        while !self.window.is_empty() && !rest.is_empty() && self.beyond.is_none() {
            let room = WINDOW.saturating_sub(self.window.len()).min(rest.len());
            let (part, behind) = rest.split_at(room);
            self.window.extend_from_slice(part);
            rest = behind;
            if self.window.len() < WINDOW {
                return;
            }
            self.count_window(false);
        }
        if rest.is_empty() {
            return;
        }
        if self.beyond.is_none() {
            let counted = self.count(rest, false);
            rest = rest.get(counted..).unwrap_or_default();
        }
        if let Some(estimator) = &mut self.beyond {
            estimator.push(rest);
        } else if !self.is_over() {
            self.window.extend_from_slice(rest);
        }
    }

    /// The whole of a text, or its last part.
    pub fn push_last(&mut self, text: &[u8]) {
        if !self.window.is_empty() {
            self.push(text);
            return self.end_text();
        }
        let counted = if self.beyond.is_none() { self.count(text, true) } else { 0 };
        let rest = text.get(counted..).unwrap_or_default();
        if let Some(estimator) = &mut self.beyond {
            estimator.push(rest);
            estimator.end_text();
        }
        if counted > 0 {
            self.sample.iter_mut().for_each(Estimator::end_text);
        }
    }

    /// The text ends: its last piece is one.
    pub fn end_text(&mut self) {
        self.count_window(true);
        for estimator in self.sample.iter_mut().chain(&mut self.beyond) {
            estimator.end_text();
        }
    }

    /// Tokens that stand for no text.
    pub fn add(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    /// Text that is not there to be counted.
    pub fn is_incomplete(&mut self) {
        self.is_inexact = true;
    }

    pub fn finish(mut self) -> Count {
        self.end_text();
        let counted = Count { tokens: self.tokens, is_exact: !self.is_inexact };
        let Some(beyond) = self.beyond else { return counted };
        let sample = self.sample.map_or(0.0, |sample| sample.tokens());
        let scale = if sample > 0.0 { (self.from_text as f64 / sample).clamp(1.0 / MOST_OFF, MOST_OFF) } else { 1.0 };
        Count { tokens: self.tokens.saturating_add((beyond.tokens() * scale).round() as u64), is_exact: false }
    }

    fn count_window(&mut self, is_end: bool) {
        let mut window = std::mem::take(&mut self.window);
        let counted = self.count(&window, is_end);
        window.drain(..counted.min(window.len()));
        if let Some(estimator) = &mut self.beyond {
            estimator.push(&window);
            window.clear();
        }
        self.window = window;
    }

    /// Counts pieces from the text's beginning; how many bytes have been counted. What is left may be the beginning of a
    /// piece, or there is nothing left to spend, and [`Self::beyond`] is there for it.
    fn count(&mut self, text: &[u8], is_end: bool) -> usize {
        tables::load();
        let mut at = 0;
        while at < text.len() && !self.is_over() {
            if self.spent >= BUDGET {
                self.beyond = Some(Estimator::default());
                break;
            }
            let usual = self.usual_pieces(text.get(at..).unwrap_or_default(), is_end);
            at = at.saturating_add(usual);
            if text.len().saturating_sub(at) < ascii::VIEW && !is_end {
                break;
            }
            if at >= text.len() || self.spent >= BUDGET {
                continue;
            }
            let view = text.get(..text.len().min(at.saturating_add(LONGEST_PIECE))).unwrap_or(text);
            let piece = pretokenize::next(view, at);
            let mut end = piece.end.min(view.len());
            if piece.seen > view.len() && !(is_end && view.len() == text.len()) {
                if view.len() - at < LONGEST_PIECE {
                    break;
                }
                end = cut(view, at);
                self.is_inexact = true;
            }
            self.spend(cost(end - at), any_piece(text, at, end));
            at = end;
        }
        if let (Some(sample), Some(counted)) = (&mut self.sample, text.get(..at)) {
            sample.push(counted);
        }
        at
    }

    fn spend(&mut self, bytes: usize, tokens: u64) {
        self.spent = self.spent.saturating_add(bytes);
        self.tokens = self.tokens.saturating_add(tokens);
        self.from_text = self.from_text.saturating_add(tokens);
    }

    /// Counts pieces for as long as they are of the usual kind, within what may be spent; how many bytes they had.
    fn usual_pieces(&mut self, text: &[u8], is_end: bool) -> usize {
        let most = BUDGET.saturating_sub(self.spent);
        let limit = self.limit.unwrap_or(u64::MAX).saturating_sub(self.tokens);
        let (mut bytes, mut tokens) = usual_pieces(text, most, limit);
        let rest = text.get(bytes..).unwrap_or_default();
        if is_end && rest.len() < ascii::VIEW {
            // What is no text ends what can be told of the rest of it.
            let mut padded = [0xff; 2 * ascii::VIEW];
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            let (more_bytes, more_tokens) = usual_pieces(&padded, rest.len().min(most.saturating_sub(bytes)), limit);
            bytes = bytes.saturating_add(more_bytes);
            tokens += more_tokens;
        }
        self.spend(bytes, tokens);
        bytes
    }
}

/// Bytes and tokens of the pieces that a text begins with, for as long as they are of the usual kind.
fn usual_pieces(text: &[u8], most_bytes: usize, most_tokens: u64) -> (usize, u64) {
    let (mut at, mut tokens) = (0, 0);
    while at < most_bytes && tokens <= most_tokens {
        let Some((length, more)) = text.get(at..).and_then(usual_piece) else { break };
        at += length;
        tokens += more;
    }
    (at, tokens)
}

/// The length and the tokens of the piece that the text begins with, where it is of the usual kind.
#[inline]
fn usual_piece(text: &[u8]) -> Option<(usize, u64)> {
    let view = text.first_chunk::<{ ascii::VIEW }>()?;
    let length = ascii::length(view);
    if length <= 1 {
        return (length == 1).then_some((1, 1));
    }
    let piece = view.get(..length)?;
    if length > MAX_PIECE {
        return Some((length, bpe::count(piece)));
    }
    Some((length, bpe::count_short(Short::of(ascii::half(view, 0), ascii::half(view, 8), length), piece)))
}

#[inline]
fn any_piece(text: &[u8], start: usize, end: usize) -> u64 {
    let length = end - start;
    let piece = text.get(start..end).unwrap_or_default();
    match length {
        1 => 1,
        2..=MAX_PIECE => bpe::count_short(tables::short(text, start, length), piece),
        _ => bpe::count(piece),
    }
}

/// What counting a piece costs, in bytes of ordinary text: a long one is merged by a heap.
fn cost(length: usize) -> usize {
    if length <= bpe::SHORT { length } else { length.saturating_mul(8) }
}

/// The end of the last whole character of the view that begins behind `at`.
fn cut(view: &[u8], at: usize) -> usize {
    let first =
        (at + 1..view.len()).rev().take(4).find(|index| view.get(*index).is_some_and(|byte| byte & 0xc0 != 0x80));
    match first {
        Some(first) if view.get(first).is_some_and(|byte| *byte >= 0x80) && classes::decode(view, first).is_none() => {
            first
        }
        _ => view.len(),
    }
}

#[cfg(test)]
mod tests;
