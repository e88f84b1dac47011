//! Anthropic's answers, whole or one event of a stream: usage, what the model wrote, reason of the end.

use super::{Read, Reported, Terminal, long_enough};
use crate::{
    tokens::KeptText,
    translate::{
        json::{Json, Object},
        neutral::Usage,
        provider::anthropic,
    },
};

/// A whole message; `None` where it is none.
pub fn whole(body: &[u8]) -> Option<Read> {
    let mut message = Json::parse(body).ok()?.into_object()?;
    let usage = message.get("usage").map(|counts| anthropic::usage(counts, Usage::default()));
    let blocks = message.take_list("content").unwrap_or_default();
    Some(Read {
        usage: usage.map(Reported::from),
        text: blocks.iter().fold(KeptText::default(), block),
        finish_reason: message.take_text("stop_reason").and_then(long_enough),
        ..Read::default()
    })
}

/// One event's data. The counts come in two events: `before` is what the first said.
pub fn event(data: &[u8], before: &mut Usage, read: &mut Read) -> Option<Terminal> {
    let mut event = Json::parse(data).ok()?.into_object()?;
    let kind = event.take_text("type")?;
    let mut counts = |of: &Object<'_>| {
        if let Some(counts) = of.get("usage") {
            *before = anthropic::usage(counts, *before);
            read.usage = Some(Reported::from(*before));
        }
    };
    match &*kind {
        "message_start" => counts(&event.take_object("message")?),
        "message_delta" => {
            counts(&event);
            let reason = event.take_object("delta").and_then(|mut delta| delta.take_text("stop_reason"));
            read.finish_reason = reason.and_then(long_enough).or(read.finish_reason.take());
        }
        "content_block_delta" => {
            let delta = event.get("delta")?;
            let texts = ["text", "thinking", "partial_json"].into_iter().filter_map(|key| delta.get(key)?.as_text());
            texts.for_each(|text| read.text.push_plain(text));
        }
        "message_stop" => return Some(Terminal::Done),
        "error" => return Some(Terminal::Error),
        _ => {}
    }
    None
}

fn block(mut text: KeptText, block: &Json<'_>) -> KeptText {
    let texts = ["text", "thinking"].into_iter().filter_map(|key| block.get(key)?.as_text());
    texts.for_each(|part| text.push_plain(part));
    if let Some(input) = block.get("input") {
        text.push_plain(&input.to_text());
    }
    text
}
