//! Messages and their blocks as Converse wants them: speakers in turn, no blank text, no empty message, documents with names of
//! their own.

use crate::translate::{
    Untranslatable,
    json::{Json, Object},
    neutral::*,
    provider::google::SIGNED,
    read::refused,
};

pub struct Content {
    /// Others' models take no thinking back.
    is_anthropic: bool,
    /// How many there are so far: Bedrock takes no two of one name.
    documents: usize,
}

impl Content {
    pub fn new(is_anthropic: bool) -> Self {
        Self { is_anthropic, documents: 0 }
    }

    pub fn messages<'a>(&mut self, turns: Vec<Turn<'a>>) -> Result<Vec<Json<'a>>, Untranslatable> {
        let mut messages: Vec<(Speaker, Vec<Json<'a>>)> = Vec::with_capacity(turns.len());
        for turn in turns {
            let mut blocks = self.blocks(turn.parts)?;
            match messages.last_mut() {
                _ if blocks.is_empty() => {}
                // The one between them had nothing to say.
                Some((speaker, last)) if *speaker == turn.speaker => last.append(&mut blocks),
                _ => messages.push((turn.speaker, blocks)),
            }
        }
        let message = |(speaker, blocks): (Speaker, Vec<Json<'a>>)| {
            let role = match speaker {
                Speaker::Assistant => "assistant",
                Speaker::User => "user",
            };
            Object::new().with("role", role).with("content", blocks).into()
        };
        Ok(messages.into_iter().map(message).collect())
    }

    /// A part's mark is a block behind it.
    pub fn blocks<'a>(&mut self, parts: Vec<Part<'a>>) -> Result<Vec<Json<'a>>, Untranslatable> {
        let mut blocks = Vec::with_capacity(parts.len());
        for part in parts {
            let (block, mark) = self.block(part)?;
            blocks.extend(block.map(Json::from));
            blocks.extend(mark.filter(|_| !blocks.is_empty()).map(|mark| cache_point(&mark).into()));
        }
        Ok(blocks)
    }

    fn block<'a>(&mut self, part: Part<'a>) -> Result<(Option<Object<'a>>, Option<Json<'a>>), Untranslatable> {
        let one = |key: &'static str, value: Json<'a>| Some(Object::new().with(key, value));
        Ok(match part {
            Part::Text { text, cache } => {
                (Some(text).filter(|text| !text.trim().is_empty()).and_then(|text| one("text", text.into())), cache)
            }
            Part::Refusal { text } => {
                (Some(text).filter(|text| !text.trim().is_empty()).and_then(|text| one("text", text.into())), None)
            }
            Part::Image { source, cache, .. } => (one("image", image(source)?.into()), cache),
            Part::File { source, name, cache } => (one("document", self.document(source, name)?.into()), cache),
            Part::Thinking { .. } | Part::RedactedThinking { .. } if !self.is_anthropic => (None, None),
            Part::Thinking { text, signature } => (thinking(text, signature), None),
            Part::RedactedThinking { data } => {
                (one("reasoningContent", Object::new().with("redactedContent", data).into()), None)
            }
            Part::ToolCall { id, name, arguments, cache } => {
                let input = arguments.into_tree().ok_or_else(|| {
                    Untranslatable(format!("the arguments of tool call {id:?} are not a JSON object"))
                })?;
                let call = Object::new().with("toolUseId", id).with("name", name).with("input", input);
                (one("toolUse", call.into()), cache)
            }
            Part::ToolResult { id, parts, is_error, cache } => {
                let (result, mark) = self.tool_result(id, parts, is_error)?;
                (one("toolResult", result.into()), cache.or(mark))
            }
        })
    }

    /// No mark may stand within: it goes behind. Something must: where a tool said nothing, that is an empty object.
    fn tool_result<'a>(
        &mut self,
        id: Text<'a>,
        parts: Vec<Part<'a>>,
        is_error: bool,
    ) -> Result<(Object<'a>, Option<Json<'a>>), Untranslatable> {
        let (mut content, mut mark) = (Vec::with_capacity(parts.len()), None);
        for part in parts {
            let (block, cache) = self.block(part)?;
            content.extend(block.map(Json::from));
            mark = cache.or(mark);
        }
        if content.is_empty() {
            content.push(Object::new().with("json", Object::new()).into());
        }
        let result =
            Object::new().with("toolUseId", id).with("content", content).maybe("status", is_error.then_some("error"));
        Ok((result, mark))
    }

    fn document<'a>(&mut self, source: Source<'a>, name: Option<Text<'a>>) -> Result<Object<'a>, Untranslatable> {
        let Source::Base64 { media_type, data } = source else { return Err(no_urls("file")) };
        let format = match &*media_type {
            "application/pdf" => "pdf",
            "text/csv" => "csv",
            "application/msword" => "doc",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
            "application/vnd.ms-excel" => "xls",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
            "text/html" => "html",
            "text/plain" => "txt",
            "text/markdown" => "md",
            _ => return Err(refused(&media_type)),
        };
        self.documents = self.documents.saturating_add(1);
        let name = document_name(name.as_deref().unwrap_or_default(), self.documents);
        Ok(Object::new().with("format", format).with("name", name).with("source", Object::new().with("bytes", data)))
    }
}

