//! OpenAI's responses, whole or one event of a stream: usage, what the model wrote, reason of the end.

use super::{Read, Reported, Terminal, long_enough};
use crate::{
    tokens::KeptText,
    translate::json::{Json, Object},
};

/// A whole response; `None` where it is none.
pub fn whole(body: &[u8]) -> Option<Read> {
    let mut read = Read::default();
    let response = Json::parse(body).ok()?.into_object()?;
    finish(&response, &mut read);
    let items = response.get("output").map(items).unwrap_or_default();
    items.iter().for_each(|found| item(found, &mut read.text));
    Some(read)
}

/// One event's data.
pub fn event(data: &[u8], read: &mut Read) -> Option<Terminal> {
    let mut event = Json::parse(data).ok()?.into_object()?;
    let kind = event.take_text("type")?;
    match &*kind {
        "response.completed" | "response.incomplete" => {
            finish(&event.take_object("response")?, read);
            return Some(Terminal::Done);
        }
        "response.failed" => {
            finish(&event.take_object("response")?, read);
            return Some(Terminal::Error);
        }
        "error" => return Some(Terminal::Error),
        kind if kind.ends_with(".delta") => {
            read.text.push_plain(event.text("delta").unwrap_or_default());
        }
        _ => {}
    }
    None
}

/// The reason is that of an incomplete one, or the status.
fn finish(response: &Object<'_>, read: &mut Read) {
    let reason = response.get("incomplete_details").and_then(|details| details.get("reason"));
    let reason = reason.or(response.get("status")).and_then(Json::as_text);
    read.finish_reason = reason.and_then(|reason| long_enough(reason.to_owned().into()));
    read.usage = response.get("usage").map(|counts| {
        let count = |key: &str| counts.get(key).and_then(Json::as_u64);
        let detail = |of: &str, key: &str| counts.get(of)?.get(key)?.as_u64();
        Reported {
            input: count("input_tokens"),
            output: count("output_tokens"),
            cached_input: detail("input_tokens_details", "cached_tokens"),
            cache_write_input: detail("input_tokens_details", "cache_write_tokens"),
            reasoning: detail("output_tokens_details", "reasoning_tokens"),
        }
    });
}

fn items<'a, 'j>(list: &'j Json<'a>) -> &'j [Json<'a>] {
    match list {
        Json::List(items) => items,
        _ => &[],
    }
}

fn item(item: &Json<'_>, text: &mut KeptText) {
    let parts = ["content", "summary"].into_iter().filter_map(|key| item.get(key)).flat_map(items);
    let texts = parts.filter_map(|part| part.get("text").or(part.get("refusal"))?.as_text());
    let arguments = item.get("arguments").and_then(Json::as_text);
    texts.chain(arguments).for_each(|part| text.push_plain(part));
}
