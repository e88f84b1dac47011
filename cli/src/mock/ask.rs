//! What a request asks for, whatever its protocol: each protocol's reader makes an `Ask`, `say` answers it, and the protocol's
//! writer gives the answer its shape. Nothing here knows a protocol's names.

use serde_json::Value;

/// Tools that one answer calls at most.
const MOST_CALLS: usize = 8;
/// Alternatives that one answer has at most (`n`, `candidateCount`); OpenAI's own limit is 128.
pub const MOST_CHOICES: u64 = 128;

/// What of a request the mock answers to.
#[derive(Debug, Default)]
pub struct Ask {
    pub model: String,
    pub stream: bool,
    pub include_usage: bool,
    pub max_tokens: Option<u64>,
    pub prompt_tokens: u64,
    /// How many alternatives; 0 is 1.
    pub choices: usize,
    pub stop: Vec<String>,
    /// The tools to be called in this answer: what is left when the request's choice and limits were heard.
    pub tools: Vec<Tool>,
    /// What the tools of the turn before said; there is some exactly if the conversation ends with tool results.
    pub results: Option<String>,
    /// The answer's text must be JSON; of this schema, if it has one.
    pub json: Option<Value>,
    /// The caller wants to see (or count) reasoning.
    pub reasoning: bool,
    pub logprobs: bool,
    /// The inputs of an embeddings request, as texts that decide its numbers.
    pub inputs: Vec<String>,
    pub dimensions: Option<usize>,
    pub base64: bool,
}

/// A function that the caller offers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tool {
    pub name: String,
    /// JSON schema of its arguments.
    pub schema: Value,
}

/// Which tools a request lets, or makes, the model call.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Choice {
    #[default]
    Auto,
    None,
    Any,
    One(String),
}

impl Ask {
    /// Settles which tools the answer calls: after results none (unless the choice forces one), else the one that is named,
    /// else all of them, or the first where parallel calls are forbidden. A choice of an unknown tool is the 400's message.
    pub fn offer(&mut self, tools: Vec<Tool>, choice: &Choice, parallel: bool) -> Result<(), String> {
        let most = if parallel { MOST_CALLS } else { 1 };
        let answered = self.results.is_some();
        self.tools = match choice {
            Choice::None => Vec::new(),
            Choice::Auto if answered => Vec::new(),
            Choice::Auto | Choice::Any => tools.into_iter().take(most).collect(),
            Choice::One(name) => {
                let one = tools.into_iter().find(|tool| tool.name == *name);
                vec![one.ok_or_else(|| format!("the tool choice names `{name}`, which is not among the tools"))?]
            }
        };
        Ok(())
    }
}

/// Every text under a value in order: strings, and objects' `text`, `content`, `thinking` and `input`s as they stand.
pub fn texts(value: &Value) -> String {
    let mut all = Vec::new();
    collect(value, &mut all);
    all.join(" ")
}

fn collect<'a>(value: &'a Value, all: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => all.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, all)),
        Value::Object(part) => {
            for key in ["text", "content", "output"] {
                if let Some(value) = part.get(key) {
                    collect(value, all);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(results: Option<&str>, choice: Choice, parallel: bool) -> Result<String, String> {
        let tools = ["a", "b"].map(|name| Tool { name: name.to_owned(), schema: Value::Null });
        let mut ask = Ask { results: results.map(str::to_owned), ..Ask::default() };
        ask.offer(tools.to_vec(), &choice, parallel)?;
        Ok(ask.tools.iter().map(|tool| tool.name.as_str()).collect())
    }

    #[test]
    fn which_tools_are_called() {
        for (results, choice, parallel, want) in [
            (None, Choice::Auto, true, "ab"),
            (None, Choice::Auto, false, "a"),
            (None, Choice::None, true, ""),
            (Some("4"), Choice::Auto, true, ""),
            (Some("4"), Choice::Any, true, "ab"),
            (None, Choice::One("b".to_owned()), true, "b"),
        ] {
            assert_eq!(offered(results, choice.clone(), parallel).as_deref(), Ok(want), "{results:?} {choice:?}");
        }
        assert!(offered(None, Choice::One("c".to_owned()), true).is_err_and(|why| why.contains("`c`")));
    }
}
