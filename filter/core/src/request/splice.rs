//! The body for a provider of the caller's own format: the bytes as they came, but for the fields that Weir owns.

use std::ops::Range;

use super::{ApiRequest, StreamOptions};

/// What goes upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spliced {
    /// `None`: the body may go as it came.
    pub body: Option<Vec<u8>>,
    /// Where the value of `model` stands in what goes upstream, quotes included.
    pub model_range: Range<usize>,
}

/// As [`splice`], of a body that has no `model`: the gateway's own fields alone are removed.
pub fn strip(body: &[u8], request: &ApiRequest) -> Spliced {
    Spliced { body: removals(body, request).apply(body), model_range: 0..0 }
}

/// Sets `model`, removes the gateway's own fields, and asks for a stream's usage where `with_usage` says so.
pub fn splice(body: &[u8], request: &ApiRequest, model: &str, with_usage: bool) -> Spliced {
    let model = quoted(model);
    let mut edits = removals(body, request);
    let kept = request.members.saturating_sub(edits.removed);
    let mut front = String::new();
    if request.model.is_none() {
        front.push_str("\"model\":");
        front.push_str(&model);
    }
    match &request.stream_options {
        None if with_usage => {
            front.push_str(if front.is_empty() { "" } else { "," });
            front.push_str("\"stream_options\":{\"include_usage\":true}");
        }
        Some(field) if with_usage && field.value != (StreamOptions::Object { include_usage: true }) => {
            edits.push(field.value_range.clone(), options_with_usage(body, &field.value_range));
        }
        _ => {}
    }
    if !front.is_empty() {
        front.push_str(if kept > 0 { "," } else { "" });
        edits.push(request.first_member..request.first_member, front);
    }
    if let Some(field) = &request.model
        && body.get(field.value_range.clone()) != Some(model.as_bytes())
    {
        edits.push(field.value_range.clone(), model.clone());
    }
    edits.list.sort_by_key(|(range, _)| (range.start, range.end));
    let model_start = match &request.model {
        Some(field) => edits.shifted(field.value_range.start),
        None => request.first_member.saturating_add("\"model\":".len()),
    };
    Spliced { body: edits.apply(body), model_range: model_start..model_start.saturating_add(model.len()) }
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Replacements that do not overlap.
#[derive(Default)]
struct Edits {
    list: Vec<(Range<usize>, String)>,
    removed: usize,
}

impl Edits {
    fn push(&mut self, range: Range<usize>, text: String) {
        self.list.push((range, text));
    }

    /// Where `at` comes to stand, edits before it counted.
    fn shifted(&self, at: usize) -> usize {
        let before = self.list.iter().filter(|(range, _)| range.end <= at && range.start < at);
        before.fold(at, |at, (range, text)| at.saturating_add(text.len()).saturating_sub(range.len()))
    }

    /// `None`: nothing changes.
    fn apply(&self, body: &[u8]) -> Option<Vec<u8>> {
        if self.list.is_empty() {
            return None;
        }
        let grown: usize = self.list.iter().map(|(_, text)| text.len()).sum();
        let mut spliced = Vec::with_capacity(body.len().saturating_add(grown));
        let mut at = 0;
        for (range, text) in &self.list {
            spliced.extend_from_slice(body.get(at..range.start).unwrap_or_default());
            spliced.extend_from_slice(text.as_bytes());
            at = range.end;
        }
        spliced.extend_from_slice(body.get(at..).unwrap_or_default());
        Some(spliced)
    }
}

/// Removes `client_request_id` and `usage_context`, with one comma for each.
fn removals(body: &[u8], request: &ApiRequest) -> Edits {
    let ids = request.client_request_id.as_ref().map(|field| &field.member_range);
    let contexts = request.usage_context.as_ref().map(|field| &field.member_range);
    let mut members: Vec<Range<usize>> = ids.into_iter().chain(contexts).cloned().collect();
    members.sort_by_key(|range| range.start);
    let removed = members.len();
    // Two neighbours go as one run, or else the comma between them would count for both.
    if let [first, second] = members.as_slice()
        && comma_after(body, first.end).is_some_and(|comma| skip_space(body, comma) == second.start)
    {
        let run = first.start..second.end;
        members.clear();
        members.push(run);
    }
    let list = members.into_iter().map(|run| (with_comma(body, run), String::new())).collect();
    Edits { list, removed }
}

/// The run with the comma behind it, or the one before it where it stands last.
fn with_comma(body: &[u8], run: Range<usize>) -> Range<usize> {
    if let Some(end) = comma_after(body, run.end) {
        return run.start..end;
    }
    let before = body.get(..run.start).unwrap_or_default();
    let last = before.iter().rposition(|byte| !byte.is_ascii_whitespace());
    let start = last.filter(|at| before.get(*at) == Some(&b',')).unwrap_or(run.start);
    start..run.end
}

/// Behind the comma that follows `at`, white space skipped.
fn comma_after(body: &[u8], at: usize) -> Option<usize> {
    let comma = skip_space(body, at);
    (body.get(comma) == Some(&b',')).then(|| comma.saturating_add(1))
}

fn skip_space(body: &[u8], at: usize) -> usize {
    let rest = body.get(at..).unwrap_or_default();
    at.saturating_add(rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count())
}

/// The client's own `stream_options` with `include_usage` set: small, and the gateway's field, so it is serialized anew.
fn options_with_usage(body: &[u8], range: &Range<usize>) -> String {
    let value = body.get(range.clone()).and_then(|bytes| serde_json::from_slice(bytes).ok());
    let mut options: serde_json::Map<String, serde_json::Value> = value.unwrap_or_default();
    options.insert("include_usage".into(), true.into());
    serde_json::Value::Object(options).to_string()
}
