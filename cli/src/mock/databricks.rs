//! A Databricks serving endpoint of a custom model: a table or tensors come in under `dataframe_split`, `dataframe_records`,
//! `instances` or `inputs`, one prediction for each row goes out. Foundation models' bodies are OpenAI's and read there.

use bytes::Bytes;
use serde_json::{Value, json};

use super::ask::Ask;
use super::openai::to_bytes;
use super::text;

/// Reads a request: each row is an input, as its JSON.
pub fn read(body: &Value, model: String) -> Result<Ask, String> {
    let split = &body["dataframe_split"];
    let rows = match (&split["data"], &body["dataframe_records"], &body["instances"], &body["inputs"]) {
        (Value::Array(rows), ..) => rows.iter().collect(),
        (_, Value::Array(rows), ..) | (_, _, Value::Array(rows), _) | (.., Value::Array(rows)) => rows.iter().collect(),
        // Tensors by name: the length of the first is how many rows there are.
        (.., Value::Object(columns)) => {
            let first = columns.values().next().and_then(Value::as_array);
            first.map_or_else(|| vec![&body["inputs"]], |column| column.iter().collect())
        }
        _ => return Err("Invalid input. The request must contain one of: dataframe_split, dataframe_records, instances, inputs, messages, prompt, input.".to_owned()),
    };
    let width = split["columns"].as_array().map(Vec::len);
    if let (Some(width), Value::Array(rows)) = (width, &split["data"])
        && let Some(row) = rows.iter().find(|row| row.as_array().map(Vec::len) != Some(width))
    {
        return Err(format!("Failed to parse dataframe_split: {width} columns passed, passed data had the row {row}"));
    }
    let inputs: Vec<String> = rows.into_iter().map(Value::to_string).collect();
    Ok(Ask { model, prompt_tokens: inputs.iter().map(|input| text::count(input)).sum(), inputs, ..Ask::default() })
}

/// One prediction for each row: from -1 to 1, as the row's hash decides.
pub fn predictions(ask: &Ask) -> Bytes {
    let ask = Ask { dimensions: Some(1), inputs: ask.inputs.clone(), ..Ask::default() };
    let predictions: Vec<f32> = super::say::vectors(&ask).filter_map(|vector| vector.first().copied()).collect();
    to_bytes(&json!({"predictions": predictions}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_for_each_row() {
        for (body, rows) in [
            (json!({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}}), 2),
            (json!({"dataframe_records": [{"a": 1}, {"a": 2}, {"a": 3}]}), 3),
            (json!({"instances": [[1.0], [2.0]]}), 2),
            (json!({"inputs": [1]}), 1),
            (json!({"inputs": {"a": [1, 2], "b": [3, 4]}}), 2),
        ] {
            let got: Value = serde_json::from_slice(&predictions(&read(&body, "m".to_owned()).unwrap())).unwrap();
            assert_eq!(got["predictions"].as_array().map(Vec::len), Some(rows), "{body}");
        }
        for (body, message) in [
            (json!({"rows": []}), "must contain one of"),
            (json!({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}), "1 columns passed"),
        ] {
            assert!(read(&body, "m".to_owned()).is_err_and(|why| why.contains(message)), "{body}");
        }
    }
}
