//! The one pass over a request's body.

use std::{borrow::Cow, collections::BTreeMap, fmt, ops::Range};

use serde::{
    Deserialize,
    de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{ApiRequest, Field, InvalidRequest, MAX_USAGE_CONTEXT_BYTES, Prompt, StreamOptions, text};
use crate::key::Key;

/// Reads `body`, which must be one JSON object. A field that Weir owns must have its type and stand only once, or else a
/// provider could read another one than Weir did.
pub fn parse(body: &[u8]) -> Result<ApiRequest, InvalidRequest> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(InvalidRequest("the request's body is empty: send a JSON object".into()));
    }
    let text = std::str::from_utf8(body)
        .map_err(|e| InvalidRequest(format!("the request's body is not UTF-8 from byte {}", e.valid_up_to())))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let request = deserializer
        .deserialize_map(Body { text })
        .and_then(|request| deserializer.end().map(|()| request))
        .map_err(|e| InvalidRequest(format!("the request's body is not a valid JSON request: {e}")))?;
    Ok(request)
}

const TWICE: &str = "a field that the gateway reads stands twice";

struct Body<'de> {
    text: &'de str,
}

impl<'de> Visitor<'de> for Body<'de> {
    type Value = ApiRequest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ApiRequest, A::Error> {
        let first_member = self.text.find('{').map_or(0, |at| at.saturating_add(1));
        let mut request = ApiRequest { first_member, ..ApiRequest::default() };
        while let Some(Key(key)) = map.next_key()? {
            request.members = request.members.saturating_add(1);
            match &*key {
                "model" => once(&mut request.model, self.field(&mut map, "model", "a string")?)?,
                "stream" => {
                    let stream = map.next_value::<Option<bool>>()?.unwrap_or(false);
                    if request.stream.replace(stream).is_some() {
                        return Err(A::Error::custom(TWICE));
                    }
                }
                "stream_options" => {
                    let field = self.field::<Options, _>(&mut map, "stream_options", "an object")?;
                    once(&mut request.stream_options, field.map(|options| options.0))?;
                }
                "client_request_id" => {
                    once(&mut request.client_request_id, self.field(&mut map, "client_request_id", "a string")?)?;
                }
                "usage_context" => once(&mut request.usage_context, self.usage_context(&mut map)?)?,
                "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
                    request.max_tokens = request.max_tokens.max(whole(map.next_value()?));
                }
                // Of `best_of` answers `n` come back, and all are paid for.
                "n" | "best_of" => request.choices = request.choices.max(whole(map.next_value()?)),
                "messages" => prompt(&mut request, &mut map, Prompt::Messages)?,
                "prompt" => prompt(&mut request, &mut map, Prompt::Prompt)?,
                "input" => prompt(&mut request, &mut map, Prompt::Input)?,
                // Anthropic's, and that of OpenAI's responses: they stand beside the prompt.
                "system" | "instructions" => {
                    let text = text::Prompt::of(map.next_value()?).map_err(A::Error::custom)?;
                    request.characters = request.characters.saturating_add(text.characters());
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(request)
    }
}

impl<'de> Body<'de> {
    /// The next value with its place. `expected` completes the message where it has another type.
    fn field<T: Deserialize<'de>, A: MapAccess<'de>>(
        &self,
        map: &mut A,
        name: &str,
        expected: &str,
    ) -> Result<Field<T>, A::Error> {
        let raw = map.next_value::<&'de RawValue>()?.get();
        let value = serde_json::from_str(raw).map_err(|_| A::Error::custom(format!("`{name}` must be {expected}")))?;
        let value_range = self.range_of(raw);
        Ok(Field { value, member_range: self.member(&value_range), value_range })
    }

    fn usage_context<A: MapAccess<'de>>(&self, map: &mut A) -> Result<Field<BTreeMap<String, String>>, A::Error> {
        let field = self.field::<Option<BTreeMap<String, String>>, A>(map, "usage_context", "an object of strings")?;
        let field = field.map(Option::unwrap_or_default);
        let bytes = field.value.iter().map(|(key, value)| key.len().saturating_add(value.len())).sum::<usize>();
        if bytes > MAX_USAGE_CONTEXT_BYTES {
            return Err(A::Error::custom(format!(
                "`usage_context` holds {bytes} bytes, at most {MAX_USAGE_CONTEXT_BYTES} are allowed"
            )));
        }
        Ok(field)
    }

    /// Where a slice of the body stands in it.
    fn range_of(&self, part: &str) -> Range<usize> {
        let start = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        start..start.saturating_add(part.len())
    }

    /// From the key's opening quote to the value's end. A key that equals one of Weir's has no quote inside, in whatever
    /// way it is escaped: so its opening quote is the last one before its closing one.
    fn member(&self, value: &Range<usize>) -> Range<usize> {
        let before = self.text.get(..value.start).unwrap_or_default();
        let key = before.rfind('"').and_then(|close| before.get(..close)?.rfind('"'));
        key.unwrap_or(value.start)..value.end
    }
}

impl<T> Field<T> {
    fn map<U>(self, f: impl FnOnce(T) -> U) -> Field<U> {
        Field { value: f(self.value), value_range: self.value_range, member_range: self.member_range }
    }
}

/// Sets a field that may stand only once.
fn once<T, E: Error>(slot: &mut Option<Field<T>>, field: Field<T>) -> Result<(), E> {
    match slot.replace(field) {
        None => Ok(()),
        Some(_) => Err(E::custom(TWICE)),
    }
}

/// A number that only a reservation looks at, rounded up where somebody writes `1e3` or `50.0`; anything else is for the
/// provider to judge.
fn whole(raw: &RawValue) -> Option<u64> {
    let float = || raw.get().parse::<f64>().ok().filter(|number| *number >= 0.0).map(|number| number.ceil() as u64);
    raw.get().parse().ok().or_else(float)
}

/// Counts a prompt, and checks that messages are a list.
fn prompt<'de, A: MapAccess<'de>>(request: &mut ApiRequest, map: &mut A, kind: Prompt) -> Result<(), A::Error> {
    if request.prompt == Some(kind) {
        return Err(A::Error::custom("the prompt stands twice"));
    }
    let characters = match kind {
        Prompt::Messages => map.next_value_seed(text::Messages)?,
        Prompt::Prompt | Prompt::Input => {
            let raw = map.next_value()?;
            if kind == Prompt::Prompt {
                request.prompts = text::prompts(raw).map_err(A::Error::custom)?;
            }
            text::Prompt::of(raw).map_err(A::Error::custom)?.characters()
        }
    };
    request.characters = request.characters.saturating_add(characters);
    request.prompt = Some(kind);
    Ok(())
}

/// `stream_options`: null or an object.
struct Options(StreamOptions);

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(object) = Option::<BTreeMap<Cow<'de, str>, serde_json::Value>>::deserialize(deserializer)? else {
            return Ok(Self(StreamOptions::Null));
        };
        let include_usage = match object.get("include_usage") {
            None | Some(serde_json::Value::Null) => false,
            Some(value) => value.as_bool().ok_or_else(|| D::Error::custom("not a boolean"))?,
        };
        Ok(Self(StreamOptions::Object { include_usage }))
    }
}
