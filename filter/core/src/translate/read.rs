//! Reads of a request's members: the type that an API says, or a sentence for the caller.

use serde_json::Number;

use super::{
    Untranslatable,
    json::{Json, Object},
    neutral::{Part, Reasoning, Source, Text},
};

#[inline(never)]
pub fn expect_object<'a>(value: Json<'a>, what: &str) -> Result<Object<'a>, Untranslatable> {
    value.into_object().ok_or_else(|| Untranslatable(format!("{what} must be an object")))
}

#[inline(never)]
pub fn expect_list<'a>(value: Json<'a>, what: &str) -> Result<Vec<Json<'a>>, Untranslatable> {
    value.into_list().ok_or_else(|| Untranslatable(format!("{what} must be a list")))
}

#[inline(never)]
pub fn expect_text<'a>(value: Json<'a>, what: &str) -> Result<Text<'a>, Untranslatable> {
    value.into_text().ok_or_else(|| Untranslatable(format!("{what} must be a text")))
}

/// A text is one part; nothing is none.
#[inline(never)]
pub fn text_or_parts<'a>(
    content: Option<Json<'a>>,
    at: &str,
    read: impl Fn(Json<'a>, &str) -> Result<Part<'a>, Untranslatable>,
) -> Result<Vec<Part<'a>>, Untranslatable> {
    match content {
        None => Ok(Vec::new()),
        Some(Json::Text(text)) => Ok(vec![Part::text(text)]),
        Some(Json::List(parts)) => {
            parts.into_iter().enumerate().map(|(n, part)| read(part, &format!("{at}[{n}]"))).collect()
        }
        Some(_) => Err(Untranslatable(format!("`{at}` must be a text or a list of parts"))),
    }
}

#[inline(never)]
pub fn number(body: &mut Object<'_>, key: &str) -> Result<Option<Number>, Untranslatable> {
    match body.take(key) {
        None => Ok(None),
        Some(Json::Number(number)) => Ok(Some(number)),
        Some(_) => Err(Untranslatable(format!("`{key}` must be a number"))),
    }
}

/// Fields that the model that answers could not heed, and that must not go unheeded.
#[inline(never)]
pub fn refuse_fields(object: &Object<'_>, names: &[&str]) -> Result<(), Untranslatable> {
    match names.iter().find(|name| object.get(name).is_some()) {
        Some(name) => Err(refused(name)),
        None => Ok(()),
    }
}

pub fn refused(what: &str) -> Untranslatable {
    Untranslatable(format!("the model that answers does not know `{what}`: send the request without it"))
}

/// Anthropic's `thinking`, which other APIs' clients send too.
pub fn thinking<'a>(thinking: Json<'a>, effort: Option<Text<'a>>) -> Result<Option<Reasoning<'a>>, Untranslatable> {
    let thinking = expect_object(thinking, "`thinking`")?;
    match (thinking.text("type"), thinking.u64("budget_tokens")) {
        (Some("enabled"), Some(budget)) => Ok(Some(Reasoning::Budget(budget))),
        (Some("adaptive"), _) => Ok(Some(Reasoning::Adaptive { effort })),
        (Some("disabled"), _) => Ok(Some(Reasoning::Off)),
        _ => Err(Untranslatable(
            "`thinking` must be {\"type\":\"enabled\",\"budget_tokens\":N}, or of type \"adaptive\" or \"disabled\""
                .into(),
        )),
    }
}

impl<'a> Source<'a> {
    /// A `data:` URL in base64 is its own bytes.
    pub fn of_url(url: Text<'a>) -> Self {
        let split = |url: &str| {
            let (media_type, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
            Some((media_type.split(';').next()?.to_owned(), url.len().checked_sub(data.len())?))
        };
        match split(&url) {
            Some((media_type, at)) => Self::Base64 { media_type: media_type.into(), data: behind(url, at) },
            None => Self::Url(url),
        }
    }

    pub fn into_url(self) -> Text<'a> {
        match self {
            Self::Url(url) => url,
            Self::Base64 { media_type, data } => format!("data:{media_type};base64,{data}").into(),
        }
    }
}

fn behind<'a>(text: Text<'a>, at: usize) -> Text<'a> {
    match text {
        Text::Borrowed(text) => text.get(at..).unwrap_or_default().into(),
        Text::Owned(mut text) => {
            text.drain(..at);
            text.into()
        }
    }
}
