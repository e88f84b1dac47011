//! Tools and their choice. Converse knows `auto`, `any` and one tool; that there shall be no call, or one alone, it does not, but
//! Anthropic's models do: then the choice stands in their own words.

use super::content::cache_point;
use crate::translate::{
    Untranslatable,
    json::{Json, Object},
    neutral::*,
};

#[derive(Default)]
pub struct Tools<'a> {
    pub config: Option<Object<'a>>,
    /// The choice as Anthropic has it: in the place of Converse's.
    pub own_choice: Option<Object<'a>>,
}

/// Takes the request's tools. A conversation with calls needs the tools that were called.
pub fn config<'a>(request: &mut Request<'a>, is_anthropic: bool) -> Result<Tools<'a>, Untranslatable> {
    let mut tools = std::mem::take(&mut request.tools);
    let mut choice = request.tool_choice.take();
    let has_calls = request.turns.iter().flat_map(|turn| &turn.parts).any(is_of_tools);
    let is_alone = request.parallel_tool_calls == Some(false) && is_anthropic;
    if tools.is_empty() || choice == Some(ToolChoice::None) {
        if !has_calls {
            return Ok(Tools::default());
        }
        if !is_anthropic {
            return Err(Untranslatable(
                "the model that answers takes no conversation with tool calls without `tools`, nor with `tool_choice` \
                 \"none\": send the tools and let it choose"
                    .into(),
            ));
        }
        if tools.is_empty() {
            tools = called(&request.turns);
        }
        choice = Some(ToolChoice::None);
    }
    let mut list: Vec<Json<'a>> = Vec::with_capacity(tools.len());
    for tool in tools {
        let (spec, mark) = spec(tool);
        list.push(Object::new().with("toolSpec", spec).into());
        list.extend(mark.map(|mark| cache_point(&mark).into()));
    }
    let config = Object::new().with("tools", list);
    Ok(if is_alone || choice == Some(ToolChoice::None) {
        Tools { config: Some(config), own_choice: Some(own_choice(choice)) }
    } else {
        Tools { config: Some(config.maybe("toolChoice", choice.and_then(converse_choice))), own_choice: None }
    })
}

fn is_of_tools(part: &Part<'_>) -> bool {
    matches!(part, Part::ToolCall { .. } | Part::ToolResult { .. })
}

/// The tools that a conversation names, each once.
fn called<'a>(turns: &[Turn<'a>]) -> Vec<Tool<'a>> {
    let mut tools: Vec<Tool<'a>> = Vec::new();
    for part in turns.iter().flat_map(|turn| &turn.parts) {
        if let Part::ToolCall { name, .. } = part
            && !tools.iter().any(|tool| tool.name == *name)
        {
            tools.push(Tool { name: name.clone(), description: None, parameters: None, strict: None, cache: None });
        }
    }
    tools
}

fn spec(tool: Tool<'_>) -> (Object<'_>, Option<Json<'_>>) {
    // A function without parameters takes none.
    let schema = tool
        .parameters
        .unwrap_or_else(|| Object::new().with("type", "object").with("properties", Object::new()).into());
    let spec = Object::new()
        .with("name", tool.name)
        .maybe("description", tool.description.filter(|text| !text.is_empty()))
        .with("inputSchema", Object::new().with("json", schema))
        .maybe("strict", tool.strict);
    (spec, tool.cache)
}

fn converse_choice(choice: ToolChoice<'_>) -> Option<Object<'_>> {
    match choice {
        ToolChoice::Any => Some(Object::new().with("any", Object::new())),
        ToolChoice::Auto => Some(Object::new().with("auto", Object::new())),
        ToolChoice::Tool(name) => Some(Object::new().with("tool", Object::new().with("name", name))),
        ToolChoice::None => None,
    }
}

fn own_choice(choice: Option<ToolChoice<'_>>) -> Object<'_> {
    let choice = match choice {
        None | Some(ToolChoice::Auto) => Object::new().with("type", "auto"),
        Some(ToolChoice::Any) => Object::new().with("type", "any"),
        Some(ToolChoice::Tool(name)) => Object::new().with("type", "tool").with("name", name),
        Some(ToolChoice::None) => return Object::new().with("type", "none"),
    };
    choice.with("disable_parallel_tool_use", true)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use crate::translate::{Pair, Target, Untranslatable, client::Client, provider::Wire};

    /// At a model that is not Anthropic's; what it can do stands in golden files.
    fn sent(members: &str) -> Result<String, Untranslatable> {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"Go"}}{members}}}"#);
        let target = Target { model: "m", is_openai: false, is_anthropic: false };
        let pair = Pair::new(Client::Chat, Wire::Bedrock);
        pair.request(body.as_bytes(), &target, 0).map(|sent| String::from_utf8(sent.body).unwrap())
    }

    #[test]
    fn what_models_of_others_do_not_know() {
        let tools = r#","tools":[{"type":"function","function":{"name":"now"}}]"#;
        let spec = r#"{"toolSpec":{"name":"now","inputSchema":{"json":{"type":"object","properties":{}}}}}"#;
        let plain = r#"{"messages":[{"role":"user","content":[{"text":"Go"}]}]"#;
        for (members, expected) in [
            (r#"],"reasoning_effort":"high","top_k":5"#.to_owned(), format!("{plain}}}")),
            (r#"],"parallel_tool_calls":false"#.to_owned(), format!("{plain}}}")),
            (format!(r#"]{tools},"tool_choice":"none","parallel_tool_calls":false"#), format!("{plain}}}")),
            (
                format!(r#"]{tools},"parallel_tool_calls":false,"tool_choice":"required""#),
                format!(r#"{plain},"toolConfig":{{"tools":[{spec}],"toolChoice":{{"any":{{}}}}}}}}"#),
            ),
            (
                r#",{"role":"assistant","thinking_blocks":[{"type":"thinking","thinking":"t","signature":"s"}]}]"#
                    .to_owned(),
                format!("{plain}}}"),
            ),
        ] {
            assert_eq!(sent(&members), Ok(expected), "{members}");
        }
        let call = r#"{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"now"}}]}"#;
        let called = format!(r#",{call},{{"role":"tool","tool_call_id":"c","content":"12:00"}}]"#);
        for (members, expected) in [
            (called.clone(), "without `tools`"),
            (format!(r#"{called}{tools},"tool_choice":"none""#), "without `tools`"),
        ] {
            let why = sent(&members).unwrap_err().0;
            assert!(why.contains(expected), "{members}: {why}");
        }
    }
}
