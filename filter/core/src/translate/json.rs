//! A JSON document as a tree: members keep their order (a schema's is a hint to the model), texts are borrowed from the
//! document where they have no escapes. Bounded by a number of values, since a short document can hold many.

use std::{borrow::Cow, cell::Cell, fmt};

use serde::{
    Serialize, Serializer,
    de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::Number;

/// Values in one document, members' keys not counted: on wasm32 one takes at most 28 bytes beside its text.
pub const MAX_VALUES: usize = 1 << 20;

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json<'a> {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Object<'a>),
}

/// Members in the order of the document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Json<'a> {
    /// Reads a whole document.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for a message.
    #[inline(never)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let left = Cell::new(MAX_VALUES);
        let document = Seed(&left).deserialize(&mut deserializer).map_err(|e| e.to_string())?;
        deserializer.end().map_err(|e| e.to_string())?;
        Ok(document)
    }

    /// As [`Json::parse`], of a text that does not live long enough.
    pub fn parse_owned(text: &str) -> Result<Json<'static>, String> {
        Json::parse(text.as_bytes()).map(Json::into_owned)
    }

    #[inline(never)]
    pub fn to_bytes(&self) -> Vec<u8> {
        // A tree of texts, numbers and lists can always be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    #[inline(never)]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn into_list(self) -> Option<Vec<Json<'a>>> {
        match self {
            Json::List(list) => Some(list),
            _ => None,
        }
    }

    pub fn into_object(self) -> Option<Object<'a>> {
        match self {
            Json::Object(object) => Some(object),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Json::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Json::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }

    /// A member of an object; `None` also where it is null.
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        match self {
            Json::Object(object) => object.get(key),
            _ => None,
        }
    }

    #[inline(never)]
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Json::Null => Json::Null,
            Json::Bool(flag) => Json::Bool(flag),
            Json::Number(number) => Json::Number(number),
            Json::Text(text) => Json::Text(Cow::Owned(text.into_owned())),
            Json::List(list) => Json::List(list.into_iter().map(Json::into_owned).collect()),
            Json::Object(Object(members)) => Json::Object(Object(
                members.into_iter().map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned())).collect(),
            )),
        }
    }
}

impl<'a> Object<'a> {
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `key`, the last one where it stands twice; `None` also where it is null.
    #[inline(never)]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// As [`Object::get`]; null stays in its place.
    #[inline(never)]
    pub fn take(&mut self, key: &str) -> Option<Json<'a>> {
        let (_, value) = self.0.iter_mut().rev().find(|(name, _)| name == key)?;
        Some(std::mem::take(value)).filter(|value| !value.is_null())
    }

    #[inline(never)]
    pub fn take_text(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take(key)?.into_text()
    }

    #[inline(never)]
    pub fn take_list(&mut self, key: &str) -> Option<Vec<Json<'a>>> {
        self.take(key)?.into_list()
    }

    #[inline(never)]
    pub fn take_object(&mut self, key: &str) -> Option<Object<'a>> {
        self.take(key)?.into_object()
    }

    #[inline(never)]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    #[inline(never)]
    pub fn u64(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// Adds a member at the end.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Json<'a>>) -> Self {
        self.set(key, value);
        self
    }

    /// As [`Object::with`], where there is a value.
    #[must_use]
    pub fn maybe(self, key: &'static str, value: Option<impl Into<Json<'a>>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    pub fn set(&mut self, key: &'static str, value: impl Into<Json<'a>>) {
        self.push(key, value.into());
    }

    // Called in hundreds of places: inlined it would be a tenth of the filter.
    #[inline(never)]
    fn push(&mut self, key: &'static str, value: Json<'a>) {
        self.0.push((Cow::Borrowed(key), value));
    }

    /// Adds all members of another.
    pub fn extend(&mut self, other: Object<'a>) {
        self.0.extend(other.0);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline(never)]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

macro_rules! from {
    ($($from:ty => |$value:ident| $json:expr;)*) => {
        $(impl<'a> From<$from> for Json<'a> {
            fn from($value: $from) -> Self {
                $json
            }
        })*
    };
}

from! {
    &'a str => |text| Json::Text(Cow::Borrowed(text));
    String => |text| Json::Text(Cow::Owned(text));
    Cow<'a, str> => |text| Json::Text(text);
    bool => |flag| Json::Bool(flag);
    u64 => |number| Json::Number(number.into());
    Number => |number| Json::Number(number);
    Vec<Json<'a>> => |list| Json::List(list);
    Object<'a> => |object| Json::Object(object);
}

struct Seed<'c>(&'c Cell<usize>);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        let left = self.0.get().checked_sub(1);
        let left = left.ok_or_else(|| D::Error::custom(format!("more than {MAX_VALUES} values")))?;
        self.0.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Seed(self.0))? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            members.push((key.0, map.next_value_seed(Seed(self.0))?));
        }
        Ok(Json::Object(Object(members)))
    }
}

/// Borrowed where it can be, which `Cow` alone is not.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(flag) => serializer.serialize_bool(*flag),
            Json::Number(number) => number.serialize(serializer),
            Json::Text(text) => serializer.serialize_str(text),
            Json::List(list) => {
                let mut seq = serializer.serialize_seq(Some(list.len()))?;
                list.iter().try_for_each(|item| seq.serialize_element(item))?;
                seq.end()
            }
            Json::Object(object) => object.serialize(serializer),
        }
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn documents_come_out_as_they_went_in() {
        for text in [
            r#"{"z":1,"a":[true,false,null,-1,1.5,18446744073709551615],"m":{"z":"é\n","a":{}}}"#,
            r#"["\u0000",""]"#,
            "0",
        ] {
            assert_eq!(Json::parse(text.as_bytes()).unwrap().to_text(), text);
            assert_eq!(Json::parse_owned(text).unwrap().to_text(), text);
        }
    }

    #[test]
    fn the_last_of_two_counts_and_null_is_absent() {
        let mut object = Json::parse(br#"{"a":1,"a":2,"b":null}"#).unwrap().into_object().unwrap();
        assert_eq!((object.u64("a"), object.get("b")), (Some(2), None));
        assert_eq!(object.take("a").and_then(|a| a.as_u64()), Some(2));
        assert_eq!(object.take("a"), None, "taken");
    }

    #[test]
    fn what_is_too_much_is_an_error() {
        let many = format!("[{}0]", "0,".repeat(MAX_VALUES));
        assert!(Json::parse(many.as_bytes()).unwrap_err().contains("values"));
        let deep = "[".repeat(100_000);
        for text in [deep.as_str(), "", "{", "{} {}", "{\"a\"}", "\u{feff}{}"] {
            assert!(Json::parse(text.as_bytes()).is_err());
        }
    }
}
