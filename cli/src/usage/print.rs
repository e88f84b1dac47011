//! Totals as text: columns for people, or one JSON array for programs. A value that a row lacks is `-`, or null.

use std::io::Write as _;

use serde_json::{Map, Value, json};

use super::Totals;
use crate::collect::rollup::Sums;

const NUMBERS: [&str; 6] = ["requests", "refused", "failed", "input tokens", "output tokens", "cost usd"];

pub fn json(names: &[String], totals: &Totals) {
    let rows = totals.iter().map(|(key, sums)| {
        let mut row: Map<String, Value> = names.iter().cloned().zip(key.iter().map(|value| json!(value))).collect();
        row.extend([
            ("requests".to_owned(), json!(sums.requests)),
            ("refused".to_owned(), json!(sums.refused)),
            ("failed".to_owned(), json!(sums.failed)),
            ("input_tokens".to_owned(), json!(sums.input_tokens)),
            ("output_tokens".to_owned(), json!(sums.output_tokens)),
            ("cost_usd".to_owned(), json!(sums.cost_usd)),
        ]);
        Value::Object(row)
    });
    let rows: Vec<Value> = rows.collect();
    let _ = writeln!(std::io::stdout(), "{}", Value::Array(rows));
}

pub fn table(names: &[String], totals: &Totals) {
    let mut all = Sums::default();
    totals.values().for_each(|sums| all.add(sums));
    let mut rows: Vec<Vec<String>> = vec![names.iter().cloned().chain(NUMBERS.map(str::to_owned)).collect()];
    let name = |value: &Option<String>| value.as_deref().map_or("-".to_owned(), printable);
    rows.extend(totals.iter().map(|(key, sums)| key.iter().map(name).chain(numbers(sums)).collect()));
    let total = (0..names.len()).map(|at| if at == 0 { "total".to_owned() } else { String::new() });
    rows.push(total.chain(numbers(&all)).collect());
    let widths: Vec<usize> = (0..names.len().saturating_add(NUMBERS.len()))
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < names.len() { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(std::io::stdout(), "{}", line.trim_end());
    }
}

fn numbers(sums: &Sums) -> [String; 6] {
    [
        sums.requests.to_string(),
        sums.refused.to_string(),
        sums.failed.to_string(),
        sums.input_tokens.to_string(),
        sums.output_tokens.to_string(),
        format!("{:.4}", sums.cost_usd),
    ]
}

/// No control character of a record reaches the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}
