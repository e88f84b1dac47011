//! `weir usage`: totals of what a collector wrote, split and filtered, for people and for programs.

use std::path::Path;

use serde_json::{Value, json};

use crate::collect::RECORDS;
use crate::process::output;
use crate::tables::{settled, tables};

fn record(id: &str, day: &str, user: &str, team: &str, limit: Option<&str>) -> String {
    let tokens = if limit.is_some() { 0 } else { 10 };
    json!({"table": "endpoint_usage",
        "row": {"databricks_request_id": id, "request_time": format!("{day}T12:00:00Z"), "requester": user, "status_code": 200,
            "input_token_count": tokens, "output_token_count": 2 * tokens, "usage_context": {"team": team}},
        "detail": {"endpoint_name": "chat", "served_entity_name": "a", "cost_usd": 0.25, "limit": limit,
            "attempts": [{"served_entity_name": "a"}]}})
    .to_string()
}

fn totals(out: &Path, args: &[&str]) -> Value {
    let ran = output(&[&["usage", "--out", out.to_str().unwrap(), "--format", "json"], args].concat());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

#[test]
fn totals_are_split_and_filtered() {
    let out = tempfile::tempdir().unwrap();
    let collector = tables(out.path(), &[]);
    let rows = [
        record("1", "2026-01-01", "alice", "search", None),
        record("2", "2026-01-01", "alice", "ads", Some("user: 1 call")),
        record("3", "2026-01-02", "bob\u{1b}", "ads", None),
    ];
    assert_eq!(collector.post(RECORDS, rows.join("\n")).status, 200);
    settled(&collector);
    let brief = |rows: &Value, key: &str| -> Vec<Value> {
        let brief =
            |row: &Value| json!([row[key], row["requests"], row["refused"], row["output_tokens"], row["cost_usd"]]);
        rows.as_array().unwrap().iter().map(brief).collect()
    };
    let by_user = totals(out.path(), &["--by", "user"]);
    assert_eq!(brief(&by_user, "user"), [json!(["alice", 2, 1, 20, 0.5]), json!(["bob\u{1b}", 1, 0, 20, 0.25])]);
    let by_team = totals(out.path(), &["--by", "context.team", "--since", "2026-01-02"]);
    assert_eq!(brief(&by_team, "context.team"), [json!(["ads", 1, 0, 20, 0.25])]);
    assert_eq!(totals(out.path(), &["--by", "context.none"])[0]["context.none"], Value::Null);
    assert_eq!(totals(out.path(), &["--until", "2026-01-01", "--user", "alice", "--by", "day"])[0]["requests"], 2);
    assert_eq!(totals(out.path(), &["--endpoint", "other"]), json!([]));

    let text = output(&["usage", "--out", out.path().to_str().unwrap(), "--by", "day,user"]);
    let text = String::from_utf8(text.stdout).unwrap();
    let want = [
        "day         user   requests  refused  failed  input tokens  output tokens  cost usd",
        "2026-01-01  alice         2        1       0            10             20    0.5000",
        "2026-01-02  bob?          1        0       0            10             20    0.2500",
        "total                     3        1       0            20             40    0.7500",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), want);

    for (folder, why) in [("x", "No such file"), (".journal", "no table endpoint_usage_detail here")] {
        let none = output(&["usage", "--out", out.path().join(folder).to_str().unwrap()]);
        assert!(String::from_utf8_lossy(&none.stderr).contains(why) && !out.path().join("x").exists());
    }
    assert_eq!(output(&["usage", "--out", "x", "--by", "colour"]).status.code(), Some(2));
}
