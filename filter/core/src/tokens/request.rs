//! The tokens of a request: its JSON body in, a [`Count`] out. What a model is given counts: roles, names and texts of
//! messages, system prompts, tools and their calls, prompts, inputs, and by rule images and audio; `docs/tokens.md` has the
//! rules. The body is walked as it stands; it may be the first part of one.

use super::{Count, Counter, json, tools};
use crate::cursor::{Cursor, Kind};

/// Around each message, and before the answer: OpenAI's cookbook, "How to count tokens with tiktoken", for gpt-4o.
const PER_MESSAGE: u64 = 3;
const PER_NAME: u64 = 1;
const BEFORE_ANSWER: u64 = 3;

/// OpenAI's guide to vision, gpt-4o: 85 for an image of low detail; 85 and 170 for each of the four tiles of 1024 x 1024,
/// which stands for every other image, since its size is not looked up.
const LOW_IMAGE: u64 = 85;
const IMAGE: u64 = 765;

/// OpenAI: a token for 100 ms of a user's audio. At 24 kHz and 16 bits that is 4,800 bytes, in base64 6,400 characters.
const AUDIO_CHARACTERS: u64 = 6_400;

/// Parts within parts: a message's, a tool result's. Deeper ones hold no prompt's text.
const MAX_DEPTH: u8 = 4;

/// Counts the tokens of a whole body.
pub fn count_request(body: &[u8]) -> Count {
    walk(body).0.finish()
}

/// Counts what is there of a body, and how many characters of prompts' text that was.
pub fn count_part(body: &[u8]) -> (Count, u64) {
    let (counter, characters) = walk(body);
    (counter.finish(), characters)
}

fn walk(body: &[u8]) -> (Counter, u64) {
    let mut walk = Walk { counter: Counter::expecting(body.len()), characters: 0 };
    let mut has_messages = false;
    Cursor::new(body).object(|cursor, key| match key {
        b"messages" => {
            has_messages = true;
            cursor.list(|cursor| walk.message(cursor));
        }
        b"prompt" | b"input" | b"system" | b"instructions" => walk.content(cursor, 0),
        b"tools" | b"functions" => tools::count(cursor, &mut walk.counter),
        _ => {}
    });
    if has_messages {
        walk.counter.add(BEFORE_ANSWER);
    }
    (walk.counter, walk.characters)
}

struct Walk {
    counter: Counter,
    /// Of texts, whatever they are for.
    characters: u64,
}

impl Walk {
    fn message(&mut self, cursor: &mut Cursor<'_>) {
        self.counter.add(PER_MESSAGE);
        cursor.object(|cursor, key| match key {
            b"role" => self.text(cursor),
            b"name" => {
                self.counter.add(PER_NAME);
                self.text(cursor);
            }
            b"content" | b"refusal" => self.content(cursor, 0),
            b"tool_calls" => cursor.list(|cursor| self.call(cursor)),
            b"function_call" => self.function(cursor),
            _ => {}
        });
    }

    /// A string, or a list of strings, parts, and tokens that were counted before.
    fn content(&mut self, cursor: &mut Cursor<'_>, depth: u8) {
        match cursor.kind() {
            Some(Kind::Text) => self.text(cursor),
            Some(Kind::List) if depth < MAX_DEPTH => cursor.list(|cursor| match cursor.kind() {
                Some(Kind::Scalar) => {
                    if cursor.raw().first().is_some_and(u8::is_ascii_digit) {
                        self.counter.add(1);
                    }
                }
                _ => self.content(cursor, depth + 1),
            }),
            Some(Kind::Object) if depth < MAX_DEPTH => self.part(cursor, depth),
            _ => cursor.skip(),
        }
    }

    /// A part of a message; or a message itself, as the responses API has it in `input`.
    fn part(&mut self, cursor: &mut Cursor<'_>, depth: u8) {
        cursor.object(|cursor, key| match key {
            b"text" | b"role" | b"name" | b"arguments" | b"thinking" => self.text(cursor),
            b"content" | b"output" => self.content(cursor, depth + 1),
            // The arguments of a tool's use are given to the model as JSON.
            b"input" => self.whole(cursor.raw()),
            b"image_url" | b"source" | b"image" => self.image(cursor),
            b"input_audio" => self.audio(cursor),
            b"file" | b"file_data" => {
                self.counter.is_incomplete();
                cursor.skip();
            }
            _ => {}
        });
    }

    fn call(&mut self, cursor: &mut Cursor<'_>) {
        cursor.object(|cursor, key| {
            if key == b"function" {
                self.function(cursor);
            }
        });
    }

    fn function(&mut self, cursor: &mut Cursor<'_>) {
        cursor.object(|cursor, key| {
            if matches!(key, b"name" | b"arguments") {
                self.text(cursor);
            }
        });
    }

    /// By a rule, since the image is not looked at: so the count is not exact.
    fn image(&mut self, cursor: &mut Cursor<'_>) {
        let mut is_low = false;
        match cursor.kind() {
            Some(Kind::Object) => cursor.object(|cursor, key| {
                if key == b"detail" {
                    is_low = cursor.text() == b"low";
                }
            }),
            _ => cursor.skip(),
        }
        self.counter.add(if is_low { LOW_IMAGE } else { IMAGE });
        self.counter.is_incomplete();
    }

    fn audio(&mut self, cursor: &mut Cursor<'_>) {
        cursor.object(|cursor, key| {
            if key == b"data" {
                self.counter.add((cursor.text().len() as u64).div_ceil(AUDIO_CHARACTERS));
            }
        });
        self.counter.is_incomplete();
    }

    fn text(&mut self, cursor: &mut Cursor<'_>) {
        self.whole(cursor.text());
    }

    fn whole(&mut self, inside: &[u8]) {
        json::push_last(&mut self.counter, inside);
        self.characters = self.characters.saturating_add(characters(inside));
    }
}

/// Characters of a JSON string's inside, about: an escape of two bytes is one, `\u` with its digits is counted as one too.
fn characters(inside: &[u8]) -> u64 {
    let bytes = inside.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    let escapes: usize =
        memchr::memchr_iter(b'\\', inside).map(|at| if inside.get(at + 1) == Some(&b'u') { 5 } else { 1 }).sum();
    bytes.saturating_sub(escapes) as u64
}

#[cfg(test)]
mod tests;
