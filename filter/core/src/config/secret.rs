//! Secrets: a reference in the policy in, a [`Secret`] out. No value is ever shown, also not one that was written where
//! a reference belongs.

use super::{
    document::Node,
    reader::{Field, Object},
    variables::MissingSecrets,
};
use crate::secret::Secret;

/// `Bearer` and the secret that exactly one of `key` (a reference) and `plaintext` gives.
pub(super) fn bearer_of(object: &mut Object<'_>, key: &'static str, plaintext: &'static str) -> Option<Secret> {
    secret_of(object, key, plaintext, Shape::Bearer)
}

/// The secret alone.
pub(super) fn plain_of(object: &mut Object<'_>, key: &'static str, plaintext: &'static str) -> Option<Secret> {
    secret_of(object, key, plaintext, Shape::Plain)
}

/// The secret alone, of any characters: it goes into no header.
pub(super) fn text_of(object: &mut Object<'_>, key: &'static str, plaintext: &'static str) -> Option<Secret> {
    secret_of(object, key, plaintext, Shape::Text)
}

/// What becomes of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A header's value behind `Bearer`.
    Bearer,
    /// A header's value.
    Plain,
    Text,
}

fn secret_of(object: &mut Object<'_>, key: &'static str, plaintext: &'static str, shape: Shape) -> Option<Secret> {
    match (object.take(key), object.take(plaintext)) {
        (Some(reference), None) => referred(&reference, shape),
        (None, Some(value)) => {
            value.warn(
                "a secret (not shown)",
                format!("`{key}` with a reference: a plaintext value stands in the policy and in /config_dump"),
            );
            let Node::Text(text) = value.node else {
                value.reject_unseen("a text");
                return None;
            };
            shaped(&value, text, shape)
        }
        (Some(_), Some(value)) => {
            value.report("a second secret (not shown)", format!("exactly one of `{key}` and `{plaintext}`"));
            None
        }
        (None, None) => {
            object.report_missing(key, &format!("a reference such as {REFERENCE}, or `{plaintext}`"));
            None
        }
    }
}

const REFERENCE: &str = "`{{secrets/SCOPE/KEY}}` or `{{env/NAME}}`";

/// `Bearer` and the secret that `field` refers to; empty where that is missing and may be.
pub(super) fn bearer(field: &Field<'_>) -> Option<Secret> {
    referred(field, Shape::Bearer)
}

fn referred(field: &Field<'_>, shape: Shape) -> Option<Secret> {
    let variable = match field.node {
        Node::Text(text) => variable(text),
        _ => None,
    };
    let Some(variable) = variable else {
        field.reject_unseen(format!("a reference such as {REFERENCE}"));
        return None;
    };
    let variables = &field.findings.variables;
    if let Some(value) = variables.resolve(variable.clone()) {
        return shaped(field, &value, shape);
    }
    let found = format!("no environment variable `{variable}`");
    let expected = "the secret in it: Envoy must have it and hand it to the VM";
    match variables.missing {
        MissingSecrets::Error => {
            field.report(found, expected);
            None
        }
        MissingSecrets::Warn => {
            field.warn(found, expected);
            Some(Secret::new(String::new()))
        }
    }
}

fn shaped(field: &Field<'_>, value: &str, shape: Shape) -> Option<Secret> {
    if shape == Shape::Text && !value.is_empty() {
        return Some(Secret::new(value.to_owned()));
    }
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_graphic()) {
        field.reject_unseen("a secret of visible ASCII characters, without spaces or line ends: it goes into a header");
        return None;
    }
    let prefix = if shape == Shape::Bearer { "Bearer " } else { "" };
    Some(Secret::new(format!("{prefix}{value}")))
}

/// The environment variable that a reference names; `None`: it is none.
pub(super) fn variable(reference: &str) -> Option<String> {
    let inner = reference.strip_prefix("{{")?.strip_suffix("}}")?;
    if let Some(name) = inner.strip_prefix("env/") {
        let first = name.bytes().next()?;
        let valid = !first.is_ascii_digit() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        return valid.then(|| name.to_owned());
    }
    let (scope, key) = inner.strip_prefix("secrets/")?.split_once('/')?;
    // What Databricks allows in both.
    let valid = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@'))
    };
    let upper = |name: &str| name.to_ascii_uppercase().replace(['-', '.', '@'], "_");
    (valid(scope) && valid(key)).then(|| format!("WEIR_SECRET_{}_{}", upper(scope), upper(key)))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn references() {
        for (reference, expected) in [
            ("{{secrets/openai/key}}", Some("WEIR_SECRET_OPENAI_KEY")),
            ("{{secrets/my-scope/a.b@c}}", Some("WEIR_SECRET_MY_SCOPE_A_B_C")),
            ("{{env/OPENAI_API_KEY}}", Some("OPENAI_API_KEY")),
            ("{{env/openai}}", Some("openai")),
            ("{{env/1A}}", None),
            ("{{env/}}", None),
            ("{{env/A=B}}", None),
            ("{{secrets/openai}}", None),
            ("{{secrets//key}}", None),
            ("{{secrets/a/b/c}}", None),
            ("{{ secrets/a/b }}", None),
            ("sk-123", None),
            ("", None),
        ] {
            assert_eq!(variable(reference).as_deref(), expected, "{reference}");
        }
    }

    #[test]
    fn never_printed() {
        assert_eq!(format!("{:?}", Secret::new("sk-123".to_owned())), "***");
    }
}