/// `cache_control` as it came; of its members, how long the cache shall live.
pub fn cache_point(mark: &Json<'_>) -> Object<'static> {
    let ttl = mark.get("ttl").and_then(Json::as_text).map(str::to_owned);
    Object::new().with("cachePoint", Object::new().with("type", "default").maybe("ttl", ttl))
}

/// Without its signature it is not taken back either; Google's is another one.
fn thinking<'a>(text: Text<'a>, signature: Option<Text<'a>>) -> Option<Object<'a>> {
    let signature = signature.filter(|own| !own.is_empty() && !own.starts_with(SIGNED))?;
    let thought = Object::new().with("text", text).with("signature", signature);
    Some(Object::new().with("reasoningContent", Object::new().with("reasoningText", thought)))
}

fn image(source: Source<'_>) -> Result<Object<'_>, Untranslatable> {
    let Source::Base64 { media_type, data } = source else { return Err(no_urls("image")) };
    let format = match &*media_type {
        "image/gif" => "gif",
        "image/jpeg" | "image/jpg" => "jpeg",
        "image/png" => "png",
        "image/webp" => "webp",
        _ => return Err(refused(&media_type)),
    };
    Ok(Object::new().with("format", format).with("source", Object::new().with("bytes", data)))
}

fn no_urls(what: &str) -> Untranslatable {
    Untranslatable(format!("the model that answers takes no {what} by its URL: send its data in base64"))
}

/// Letters, digits, `-`, `()`, `[]` and single spaces, at most 200 characters (Bedrock's own rule); its number where it is not
/// the first.
fn document_name(name: &str, number: usize) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']');
    let mut clean = String::with_capacity(stem.len());
    for c in stem.chars().take(150) {
        let c = if c.is_whitespace() { ' ' } else { c };
        match c {
            ' ' if clean.ends_with(' ') || clean.is_empty() => {}
            ' ' => clean.push(' '),
            c => clean.push(if allowed(c) { c } else { '-' }),
        }
    }
    let clean = if clean.trim().is_empty() { "document" } else { clean.trim() };
    if number > 1 { format!("{clean} ({number})") } else { clean.to_owned() }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn names_of_documents() {
        for (name, number, expected) in [
            ("", 1, "document"),
            (" .pdf", 1, "document"),
            ("a_b  c.v2.pdf", 1, "a-b c-v2"),
            ("ä (1) [2].md", 2, "- (1) [2] (2)"),
            ("\t x \n", 1, "x"),
        ] {
            assert_eq!(document_name(name, number), expected);
        }
        assert!(document_name(&"é".repeat(999), 7).len() <= 200);
    }
}
