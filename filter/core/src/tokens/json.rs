//! Text that stands in a JSON string, counted where it stands.

use super::Counter;
use crate::cursor::decode;

/// Counts a text that stands in a JSON string, all of it.
pub fn push_last(counter: &mut Counter, inside: &[u8]) {
    if memchr::memchr(b'\\', inside).is_none() {
        return counter.push_last(inside);
    }
    push(counter, inside);
    counter.end_text();
}

/// Counts a part of a text that stands in a JSON string: `inside` is that string without its quotes. Short parts between
/// escapes are gathered: each push of the counter costs more than they do.
pub fn push(counter: &mut Counter, inside: &[u8]) {
    let mut gathered = [0; GATHERED];
    let mut used = 0;
    decode(inside, |part| {
        let mut room = gathered.get_mut(used..).unwrap_or_default();
        if part.len() > room.len() {
            counter.push(gathered.get(..used).unwrap_or_default());
            (used, room) = (0, &mut gathered);
        }
        match (room, part) {
            ([first, ..], [byte]) => {
                *first = *byte;
                used += 1;
            }
            (room, part) => match room.get_mut(..part.len()) {
                Some(room) => {
                    room.copy_from_slice(part);
                    used += part.len();
                }
                None => counter.push(part),
            },
        }
    });
    counter.push(gathered.get(..used).unwrap_or_default());
}

const GATHERED: usize = 1024;

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// Short parts between escapes and long ones come in the order that they stand in.
    #[test]
    fn parts_between_escapes_keep_their_order() {
        let plain: String = (0..400).map(|n| format!("{}\n\"{n}\"\t", " word".repeat(n % 90))).collect();
        let inside = plain.replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\u0009");
        let mut counter = Counter::expecting(inside.len());
        push(&mut counter, inside.as_bytes());
        assert_eq!(counter.finish(), crate::tokens::count(plain.as_bytes()));
    }
}
