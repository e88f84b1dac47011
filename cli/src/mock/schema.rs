//! A value that fits a JSON schema, for tool arguments and for answers that must be JSON. A schema comes in, the same value
//! comes out every time; what it does not say is made up, and what it says too deeply is cut off.

use serde_json::{Map, Value, json};

/// Schemas nested deeper than this get null.
const DEEPEST: usize = 12;
/// From this depth on only what is required is there, so that a schema that holds itself ends.
const ALL_TO: usize = 4;
/// Values that one sample has at most.
const MOST_VALUES: usize = 1000;

/// A value for a schema; an empty object where there is no schema.
pub fn sample(schema: &Value) -> Value {
    match schema {
        Value::Object(_) => Sampler { root: schema, left: MOST_VALUES }.value(schema, 0),
        _ => json!({}),
    }
}

struct Sampler<'a> {
    /// What a `$ref` starts from.
    root: &'a Value,
    left: usize,
}

impl Sampler<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if depth > DEEPEST || self.left == 0 {
            return Value::Null;
        }
        self.left = self.left.saturating_sub(1);
        let deeper = depth.saturating_add(1);
        if let Some(target) = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#')) {
            return self.root.pointer(target).map_or(Value::Null, |schema| self.value(schema, deeper));
        }
        if let Some(only) = schema.get("const").or_else(|| schema["enum"].get(0)) {
            return only.clone();
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = schema[key].get(0) {
                return self.value(first, deeper);
            }
        }
        // A list of types means the first of them that is not null. Google's types are in upper case.
        let kinds = schema["type"].as_array().map_or_else(|| std::slice::from_ref(&schema["type"]), Vec::as_slice);
        let kind = kinds.iter().filter_map(Value::as_str).find(|kind| !kind.eq_ignore_ascii_case("null"));
        match kind.map(str::to_ascii_lowercase).as_deref() {
            Some("string") => json!(text(schema["format"].as_str())),
            Some("integer") => schema.get("minimum").filter(|n| n.is_i64()).cloned().unwrap_or(json!(1)),
            Some("number") => schema.get("minimum").filter(|n| n.is_number()).cloned().unwrap_or(json!(1.5)),
            Some("boolean") => json!(true),
            Some("array") => match &schema["items"] {
                items @ Value::Object(_) => json!([self.value(items, deeper)]),
                _ => json!([]),
            },
            None if !schema["properties"].is_object() => Value::Null,
            _ => self.object(schema, depth),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        let wanted = |name: &String| depth < ALL_TO || required.iter().any(|one| one == name);
        let properties = schema["properties"].as_object().into_iter().flatten().filter(|(name, _)| wanted(name));
        let deeper = depth.saturating_add(1);
        Value::Object(
            properties.map(|(name, schema)| (name.clone(), self.value(schema, deeper))).collect::<Map<_, _>>(),
        )
    }
}

fn text(format: Option<&str>) -> &'static str {
    match format {
        Some("date-time") => "2024-01-01T00:00:00Z",
        Some("date") => "2024-01-01",
        Some("time") => "00:00:00Z",
        Some("email") => "weir@example.com",
        Some("uri") => "https://example.com/",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        _ => "weir",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_their_schema() {
        for (schema, want) in [
            (json!(null), json!({})),
            (json!({"type": "object"}), json!({})),
            (
                json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"enum": ["x", "y"]},
                    "c": {"type": ["null", "integer"], "minimum": 7}, "d": {"type": "array", "items": {"type": "boolean"}}}}),
                json!({"a": "weir", "b": "x", "c": 7, "d": [true]}),
            ),
            (
                json!({"$defs": {"p": {"type": "number"}}, "type": "object", "properties": {"p": {"$ref": "#/$defs/p"}}}),
                json!({"p": 1.5}),
            ),
            (json!({"anyOf": [{"type": "STRING", "format": "date"}, {"type": "null"}]}), json!("2024-01-01")),
        ] {
            assert_eq!(sample(&schema), want, "{schema}");
        }
        // A schema that holds itself ends, also when it does so in many places or must.
        let again = json!({"$ref": "#"});
        let endless = sample(&json!({"type": "object", "properties": {"again": again}}));
        assert_eq!(endless, json!({"again": {"again": {}}}));
        let names: Vec<String> = (0..50).map(|n| format!("n{n}")).collect();
        let properties: Map<String, Value> = names.iter().map(|name| (name.clone(), again.clone())).collect();
        let wide = sample(&json!({"type": "object", "properties": properties, "required": names}));
        assert!(wide.to_string().len() < 20 * MOST_VALUES * names.len());
    }
}
